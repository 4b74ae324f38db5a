//! `runledger status`: how far everything is.

use std::process::ExitCode;

use clap::Args;
use ledger::{
    connection::Role,
    status::{self, LedgerStatus},
    stream::EventStream,
};
use projector::ProjectionLag;
use serde_json::json;
use sqlx::PgConnection;

use crate::{output, settings::Settings};

/// Show what waits in the stream, how far the ledger and the projections are, and what was refused
#[derive(Args)]
pub struct Status {
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Admin).await?;
        let ledger = status::ledger(&mut conn).await?;
        let projections = projector::status(&mut conn).await?;
        let stream_lag = stream_lag(settings, &mut conn).await;
        if self.json {
            output::json(&json!({ "stream_lag": stream_lag?, "ledger": ledger, "projections": projections }))?;
            return Ok(ExitCode::SUCCESS);
        }
        print_ledger(&ledger)?;
        print_projections(&projections)?;
        // Last, because NATS may be away, and the rest is worth seeing then too.
        match stream_lag? {
            Some(lag) => output::print(format!("stream: {lag} messages wait to be read"))?,
            None => output::print("stream: not made yet; `runledger migrate` or a ledger makes it")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How many messages wait; none where there is no stream.
async fn stream_lag(settings: &Settings, conn: &mut PgConnection) -> anyhow::Result<Option<u64>> {
    let stream = EventStream::find(&settings.connect_to_nats().await?).await?;
    match stream {
        Some(stream) => Ok(Some(status::stream_lag(conn, &stream).await?)),
        None => Ok(None),
    }
}

fn print_ledger(ledger: &LedgerStatus) -> anyhow::Result<()> {
    let mut table = output::table(&["org", "#events", "root"]);
    for head in &ledger.heads {
        output::row(&mut table, [head.org_id.to_string(), head.size.to_string(), head.root.clone()]);
    }
    output::print(table)?;
    output::print(format!("ledger: {} events of {} orgs\n", ledger.events, ledger.orgs))?;
    if ledger.refused.is_empty() {
        return Ok(output::print("no open dead letters\n")?);
    }
    let mut table = output::table(&["refused", "#open"]);
    for refused in &ledger.refused {
        output::row(&mut table, [refused.code.clone(), refused.open.to_string()]);
    }
    output::print(table)?;
    Ok(output::print("look at them with `runledger dead-letters list`\n")?)
}

/// The version that serves, and the one of this program if that is another.
fn version(projection: &ProjectionLag) -> String {
    match projection.serving_version {
        Some(serving) if serving != projection.version => format!("{serving} ({} here)", projection.version),
        _ => projection.version.to_string(),
    }
}

fn print_projections(projections: &[ProjectionLag]) -> anyhow::Result<()> {
    let mut table =
        output::table(&["projection", "#version", "#orgs behind", "#events behind", "#parked", "stopped or paused"]);
    for projection in projections {
        output::row(
            &mut table,
            [
                projection.projection.to_string(),
                version(projection),
                projection.orgs_behind.to_string(),
                projection.lag_events.to_string(),
                projection.parked.to_string(),
                output::or_dash(projection.stopped.as_ref().or(projection.paused.as_ref())),
            ],
        );
    }
    Ok(output::print(table)?)
}
