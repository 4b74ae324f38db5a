//! `runledger runs diff`: a run at two points, or two runs step by step.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use events::id::{OrgId, RunId};
use projector::history::{self, Change, Differences, KnownAt, Point, RunChanges, RunComparison, StepComparison};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::{
    changes::{Changed, changed, step_name, value},
    no_row, the_org,
};
use crate::{commands::point::check_is_past, output, settings::Settings};

/// Say what changed in a run between two points, or how two runs differ
///
/// Two runs are compared step by step. Steps belong together that share their node; else, their number; else,
/// their name.
#[derive(Args)]
pub struct Diff {
    /// The run's id
    run: RunId,
    /// The run to compare it with
    #[arg(value_name = "OTHER_RUN", conflicts_with_all = ["from", "to", "known"])]
    other: Option<RunId>,
    /// What changed since: a time at which things happened (RFC 3339), or a seq of the org's ledger
    #[arg(long, value_name = "TIME|SEQ")]
    from: Option<KnownAt>,
    /// What changed up to here [default: now]
    #[arg(long, value_name = "TIME|SEQ", requires = "from")]
    to: Option<KnownAt>,
    /// The times are those at which events were recorded
    #[arg(long, requires = "from")]
    known: bool,
    /// The org, where the ids occur in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.other.is_none() && self.from.is_none() {
            bail!(
                "give what run {} is to be compared with: another run, or itself at --from a time or a seq",
                self.run
            );
        }
        self.check_points()?;
        let mut conn = settings.connect_to_read(self.org).await?;
        match self.other {
            Some(other) => self.compare(&mut conn, other).await?,
            None => self.tell_changes(&mut conn).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses points on two clocks, between which there is no stretch of either, and those in the wrong order.
    fn check_points(&self) -> anyhow::Result<()> {
        let is_backwards = match (self.from, self.to) {
            (Some(KnownAt::Time(from)), Some(KnownAt::Time(to))) => from > to,
            (Some(KnownAt::Seq(from)), Some(KnownAt::Seq(to))) => from > to,
            (Some(_), Some(_)) if !self.known => bail!(
                "--from and --to are on two clocks: a time is when things happened, a seq is when they were recorded; \
                 give two times or two seqs, or add --known for the time at which they were recorded"
            ),
            _ => false,
        };
        if is_backwards {
            bail!("--from is later than --to; give the earlier point first");
        }
        Ok(())
    }

    async fn tell_changes(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let org_id = the_org(conn, self.run, self.org).await?;
        let points = [self.from, self.to].map(|at| self.point(at));
        for point in points {
            check_is_past(conn, org_id, point).await?;
        }
        let [from, to] = history::run_at(conn, org_id, self.run, points).await?;
        if from.is_none() && to.is_none() {
            return Err(no_row(conn, org_id, self.run, points[1]).await?);
        }
        let changes = RunChanges::between(from.as_deref(), to.as_deref())?;
        if self.json { output::json(&changes) } else { print_changes(&changes) }
    }

    fn point(&self, at: Option<KnownAt>) -> Point {
        match at {
            Some(KnownAt::Time(time)) if !self.known => Point { as_of: Some(time), known_at: None },
            known_at => Point { as_of: None, known_at },
        }
    }

    async fn compare(&self, conn: &mut PgConnection, other: RunId) -> anyhow::Result<()> {
        let rows = [self.row(conn, self.run).await?, self.row(conn, other).await?];
        let comparison = RunComparison::of([&rows[0], &rows[1]])?;
        if self.json { output::json(&comparison) } else { print_comparison(&comparison) }
    }

    async fn row(&self, conn: &mut PgConnection, run_id: RunId) -> anyhow::Result<Box<RawValue>> {
        let org_id = the_org(conn, run_id, self.org).await?;
        let [row] = history::run_at(conn, org_id, run_id, [Point::NOW]).await?;
        match row {
            Some(row) => Ok(row),
            None => Err(no_row(conn, org_id, run_id, Point::NOW).await?),
        }
    }
}

