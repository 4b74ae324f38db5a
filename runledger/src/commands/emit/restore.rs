//! `emit --restore`: what `runledger replay` wrote, put back into a ledger that has lost it.
//!
//! Org by org: one that cannot be restored is named with the reason and left out, the others are restored.
//! Reading blocks; the command has nothing else to do meanwhile.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use events::id::OrgId;
use ledger::{
    connection::Role,
    restore::{self, OrgRestore, Proof, RestoreError, Restored},
};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    known_roots::KnownRoots,
    replayed_lines::{ReplayedLines, Trouble},
};
use crate::{output, progress::Progress, settings::Settings};

/// What to restore.
pub struct Restore {
    pub files: Vec<PathBuf>,
    pub unproved: bool,
    pub roots: KnownRoots,
    pub json: bool,
}

/// What became of an org, or of a line that says of none.
enum Outcome {
    Restored(Restored),
    Refused { org_id: Option<OrgId>, reason: String },
}

/// Why an org is not restored: it is refused, or nothing more can be done.
enum Stop {
    Refused(String),
    Failed(anyhow::Error),
}

impl Stop {
    fn at(place: &str, error: RestoreError) -> Self {
        match error {
            RestoreError::Refused(fault) if place.is_empty() => Self::Refused(fault.to_string()),
            RestoreError::Refused(fault) => Self::Refused(format!("{place}: {fault}")),
            error => Self::Failed(error.into()),
        }
    }
}

impl Restore {
    /// Exits 1 if anything was refused.
    pub async fn run(mut self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Owner).await?;
        restore::check_owner(&mut conn).await?;
        let mut lines = ReplayedLines::of(self.files.clone());
        let progress = Progress::start("restoring events", 0);
        let (mut restored, mut stood, mut refused, mut events) = (0, 0, 0, 0);
        while let Some(next) = lines.next_org() {
            let outcome = match next {
                Ok(org_id) => self.restore(&mut conn, org_id, &mut lines, &progress).await?,
                Err(Trouble { place, reason }) => {
                    Outcome::Refused { org_id: None, reason: format!("{place}: {reason}") }
                }
            };
            if let Outcome::Restored(org) = &outcome {
                self.roots.see(org.org_id, &org.root);
            }
            match &outcome {
                Outcome::Restored(org) if org.stood => stood += 1,
                Outcome::Restored(org) => (restored, events) = (restored + 1, events + org.size.get()),
                Outcome::Refused { .. } => refused += 1,
            }
            self.print(&outcome)?;
        }
        progress.finish();
        for unseen in self.roots.unseen() {
            let reason = format!("what was given does not restore {unseen}, which --root expects");
            self.print(&Outcome::Refused { org_id: None, reason })?;
            refused += 1;
        }
        if restored + stood + refused == 0 {
            bail!("there is no event to restore in what was given");
        }
        if !self.json {
            output::print(format!(
                "restored {events} events of {restored} orgs; {stood} orgs stood already, {refused} were refused"
            ))?;
        }
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn restore(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        lines: &mut ReplayedLines,
        progress: &Progress,
    ) -> anyhow::Result<Outcome> {
        match self.try_restore(conn, org_id, lines, progress).await {
            Ok(restored) => Ok(Outcome::Restored(restored)),
            Err(Stop::Refused(reason)) => {
                lines.skip(org_id);
                Ok(Outcome::Refused { org_id: Some(org_id), reason })
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn try_restore(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        lines: &mut ReplayedLines,
        progress: &Progress,
    ) -> Result<Restored, Stop> {
        let mut org = OrgRestore::begin(conn, org_id).await.map_err(|error| Stop::at("", error))?;
        // A line that is no event may be the next org's: one whose last event has its root is complete.
        while !(org.is_proved() && lines.is_troubled())
            && let Some((place, replayed)) = lines.next_of(org_id)
        {
            let replayed = replayed.map_err(|reason| Stop::Refused(format!("{place}: {reason}")))?;
            org.take(replayed).await.map_err(|error| Stop::at(&place.to_string(), error))?;
            progress.add(1);
        }
        let roots = self.roots.of_org(org_id);
        org.finish(&roots, self.unproved).await.map_err(|error| Stop::at("", error))
    }

    fn print(&self, outcome: &Outcome) -> anyhow::Result<()> {
        match outcome {
            Outcome::Restored(Restored { org_id, size, root, stood, proof }) if self.json => {
                let outcome = if *stood { "stood" } else { "restored" };
                let is_proved = *proof != Proof::None;
                output::json(&json!({
                    "org_id": org_id, "outcome": outcome, "size": size, "root": output::hex(root), "proved": is_proved,
                }))
            }
            Outcome::Refused { org_id, reason } if self.json => {
                output::json(&json!({ "org_id": org_id, "outcome": "refused", "reason": reason }))
            }
            Outcome::Restored(Restored { org_id, size, root, stood, proof }) => {
                let did = if *stood { "stood already" } else { "restored" };
                let proof = match proof {
                    Proof::Given => "the one given by --root",
                    Proof::Replay => "equal to the source's",
                    Proof::None => "of which the replay says nothing",
                };
                Ok(output::print(format!("org {org_id}: {did}, {size} events, root {}, {proof}", output::hex(root)))?)
            }
            Outcome::Refused { org_id, reason } => {
                let what = match org_id {
                    Some(org_id) => format!("org {org_id} is not restored, nothing of it was written"),
                    None => "not restored".to_owned(),
                };
                eprintln!("{what}: {}", output::printable(reason));
                Ok(())
            }
        }
    }
}
