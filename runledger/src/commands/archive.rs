//! `runledger archive`: an org's old events as Parquet files, proved, and dropped from the table.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use events::id::OrgId;
use ledger::{
    archive::{
        drop::{Dropped, drop_archived},
        store::Directory,
        write::{self, Archived},
    },
    connection::Role,
};
use serde_json::{Value, json};

use crate::{output, progress::Progress, settings::Settings};

/// Write an org's old events as Parquet, checked against the ledger
#[derive(Args)]
pub struct Archive {
    /// Whose events
    #[arg(long)]
    org: OrgId,
    /// Those recorded before this time (RFC 3339, e.g. 2026-01-01T00:00:00Z) that are not archived yet
    #[arg(long, value_name = "TIME", value_parser = events::time::parse, requires = "to", required_unless_present = "drop")]
    before: Option<DateTime<Utc>>,
    /// A directory, or a URL such as file:///var/archive; every host that reads the org's events must reach it
    #[arg(long, value_name = "DIR|URL", value_parser = Directory::parse, requires = "before")]
    to: Option<Directory>,
    /// Then drop all that is archived from the table, once archive and table are proved against the head's root
    #[arg(long)]
    drop: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Archive {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut reading = settings.connect(Role::Admin).await?;
        let mut owner = settings.connect(Role::Owner).await?;
        if let Some((before, to)) = self.before.zip(self.to.as_ref()) {
            let progress = Progress::start("archiving events", 0);
            let count = |events| progress.add(events);
            let archived = write::archive(&mut reading, &mut owner, self.org, before, to, count).await;
            progress.finish();
            let archived = archived?;
            self.print(&archived_json(self.org, archived.as_ref()), &archived_sentence(self.org, archived.as_ref()))?;
        }
        if self.drop {
            let progress = Progress::start("dropping archived events", 0);
            let count = |events| progress.add(events);
            let dropped = drop_archived(&mut reading, &mut owner, self.org, count).await;
            progress.finish();
            let dropped = dropped?;
            self.print(&dropped_json(self.org, dropped.as_ref()), &dropped_sentence(self.org, dropped.as_ref()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, json: &Value, sentence: &str) -> anyhow::Result<()> {
        if self.json { output::json(json) } else { Ok(output::print(output::printable(sentence))?) }
    }
}

fn archived_sentence(org_id: OrgId, archived: Option<&Archived>) -> String {
    let Some(Archived { file, event_bytes, reused }) = archived else {
        return format!("org {org_id}: nothing to archive, no event recorded before that time is not archived already");
    };
    let how = if *reused { "where they stood already; read" } else { "read back" };
    format!(
        "org {org_id}: archived {} events (seq {} to {}), {} bytes in {} bytes of Parquet, at {}; {how} and compared with the ledger, root {}",
        file.last.get() - file.first.get() + 1,
        file.first,
        file.last,
        event_bytes,
        file.bytes,
        file.location,
        output::hex(&file.root),
    )
}

fn archived_json(org_id: OrgId, archived: Option<&Archived>) -> Value {
    let Some(Archived { file, event_bytes, reused }) = archived else {
        return json!({ "org_id": org_id, "archived": 0 });
    };
    json!({
        "org_id": org_id,
        "archived": file.last.get() - file.first.get() + 1,
        "first_seq": file.first,
        "last_seq": file.last,
        "location": file.location,
        "event_bytes": event_bytes,
        "file_bytes": file.bytes,
        "reused": reused,
        "root": output::hex(&file.root),
    })
}

fn dropped_sentence(org_id: OrgId, dropped: Option<&Dropped>) -> String {
    let Some(dropped) = dropped else {
        return format!("org {org_id}: nothing to drop, no event is archived that is still in the table");
    };
    format!(
        "org {org_id}: dropped {} events (up to seq {}) after archive and table were proved against the head; the partition shrank from {} to {} bytes; the swap held locks for {} ms, at attempt {}",
        dropped.events,
        dropped.through,
        dropped.bytes_before,
        dropped.bytes_after,
        dropped.locked_for.as_millis(),
        dropped.attempts,
    )
}

fn dropped_json(org_id: OrgId, dropped: Option<&Dropped>) -> Value {
    let Some(dropped) = dropped else { return json!({ "org_id": org_id, "dropped": 0 }) };
    json!({
        "org_id": org_id,
        "dropped": dropped.events,
        "last_seq": dropped.through,
        "bytes_before": dropped.bytes_before,
        "bytes_after": dropped.bytes_after,
        "locked_ms": dropped.locked_for.as_secs_f64() * 1e3,
        "attempts": dropped.attempts,
    })
}