fn print_changes(changes: &RunChanges) -> anyhow::Result<()> {
    let changed = changed(changes);
    if changed.is_empty() {
        return Ok(output::print("nothing changed")?);
    }
    let mut table = output::table(&["row", "column", "from", "to"]);
    for Changed { row, change, column, from, to } in changed {
        let column = match change {
            Change::Appeared => "appears".to_owned(),
            Change::Vanished => "vanishes".to_owned(),
            Change::Changed => column,
        };
        output::row(&mut table, [row, column, from, to]);
    }
    Ok(output::print(table)?)
}

fn print_comparison(comparison: &RunComparison) -> anyhow::Result<()> {
    let RunComparison { run_id, status, duration_ms, run, steps } = comparison;
    for ((run_id, status), duration_ms) in run_id.iter().zip(status).zip(duration_ms) {
        output::print(format!("run {run_id}  {}  {}", status.to_uppercase(), output::duration(*duration_ms)))?;
    }
    for difference in &run.0 {
        if !["status", "duration_ms"].contains(&difference.path.as_str()) {
            let (from, to) = (value(difference.from.as_deref()), value(difference.to.as_deref()));
            output::print(format!("  {} {from} → {to}", output::printable(&difference.path)))?;
        }
    }
    let mut table = output::table(&["step", "status", "#duration", "#retries", "inputs", "outputs", "error"]);
    for step in steps {
        output::row(&mut table, cells(step));
    }
    output::print(table)?;
    let (same, alone) = (
        steps.iter().filter(|step| step.matched_by.is_some() && step.is_same()).count(),
        steps.iter().filter(|step| step.matched_by.is_none()).count(),
    );
    let differ = steps.len() - same - alone;
    Ok(output::print(format!(
        "{same} steps are the same but for their times, {differ} differ, {alone} are in one run alone"
    ))?)
}

fn cells(step: &StepComparison) -> [String; 7] {
    // What both call it, or the one that has it.
    let number = step.step_number.iter().flatten().next().copied();
    let label = step.label.iter().flatten().next();
    let name = step_name(number, label.map(String::as_str)).or_else(|| {
        let step_id = step.step_id.iter().flatten().next()?;
        Some(format!("step {step_id}"))
    });
    let name = name.unwrap_or_default();
    let retries = step.retry_count.map(output::or_dash);
    let durations = step.duration_ms.map(output::duration);
    match &step.status {
        [Some(one), Some(other)] => [
            name,
            if one == other { one.clone() } else { format!("{one} → {other}") },
            durations.join(" → "),
            if retries[0] == retries[1] { retries[0].clone() } else { retries.join(" → ") },
            differing("input_data", &step.input_data),
            differing("output_data", &step.output_data),
            error(step),
        ],
        [one, other] => {
            let (which, status) = if one.is_some() { ("first", one) } else { ("second", other) };
            let status = format!("{}, in the {which} run only", status.as_deref().unwrap_or_default());
            let duration = durations[usize::from(one.is_none())].clone();
            let retries = retries[usize::from(one.is_none())].clone();
            let error = step.error_message.iter().flatten().next();
            [name, status, duration, retries, "–".to_owned(), "–".to_owned(), output::or_dash(error)]
        }
    }
}

/// How the errors differ, in their messages or else in their details.
fn error(step: &StepComparison) -> String {
    let [one, other] = step.error_message.clone().map(output::or_dash);
    if one == other { differing("error_details", &step.error_details) } else { format!("{one} → {other}") }
}

/// The keys that differ, short of the column that they are in.
fn differing(column: &str, differences: &Differences) -> String {
    if differences.is_empty() {
        return "same".to_owned();
    }
    let keys = differences.0.iter().map(|difference| {
        let key = difference.path.strip_prefix(column).unwrap_or(&difference.path);
        key.strip_prefix('.').unwrap_or(key)
    });
    let keys: Vec<&str> = keys.filter(|key| !key.is_empty()).collect();
    if keys.is_empty() { "differ".to_owned() } else { format!("differ: {}", keys.join(", ")) }
}
