//! `runledger import revert`, and what an import does about runs that a revert took away.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::anyhow;
use async_nats::Client;
use clap::{Args, builder::NonEmptyStringValueParser};
use events::id::{OrgId, RunId, Seq, UserId};
use ledger::{
    connection::Role,
    correction::{self, RecordedRun},
    read,
    stream::EventStream,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    commands::wait,
    correction::{Correction, Said},
    output,
    settings::Settings,
};

/// Among so many of the latest imports one is looked for that brought no runs.
const IMPORTS_MAX: i64 = 1_000;

/// Take back what an import brought: all its runs are retracted
///
/// The read models drop every run that has an event of this import, also one that has events from
/// elsewhere; the ledger keeps them all. Orgs and users stay. Importing a file that has these runs brings
/// them back. An interrupted revert is run again: it goes on where it was.
#[derive(Args)]
pub struct Revert {
    /// The import's id, as `import event-log` and `import list` print it
    #[arg(value_name = "IMPORT", value_parser = NonEmptyStringValueParser::new())]
    import_id: String,
    /// The org that it went into, where the id occurs in several
    #[arg(long)]
    org: Option<OrgId>,
    /// Why, for people [default: import ID was reverted]
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Who says so
    #[arg(long, value_name = "USER")]
    by: Option<UserId>,
    /// Do not wait until the runs are gone
    #[arg(long)]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Revert {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let client = settings.connect_to_nats().await?;
        let runs = runs_of_import(settings, &client, &self.import_id, self.org).await?;
        let orgs: BTreeSet<_> = runs.iter().map(|run| run.org_id).collect();
        let [org_id] = Vec::from_iter(orgs)[..] else {
            return Err(self.not_one_org(settings, &runs).await?);
        };
        let reason = self.reason.clone().unwrap_or_else(|| format!("import {} was reverted", self.import_id));
        let (said, import_id) = (Said::Retracted { reason }, Some(self.import_id.clone()));
        let correction = Correction { said, by: self.by, import_id };
        let standing: Vec<_> = runs.iter().filter(|run| correction.changes(run)).collect();
        let acknowledged = correction.publish(&client, &standing).await?;
        let mut arrived = 0;
        if !self.no_wait {
            wait::until_corrected(settings, &client, acknowledged.last_stream_seq, org_id, &correction, &standing)
                .await?;
            let now = runs_of_import(settings, &client, &self.import_id, Some(org_id)).await?;
            arrived = now.iter().filter(|run| !run.is_retracted()).count();
        }
        self.report(org_id, standing.len(), runs.len() - standing.len(), arrived)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn not_one_org(&self, settings: &Settings, runs: &[RecordedRun]) -> anyhow::Result<anyhow::Error> {
        let import_id = output::printable(&self.import_id);
        let orgs: BTreeSet<_> = runs.iter().map(|run| run.org_id.to_string()).collect();
        if orgs.is_empty() {
            let imports = correction::imports(&mut settings.connect(Role::Admin).await?, self.org, IMPORTS_MAX).await?;
            return Ok(match imports.iter().any(|import| import.import_id == self.import_id) {
                true => anyhow!(
                    "import {import_id} brought requirements and no runs, and these cannot be reverted: withdraw them by events, see docs/REQUIREMENTS.md, or set is_active to false in the old table and import it again"
                ),
                false => anyhow!(
                    "the ledger has no runs of import {import_id}; `runledger import list` shows which imports there are"
                ),
            });
        }
        let orgs = Vec::from_iter(orgs).join(", ");
        Ok(anyhow!("import {import_id} occurs in several orgs: say which with --org: {orgs}"))
    }

    fn report(&self, org_id: OrgId, retracted: usize, already: usize, arrived: usize) -> anyhow::Result<()> {
        let import_id = &self.import_id;
        if self.json {
            return output::json(&json!({
                "org_id": org_id, "import_id": import_id, "retracted": retracted, "retracted_before": already,
                "arrived_meanwhile": arrived,
            }));
        }
        let import_id = output::printable(import_id);
        output::print(format!("reverted import {import_id} of org {org_id}: {retracted} runs retracted"))?;
        if already > 0 {
            output::print(format!("runs that were retracted before: {already}"))?;
        }
        if arrived > 0 {
            output::print(format!(
                "runs that arrived meanwhile and stand: {arrived}; the import seems to be running, revert it again when it is done"
            ))?;
        }
        Ok(output::print("the ledger keeps them; importing a file that has them brings them back")?)
    }
}

/// How far the org's ledger goes, once it has read all that the stream holds now: what is retracted later was
/// not known when the import began.
pub async fn position(settings: &Settings, client: &Client, org_id: OrgId) -> anyhow::Result<Seq> {
    let mut conn = read_up(settings, client).await?;
    Ok(read::head(&mut conn, org_id).await?.unwrap_or(Seq::ZERO))
}

/// What an import found retracted among the runs of its file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retracted {
    /// By the revert of an import, whichever: these are back.
    pub reinstated: usize,
    /// By hand, or while the import ran: these stay as they are.
    pub kept: usize,
}

/// Brings back those runs of an imported file that a revert took away before `position`: the file claims them.
/// Which import they came with does not matter, for a file that was mended or has grown is another import
/// of the same runs.
pub async fn reinstate(
    settings: &Settings,
    client: &Client,
    org_id: OrgId,
    import_id: Uuid,
    run_ids: &[RunId],
    position: Seq,
) -> anyhow::Result<Retracted> {
    let import_id = import_id.to_string();
    let mut conn = read_up(settings, client).await?;
    let mut runs = correction::runs_of_ids(&mut conn, org_id, run_ids).await?;
    runs.retain(RecordedRun::is_retracted);
    let is_reverted = |run: &&RecordedRun| {
        run.retraction().is_some_and(|retraction| retraction.import_id.is_some() && retraction.seq <= position)
    };
    let (reverted, kept): (Vec<_>, Vec<_>) = runs.iter().partition(is_reverted);
    if !reverted.is_empty() {
        let said = Said::Reinstated { reason: Some(format!("import {import_id} has it")) };
        let correction = Correction { said, by: None, import_id: Some(import_id) };
        let acknowledged = correction.publish(client, &reverted).await?;
        wait::until_corrected(settings, client, acknowledged.last_stream_seq, org_id, &correction, &reverted).await?;
    }
    Ok(Retracted { reinstated: reverted.len(), kept: kept.len() })
}

/// The runs that the import brought: what an interrupted revert or import has sent counts.
async fn runs_of_import(
    settings: &Settings,
    client: &Client,
    import_id: &str,
    org_id: Option<OrgId>,
) -> anyhow::Result<Vec<RecordedRun>> {
    let mut conn = read_up(settings, client).await?;
    Ok(correction::runs_of_import(&mut conn, import_id, org_id).await?)
}

/// A connection to a ledger that has read all that the stream holds now.
async fn read_up(settings: &Settings, client: &Client) -> anyhow::Result<PgConnection> {
    let stream = EventStream::ensure(client).await?;
    let mut conn = settings.connect(Role::Admin).await?;
    wait::until_read(&mut conn, &stream, stream.last_seq().await?).await?;
    Ok(conn)
}
