//! The limit of rebuilding: both tables by one INSERT … SELECT each over all events, one after the other on one
//! connection, then their indexes. PostgreSQL groups and extracts; nothing is proved, and only this workload's events are understood.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use crate::{
    database::CaseDatabase,
    workload::{EVENTS_PER_RUN, STEPS_PER_RUN, Workload},
};

/// Makes the tables of runs and steps anew beside those that serve.
pub async fn rebuild(database: &CaseDatabase, workload: &Workload) -> Result<Duration> {
    let mut conn = database.connect().await?;
    conn.execute(
        "DROP TABLE IF EXISTS limit_run, limit_step;
         CREATE TABLE limit_run (LIKE user_workflow_run INCLUDING ALL EXCLUDING INDEXES);
         CREATE TABLE limit_step (LIKE user_workflow_run_step INCLUDING ALL EXCLUDING INDEXES);
         SET work_mem = '1GB'; SET maintenance_work_mem = '256MB'",
    )
    .await?;
    let indexes: Vec<String> = query_scalar(include_str!("rebuild/indexes.sql")).fetch_all(&mut conn).await?;
    let began = Instant::now();
    let runs = conn.execute(include_str!("rebuild/runs.sql")).await?.rows_affected();
    let steps = conn.execute(include_str!("rebuild/steps.sql")).await?.rows_affected();
    for statement in &indexes {
        conn.execute(AssertSqlSafe(statement.as_str())).await?;
    }
    let took = began.elapsed();
    let expected = workload.len() / EVENTS_PER_RUN;
    ensure!((runs, steps) == (expected, expected * STEPS_PER_RUN), "the statements made {runs} runs and {steps} steps");
    conn.execute("DROP TABLE limit_run, limit_step").await?;
    Ok(took)
}
