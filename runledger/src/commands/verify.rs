//! `runledger verify`: recomputes the integrity tree of every org and names the first event that
//! disagrees.

use std::{process::ExitCode, sync::Arc};

use anyhow::bail;
use clap::Args;
use events::id::{OrgId, Seq};
use futures::{StreamExt, TryStreamExt};
use ledger::{
    connection::{Database, Role},
    verify::{self, Verdict},
};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{output, progress::Progress, settings::Settings};

/// Recompute the integrity tree and compare it with the events and the heads
#[derive(Args)]
pub struct Verify {
    /// This org only
    #[arg(long)]
    org: Option<OrgId>,
    /// How many orgs at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Print JSON, one object an org
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Exits 1 if anything disagrees.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let verdicts = verify_orgs(&settings.database(Role::Admin)?, self.org, self.jobs.into()).await?;
        for (org_id, verdict) in &verdicts {
            if self.json {
                output::json(&as_json(*org_id, verdict))?;
            } else {
                output::print(sentence(*org_id, verdict))?;
            }
        }
        if verdicts.is_empty() && !self.json {
            output::print("no org is registered yet")?;
        }
        let intact = verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Intact { .. }));
        Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Verifies one org or all, some at a time, and shows progress.
pub async fn verify_orgs(
    database: &Database,
    only: Option<OrgId>,
    jobs: usize,
) -> anyhow::Result<Vec<(OrgId, Verdict)>> {
    let mut orgs = verify::orgs(&mut database.connect().await?).await?;
    if let Some(org_id) = only {
        orgs.retain(|(known, _)| *known == org_id);
        if orgs.is_empty() {
            bail!("org {org_id} is not registered; `runledger org list` shows which are");
        }
    }
    let progress =
        Progress::start("verifying events", orgs.iter().map(|(_, size): &(OrgId, Seq)| size.get() as u64).sum());
    let idle = Arc::new(Mutex::new(Vec::new()));
    let verdicts = futures::stream::iter(orgs)
        .map(|(org_id, _)| {
            let (progress, idle) = (progress.clone(), idle.clone());
            async move {
                let spare = idle.lock().await.pop();
                let mut conn = match spare {
                    Some(conn) => conn,
                    None => database.connect().await?,
                };
                let verdict = verify::verify_org(&mut conn, org_id, |count| progress.add(count)).await?;
                idle.lock().await.push(conn);
                anyhow::Ok((org_id, verdict))
            }
        })
        .buffered(jobs)
        .try_collect()
        .await;
    progress.finish();
    verdicts
}

/// What was found, for people.
pub fn sentence(org_id: OrgId, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Intact { size, root } => format!("org {org_id}: intact, {size} events, root {}", hex(root)),
        Verdict::Missing(seq) => format!("org {org_id}: the event at seq {seq} is missing"),
        Verdict::Changed(seq) => format!("org {org_id}: the event at seq {seq} is not what was appended"),
        Verdict::BeyondHead(seq) => {
            format!("org {org_id}: an event stands at seq {seq}, behind the head; it was not appended by the ledger")
        }
        Verdict::OtherRoot => {
            format!(
                "org {org_id}: every event agrees with its leaf hash, but the tree over them is not the head's: events and hashes were replaced together, or the head was changed"
            )
        }
    }
}

fn as_json(org_id: OrgId, verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Intact { size, root } => {
            json!({ "org_id": org_id, "verdict": "intact", "size": size, "root": hex(root) })
        }
        Verdict::Missing(seq) => json!({ "org_id": org_id, "verdict": "missing", "seq": seq }),
        Verdict::Changed(seq) => json!({ "org_id": org_id, "verdict": "changed", "seq": seq }),
        Verdict::BeyondHead(seq) => json!({ "org_id": org_id, "verdict": "beyond_head", "seq": seq }),
        Verdict::OtherRoot => json!({ "org_id": org_id, "verdict": "other_root" }),
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
