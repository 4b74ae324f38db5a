//! `runledger status`: how far everything is.

use std::process::ExitCode;

use clap::Args;
use ledger::{connection::Role, status, stream::EventStream};
use serde_json::json;

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
        let stream = EventStream::ensure(&settings.connect_to_nats().await?).await?;
        let stream_lag = status::stream_lag(&mut conn, &stream).await?;
        let ledger = status::ledger(&mut conn).await?;
        let projections = projector::status(&mut conn).await?;
        if self.json {
            output::json(&json!({ "stream_lag": stream_lag, "ledger": ledger, "projections": projections }))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::print(format!("stream   {stream_lag} messages wait to be read"))?;
        output::print(format!("ledger   {} events of {} orgs", ledger.events, ledger.orgs))?;
        let mut table =
            output::table(&["projection", "#version", "#orgs behind", "#events behind", "#parked", "stopped"]);
        for projection in &projections {
            output::row(
                &mut table,
                [
                    projection.projection.to_string(),
                    projection.version.to_string(),
                    projection.orgs_behind.to_string(),
                    projection.lag_events.to_string(),
                    projection.parked.to_string(),
                    output::or_dash(projection.stopped.as_ref()),
                ],
            );
        }
        output::print(table)?;
        if ledger.refused.is_empty() {
            output::print("no open dead letters")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["refused", "#open"]);
        for refused in &ledger.refused {
            output::row(&mut table, [refused.code.clone(), refused.open.to_string()]);
        }
        output::print(table)?;
        output::print("look at them with `runledger dead-letters list`")?;
        Ok(ExitCode::SUCCESS)
    }
}
