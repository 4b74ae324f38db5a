//! `runledger verify`: recomputes the integrity tree of every org and names the first event that
//! disagrees.

use std::{process::ExitCode, sync::Arc};

use anyhow::bail;
use clap::Args;
use events::id::{OrgId, Seq};
use futures::{StreamExt, TryStreamExt};
#[cfg(feature = "archive")]
use ledger::archive::store::Directory;
use ledger::{
    connection::{Database, Role},
    read::ReadError,
    verify::{self, Verdict},
};
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use crate::{output, progress::Progress, settings::Settings};

/// Recompute the integrity tree and compare it with the events and the heads
#[derive(Args)]
pub struct Verify {
    /// This org only
    #[arg(long)]
    org: Option<OrgId>,
    /// Read the archives too, in this directory or at this URL [default: where they were written]
    #[cfg(feature = "archive")]
    #[arg(long, value_name = "DIR|URL", num_args = 0..=1, value_parser = Directory::parse)]
    archive: Option<Option<Directory>>,
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
        let database = settings.database(Role::Admin)?;
        let evidence = self.evidence();
        let verdicts = verify_orgs(&database, self.org, &evidence, self.jobs.into()).await?;
        for (org_id, verdict) in &verdicts {
            if self.json {
                output::json(&as_json(*org_id, verdict))?;
            } else {
                output::print(output::printable(&sentence(*org_id, verdict, &evidence)))?;
            }
        }
        if verdicts.is_empty() && !self.json {
            output::print("no org is registered yet")?;
        }
        let intact = verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Intact { .. }));
        Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Verify {
    #[cfg(feature = "archive")]
    fn evidence(&self) -> Evidence {
        match &self.archive {
            None => Evidence::Database,
            Some(directory) => Evidence::Archive(directory.clone()),
        }
    }

    #[cfg(not(feature = "archive"))]
    fn evidence(&self) -> Evidence {
        Evidence::Database
    }
}

/// What is looked at.
#[derive(Clone)]
pub enum Evidence {
    /// What the database has.
    Database,
    /// The archive files too, those of this directory if one is given.
    #[cfg(feature = "archive")]
    Archive(Option<Directory>),
}

impl Evidence {
    async fn verify(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        progress: impl FnMut(u64),
    ) -> Result<Verdict, ReadError> {
        match self {
            Self::Database => verify::verify_org(conn, org_id, progress).await,
            #[cfg(feature = "archive")]
            Self::Archive(directory) => {
                verify::verify_org_and_archive(conn, org_id, directory.as_ref(), progress).await
            }
        }
    }
}

/// Verifies one org or all, some at a time, and shows progress.
pub async fn verify_orgs(
    database: &Database,
    only: Option<OrgId>,
    evidence: &Evidence,
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
            let (progress, idle, evidence) = (progress.clone(), idle.clone(), evidence.clone());
            async move {
                let spare = idle.lock().await.pop();
                let mut conn = match spare {
                    Some(conn) => conn,
                    None => database.connect().await?,
                };
                let verdict = evidence.verify(&mut conn, org_id, |count| progress.add(count)).await?;
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
pub fn sentence(org_id: OrgId, verdict: &Verdict, evidence: &Evidence) -> String {
    match verdict {
        Verdict::Intact { size, root, archived } => {
            let of_which = if archived.get() == 0 { String::new() } else { archived_note(*archived, evidence) };
            format!("org {org_id}: intact, {size} events{of_which}, root {}", output::hex(root))
        }
        Verdict::Missing(seq) => format!("org {org_id}: the event at seq {seq} is missing"),
        Verdict::Changed(seq) => format!("org {org_id}: the event at seq {seq} is not what was appended"),
        Verdict::BeyondHead(seq) => {
            format!("org {org_id}: an event stands at seq {seq}, behind the head; it was not appended by the ledger")
        }
        Verdict::BeyondArchive(seq) => {
            format!(
                "org {org_id}: something is kept of an archived event at seq {seq}, and none is archived there; it was not kept by the ledger"
            )
        }
        Verdict::Archive { seq, fault } => {
            format!("org {org_id}: the archive does not give the event at seq {seq}: {fault}")
        }
        Verdict::OtherRoot => {
            format!(
                "org {org_id}: every event agrees with its leaf hash, but the tree over them is not the head's: events and hashes were replaced together, or the head was changed"
            )
        }
    }
}

fn archived_note(archived: Seq, evidence: &Evidence) -> String {
    match evidence {
        Evidence::Database => {
            format!(" of which {archived} archived (proved by their leaf hashes only; `verify --archive` reads them)")
        }
        #[cfg(feature = "archive")]
        Evidence::Archive(_) => format!(" of which {archived} archived (read from the archive)"),
    }
}

fn as_json(org_id: OrgId, verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Intact { size, root, archived } => {
            let mut intact = json!({ "org_id": org_id, "verdict": "intact", "size": size, "root": output::hex(root) });
            if archived.get() > 0 {
                intact["archived"] = json!(archived);
            }
            intact
        }
        Verdict::Missing(seq) => json!({ "org_id": org_id, "verdict": "missing", "seq": seq }),
        Verdict::Changed(seq) => json!({ "org_id": org_id, "verdict": "changed", "seq": seq }),
        Verdict::BeyondHead(seq) => json!({ "org_id": org_id, "verdict": "beyond_head", "seq": seq }),
        Verdict::BeyondArchive(seq) => json!({ "org_id": org_id, "verdict": "beyond_archive", "seq": seq }),
        Verdict::Archive { seq, fault } => {
            json!({ "org_id": org_id, "verdict": "archive", "seq": seq, "fault": fault })
        }
        Verdict::OtherRoot => json!({ "org_id": org_id, "verdict": "other_root" }),
    }
}
