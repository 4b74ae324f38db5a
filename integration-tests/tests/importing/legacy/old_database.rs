//! A database with the old tables.

use std::ops::RangeInclusive;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use stack::Stack;
use uuid::Uuid;

/// With whatever may be wrong, and types as an old schema might have them: not the newest, not alike.
const AWKWARD: &str = include_str!("awkward.sql");
/// As large as is wished: traces with two steps each, the steps with a log line.
const MANY: &str = include_str!("many.sql");

pub struct OldDatabase {
    pub url: String,
}

impl OldDatabase {
    /// On the server of the stack, with nothing in it.
    pub async fn empty(stack: &Stack) -> Self {
        let name = format!("old_{}", Uuid::new_v4().simple());
        stack.pool().execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let (server, _) = stack.database_url().rsplit_once('/').unwrap();
        Self { url: format!("{server}/{name}") }
    }

    pub async fn awkward(stack: &Stack) -> Self {
        let old = Self::empty(stack).await;
        old.execute(AWKWARD).await;
        old
    }

    /// With traces of these ids that have nothing wrong.
    pub async fn of(stack: &Stack, trace_ids: RangeInclusive<u32>) -> Self {
        let old = Self::empty(stack).await;
        let (from, to) = (trace_ids.start().to_string(), trace_ids.end().to_string());
        old.execute(&MANY.replace(":from", &from).replace(":to", &to)).await;
        old
    }

    pub async fn execute(&self, sql: &str) {
        let mut conn = PgConnection::connect(&self.url).await.unwrap();
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }
}
