//! `runledger runs retract` and `runs reinstate`: one run off the record, and back.

use std::process::ExitCode;

use anyhow::bail;
use async_nats::Client;
use clap::{Args, builder::NonEmptyStringValueParser};
use events::id::{OrgId, RunId, UserId};
use ledger::{
    connection::Role,
    correction::{self, RecordedRun},
    stream::EventStream,
};
use serde_json::json;

use crate::{
    commands::wait,
    correction::{Correction, Said},
    output,
    settings::Settings,
};

/// Take a run off the record: the read models drop it, the ledger keeps it
#[derive(Args)]
pub struct Retract {
    #[command(flatten)]
    which: Which,
    /// Why, for people
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// Bring a retracted run back, with whatever happened meanwhile
#[derive(Args)]
pub struct Reinstate {
    #[command(flatten)]
    which: Which,
    /// Why, for people
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

#[derive(Args)]
struct Which {
    /// The run's id
    run: RunId,
    /// Its org, where the id occurs in several
    #[arg(long)]
    org: Option<OrgId>,
    /// Who says so
    #[arg(long, value_name = "USER")]
    by: Option<UserId>,
    /// Only publish; do not wait until it can be seen
    #[arg(long)]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Retract {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        self.which.say(settings, Said::Retracted { reason: self.reason }).await
    }
}

impl Reinstate {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        self.which.say(settings, Said::Reinstated { reason: self.reason }).await
    }
}

impl Which {
    async fn say(self, settings: &Settings, said: Said) -> anyhow::Result<ExitCode> {
        let to_retract = matches!(said, Said::Retracted { .. });
        let client = settings.connect_to_nats().await?;
        let run = self.recorded(settings, &client).await?;
        let correction = Correction { said, by: self.by, import_id: None };
        let changes = correction.changes(&run);
        if changes {
            let acknowledged = correction.publish(&client, &[&run]).await?;
            if !self.no_wait {
                wait::until_corrected(
                    settings,
                    &client,
                    acknowledged.last_stream_seq,
                    run.org_id,
                    &correction,
                    &[&run],
                )
                .await?;
            }
        }
        let (org_id, run_id) = (run.org_id, run.run_id);
        if self.json {
            output::json(&json!({ "org_id": org_id, "run_id": run_id, "retracted": to_retract, "changed": changes }))?;
        } else {
            output::print(match (to_retract, changes) {
                (true, true) => format!(
                    "retracted run {run_id} of org {org_id}; it comes back with `runledger runs reinstate {run_id}`"
                ),
                (true, false) => format!("run {run_id} of org {org_id} is retracted already; nothing was changed"),
                (false, true) => format!("reinstated run {run_id} of org {org_id}"),
                (false, false) => format!("run {run_id} of org {org_id} is not retracted; nothing was changed"),
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The run, once the ledger has read all that the stream holds now.
    async fn recorded(&self, settings: &Settings, client: &Client) -> anyhow::Result<RecordedRun> {
        let mut conn = settings.connect(Role::Admin).await?;
        let stream = EventStream::ensure(client).await?;
        wait::until_read(&mut conn, &stream, stream.last_seq().await?).await?;
        let mut runs = correction::runs_of_id(&mut conn, self.run, self.org).await?;
        let Some(run) = runs.pop() else {
            let place =
                self.org.map_or_else(|| "the ledger".to_owned(), |org_id| format!("the ledger of org {org_id}"));
            bail!("{place} has no run {}; `runledger runs list` shows which there are", self.run);
        };
        if !runs.is_empty() {
            let orgs: Vec<String> = runs.iter().chain([&run]).map(|run| run.org_id.to_string()).collect();
            bail!("run {} occurs in several orgs: say which with --org: {}", self.run, orgs.join(", "));
        }
        Ok(run)
    }
}
