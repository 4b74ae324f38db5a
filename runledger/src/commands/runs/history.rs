//! `runledger runs history`: a run's events, each with what it changed.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use events::id::{OrgId, RunId};
use projector::history::{self, Change, Entry};

use super::{
    changes::{Changed, changed},
    the_org,
};
use crate::{output, settings::Settings};

/// List the events of a run in the order in which they were recorded, each with what it changed
#[derive(Args)]
pub struct History {
    /// The run's id
    run: RunId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Print JSON, one event a line, with what changed in the rows of `run` and `steps`
    #[arg(long)]
    json: bool,
}

impl History {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let org_id = the_org(&mut conn, self.run, self.org).await?;
        let mut is_first = true;
        let count = history::each_entry(&mut conn, org_id, self.run, |entry| {
            if self.json {
                return output::json(&entry);
            }
            if std::mem::take(&mut is_first) {
                output::print(line("seq", "happened", "recorded", "event", "source"))?;
            }
            print(&entry)
        });
        count.await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Printed event by event and not as a table, because a run may have very many.
fn print(entry: &Entry) -> anyhow::Result<()> {
    let (seq, happened, recorded) = (entry.seq.to_string(), time(entry.occurred_at), time(entry.recorded_at));
    output::print(output::printable(&line(&seq, &happened, &recorded, &entry.event_type, &entry.source)))?;
    for Changed { row, change, column, from, to } in changed(&entry.changes) {
        let told = match change {
            Change::Appeared => format!("{row} appears: {to}"),
            Change::Vanished => format!("{row} vanishes: {from}"),
            Change::Changed => format!("{row}: {column} {from} → {to}"),
        };
        output::print(format!("         {}", output::printable(&told)))?;
    }
    Ok(())
}

fn line(seq: &str, happened: &str, recorded: &str, event_type: &str, source: &str) -> String {
    format!("{seq:>7}  {happened:<23}  {recorded:<23}  {event_type:<24} {source}")
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
