//! `runledger seed`: publishes the sample, the same every time.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::bail;
use clap::Args;
use events::id::OrgId;
use ledger::{connection::Role, read, stream::EventStream};
use serde_json::json;

use super::wait;
use crate::{
    output,
    progress::Progress,
    publisher::{Publication, Publisher},
    settings::Settings,
    simulation::sample::Sample,
};

/// Publish a small sample, the same every time, and wait until it can be seen
///
/// Two orgs with users, portals, endpoints, task types with requirements, workflows of two revisions, a batch each, and
/// runs in every status. What everyone and a payer require is the shared org's, so every org sees it. Ids are the same each
/// time too: publishing it again changes nothing. A tenant of your own for tests is
/// made by `runledger org add`, more runs by `runledger simulate`.
#[derive(Args)]
pub struct Seed {
    /// Only publish; do not wait until it can be seen
    #[arg(long)]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Seed {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let sample = Sample::make()?;
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let before = if self.no_wait { None } else { Some(known(settings, &sample).await?) };
        let stream_seq = publish(&client, &sample).await?;
        let mut new = None;
        if let Some(before) = before {
            let orgs: Vec<_> = before.keys().copied().collect();
            wait::until_projected(settings, &client, stream_seq, &orgs).await?;
            let after = known(settings, &sample).await?;
            expect_all(&sample, &after)?;
            new = Some(after.values().sum::<usize>() - before.values().sum::<usize>());
        }
        self.report(&sample, new)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, sample: &Sample, new: Option<usize>) -> anyhow::Result<()> {
        let (events, runs) = (sample.events.len(), sample.runs);
        if self.json {
            let orgs: Vec<_> =
                sample.orgs.iter().map(|org| json!({ "org_id": org.org_id, "name": org.name })).collect();
            return output::json(&json!({ "orgs": orgs, "runs": runs, "events": events, "new": new }));
        }
        let news = match new {
            None => "published".to_owned(),
            Some(0) => "all there before".to_owned(),
            Some(new) => format!("{new} of them new"),
        };
        output::print(format!("the sample: {runs} runs in {} orgs, {events} events, {news}", sample.orgs.len()))?;
        for org in &sample.orgs {
            output::print(format!("  {}  {}", org.org_id, org.name))?;
        }
        let Some(org) = sample.orgs.first() else { return Ok(()) };
        let org_id = org.org_id;
        output::print("look at it:")?;
        output::print(format!("  runledger runs list --org {org_id}"))?;
        if let Some(run_id) = sample.failed_run() {
            output::print(format!("  runledger runs show {run_id}"))?;
        }
        if let Some(run_id) = sample.authorisation() {
            output::print(format!("  runledger runs show {run_id} --requirements"))?;
        }
        output::print("  runledger batches list")?;
        let (workflow_id, earlier) = sample.revised_workflow()?;
        output::print(format!("  runledger workflows diff {workflow_id} --from {earlier} --org {org_id}"))?;
        output::print(format!("  runledger catalogue list endpoints --org {org_id}"))?;
        let (task_type_id, payer_id) = sample.rules_for;
        output::print(format!(
            "  runledger requirements show --org {org_id} --task-type {task_type_id} --payer {payer_id}"
        ))?;
        Ok(())
    }
}

/// Its last event's place in the stream.
async fn publish(client: &async_nats::Client, sample: &Sample) -> anyhow::Result<u64> {
    let progress = Progress::start("publishing the sample", sample.events.len() as u64);
    let mut publisher = Publisher::new(client);
    for event in &sample.events {
        publisher.publish(Publication::of(event)).await?;
        progress.add(1);
    }
    let published = publisher.finish().await;
    progress.finish();
    Ok(published?.last_stream_seq)
}

/// How many of the sample's events the ledger has, org by org.
async fn known(settings: &Settings, sample: &Sample) -> anyhow::Result<BTreeMap<OrgId, usize>> {
    let mut conn = settings.connect(Role::Admin).await?;
    let mut known = BTreeMap::new();
    for (org_id, event_ids) in sample.event_ids() {
        known.insert(org_id, read::events_known(&mut conn, org_id, &event_ids).await?.len());
    }
    Ok(known)
}

/// Whether the ledger has taken everything.
fn expect_all(sample: &Sample, known: &BTreeMap<OrgId, usize>) -> anyhow::Result<()> {
    for (org_id, event_ids) in sample.event_ids() {
        let (known, events) = (known.get(&org_id).copied().unwrap_or(0), event_ids.len());
        if known < events {
            bail!(
                "the ledger has {known} of the sample's {events} events of org {org_id}; see why with `runledger dead-letters list --org {org_id}`"
            );
        }
    }
    Ok(())
}
