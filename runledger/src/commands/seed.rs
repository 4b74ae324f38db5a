//! `runledger seed`: publishes the sample, the same every time.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::bail;
use clap::Args;
use events::id::{OrgId, SHARED_ORG};
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
/// runs in every status. Ids are the same each time too: publishing it again changes nothing. A tenant of your own for tests is
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
        let before = if self.no_wait { None } else { Some(heads(settings, &sample).await?) };
        let stream_seq = publish(&client, &sample).await?;
        let mut new = None;
        if let Some(before) = before {
            let orgs: Vec<_> = before.keys().copied().collect();
            wait::until_projected(settings, &client, stream_seq, &orgs).await?;
            let after = heads(settings, &sample).await?;
            expect_all(&sample, &after)?;
            // The shared org may have got others in the meantime.
            let grown = after.values().sum::<i64>() - before.values().sum::<i64>();
            new = Some(grown.min(sample.events.len() as i64));
        }
        self.report(&sample, new)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, sample: &Sample, new: Option<i64>) -> anyhow::Result<()> {
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

/// How many events the sample's orgs have, and everyone's.
async fn heads(settings: &Settings, sample: &Sample) -> anyhow::Result<BTreeMap<OrgId, i64>> {
    let mut conn = settings.connect(Role::Admin).await?;
    let mut heads = BTreeMap::new();
    for org_id in sample.orgs.iter().map(|org| org.org_id).chain([SHARED_ORG]) {
        let head = read::head(&mut conn, org_id).await?;
        heads.insert(org_id, head.map_or(0, |head| head.get()));
    }
    Ok(heads)
}

/// Whether the ledger has taken everything.
fn expect_all(sample: &Sample, heads: &BTreeMap<OrgId, i64>) -> anyhow::Result<()> {
    for (&org_id, &head) in heads {
        let events = sample.events.iter().filter(|event| event.org_id == org_id).count();
        if usize::try_from(head)? < events {
            bail!(
                "the ledger has {head} of the sample's {events} events of org {org_id}; see why with `runledger dead-letters list --org {org_id}`"
            );
        }
    }
    Ok(())
}
