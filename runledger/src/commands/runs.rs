//! `runledger runs`: look at runs and their steps, as they are and as they were; take them off the record.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use events::{
    id::{OrgId, RunId},
    time,
};
use ledger::correction::{RecordedRun, runs_of_id};
use projector::{
    history::{Beginning, KnownAt, Point, beginning},
    query::{self, Run},
};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::settings::Settings;

mod changes;
mod diff;
mod followed;
mod history;
mod list;
mod required;
mod retract;
mod show;

pub use show::print_run;

/// Look at runs, as they are and as they were, and take them off the record: list, show, diff, history, retract, reinstate
#[derive(Args)]
pub struct Runs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(list::List),
    Show(show::Show),
    Diff(diff::Diff),
    History(history::History),
    Retract(retract::Retract),
    Reinstate(retract::Reinstate),
}

impl Runs {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List(list) => list.run(settings).await,
            Action::Show(show) => show.run(settings).await,
            Action::Diff(diff) => diff.run(settings).await,
            Action::History(history) => history.run(settings).await,
            Action::Retract(retract) => retract.run(settings).await,
            Action::Reinstate(reinstate) => reinstate.run(settings).await,
        }
    }
}

/// The one run of this id, as [`query::run_show`] gives it.
async fn the_run(conn: &mut PgConnection, run_id: RunId, org_id: Option<OrgId>) -> anyhow::Result<Box<RawValue>> {
    let mut rows = query::run_show(conn, run_id, org_id).await?;
    let Some(row) = rows.pop() else { return Err(without_row(conn, run_id, org_id).await?) };
    if !rows.is_empty() {
        let orgs = rows.iter().chain([&row]).filter_map(|row| Some(Run::of_row(row).ok()?.org_id));
        return Err(several_orgs(run_id, orgs));
    }
    Ok(row)
}

/// The one org whose run it is, also of a run that has no row any more.
async fn the_org(conn: &mut PgConnection, run_id: RunId, org_id: Option<OrgId>) -> anyhow::Result<OrgId> {
    Ok(the_recorded_run(conn, run_id, org_id).await?.org_id)
}

/// The one run of this id by its events.
async fn the_recorded_run(
    conn: &mut PgConnection,
    run_id: RunId,
    org_id: Option<OrgId>,
) -> anyhow::Result<RecordedRun> {
    let mut runs = runs_of_id(conn, run_id, org_id).await?;
    let Some(run) = runs.pop() else { return Err(no_run(run_id)) };
    if !runs.is_empty() {
        return Err(several_orgs(run_id, runs.iter().chain([&run]).map(|run| run.org_id)));
    }
    Ok(run)
}

fn no_run(run_id: RunId) -> anyhow::Error {
    anyhow!("there is no run {run_id}; `runledger runs list` shows which there are")
}

/// Why a run has no row now.
async fn without_row(conn: &mut PgConnection, run_id: RunId, org_id: Option<OrgId>) -> anyhow::Result<anyhow::Error> {
    let run = the_recorded_run(conn, run_id, org_id).await?;
    let org_id = run.org_id;
    let why = if run.is_retracted() {
        format!("it was retracted; `runledger runs reinstate {run_id} --org {org_id}` brings it back")
    } else {
        "it is not projected yet; `runledger status` shows how far projections are behind".to_owned()
    };
    Ok(anyhow!(
        "run {run_id} has events and no row: {why}; `runledger runs history {run_id} --org {org_id}` shows its events"
    ))
}

fn several_orgs(run_id: RunId, orgs: impl Iterator<Item = OrgId>) -> anyhow::Error {
    let orgs: Vec<String> = orgs.map(|org_id| org_id.to_string()).collect();
    anyhow!("run {run_id} occurs in several orgs: say which with --org: {}", orgs.join(", "))
}

/// Why a run has no row at a point.
async fn no_row(conn: &mut PgConnection, org_id: OrgId, run_id: RunId, point: Point) -> anyhow::Result<anyhow::Error> {
    let Some(beginning) = beginning(conn, org_id, run_id).await? else { return Ok(no_run(run_id)) };
    let Beginning { occurred_at, recorded_at, seq } = beginning;
    let is_before = point.as_of.is_some_and(|as_of| as_of < occurred_at)
        || match point.known_at {
            Some(KnownAt::Time(time)) => time < recorded_at,
            Some(KnownAt::Seq(known)) => known < seq,
            None => false,
        };
    Ok(if is_before {
        anyhow!(
            "run {run_id} did not exist by then: the earliest of its events happened at {}, the first was recorded at {} with seq {seq}",
            time::format(occurred_at),
            time::format(recorded_at)
        )
    } else {
        anyhow!(
            "run {run_id} has no row at that point: its events by then make none, as after it was retracted; `runledger runs history {run_id} --org {org_id}` shows them"
        )
    })
}
