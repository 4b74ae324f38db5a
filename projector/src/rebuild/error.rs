use events::{
    Refusal,
    id::{OrgId, Seq},
};
use ledger::read::ReadError;
use sqlx::postgres::PgDatabaseError;
use tokio::task::JoinError;

use crate::{
    advance::StepError,
    embedding::{EmbedderError, OtherEmbedder},
    registry::RegistryError,
};

/// Why a rebuild did not come to its end. What serves is whole: the old tables of a projection, or the new ones.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum RebuildError {
    #[error("PostgreSQL failed during the rebuild: {0}; what serves is whole, run it again and it goes on")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("{0}; what was embedded is kept, run it again and it goes on")]
    Embedder(#[from] EmbedderError),
    #[error(transparent)]
    OtherEmbedder(#[from] OtherEmbedder),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{projection} is being rebuilt already, by PostgreSQL session {pid} since {since}; wait for it, or end it")]
    Taken { projection: &'static str, pid: i32, since: String },
    #[error("org {0} has no events; `runledger org list` shows which orgs there are")]
    UnknownOrg(OrgId),
    #[error(
        "the event of org {org_id} at seq {seq} is not what was appended, and nothing is rebuilt from it: run `runledger verify --org {org_id}`"
    )]
    Changed { org_id: OrgId, seq: Seq },
    #[error(
        "the ledger of org {org_id} goes up to seq {expected} and only {found} events of it are there, and nothing is rebuilt from them: run `runledger verify --org {org_id}`"
    )]
    Missing { org_id: OrgId, found: u64, expected: Seq },
    #[error("the event of org {org_id} at seq {seq} can be folded only by a newer runledger: {refusal}")]
    Newer { org_id: OrgId, seq: Seq, refusal: Refusal },
    #[error(
        "a projector has {projection} of org {org_id} in hand and has not moved it from seq {at} for a minute; look at its log, then run this again"
    )]
    Stalled { projection: &'static str, org_id: OrgId, at: Seq },
    #[error("nothing is known of {0} yet; run `runledger migrate` and start a projector")]
    NothingServes(&'static str),
    #[error(
        "{projection} is served by version {serving} of its fold, and this runledger has version {version}: one org alone cannot have another version; leave --org out"
    )]
    OneOrgOfAnotherVersion { projection: &'static str, serving: i32, version: i32 },
    #[error(
        "{projection} is served by rows made with {serving}, and this is set to {wanted}: one org alone cannot have another embedder; leave --org out"
    )]
    OneOrgOfAnotherEmbedder { projection: &'static str, serving: String, wanted: String },
    #[error(
        "{projection} is served by version {serving} of its fold, and this runledger has the older version {version}; use runledger {made_by} or later"
    )]
    OlderFold { projection: &'static str, serving: i32, version: i32, made_by: String },
    #[error("another rebuild has taken the place of this one, which lost its connection, with new tables of {0}")]
    Superseded(&'static str),
    #[error("{message}. {hint}")]
    NotRebuildable { message: String, hint: String },
    #[error("no replaced tables of {0} are kept, so there is nothing to go back to")]
    NothingReplaced(&'static str),
    #[error(
        "the replaced tables of {projection} were made by version {version} of its fold, which this runledger does not have; use runledger {made_by} to go back to them"
    )]
    OtherFold { projection: &'static str, version: i32, made_by: String },
    #[error(
        "the replaced tables of {projection} are made with {replaced}, and this is set to {wanted}: run it with the embedder whose model that is (and --alike-from)"
    )]
    ReplacedOfAnotherEmbedder { projection: &'static str, replaced: String, wanted: String },
    #[error(
        "PostgreSQL session {pid} ({application}) has been reading in one transaction since {since}, and would miss rows after a swap; end it and run this again, it goes on"
    )]
    Reader { pid: i32, application: String, since: String },
    #[error(
        "the tables of {0} could not be locked for the swap in time, because they are read, written or vacuumed without a pause; run this again, it goes on"
    )]
    Busy(&'static str),
    #[error("a task of the rebuild died: {0}; what serves is whole; report this")]
    Died(#[from] JoinError),
}

impl RebuildError {
    /// What the owner's functions refuse is said in their words.
    pub(super) fn of_refusal(error: sqlx::Error) -> Self {
        let refusal = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        match refusal {
            Some(refusal) if refusal.hint().is_some() => Self::NotRebuildable {
                message: refusal.message().to_owned(),
                hint: refusal.hint().unwrap_or_default().to_owned(),
            },
            _ => error.into(),
        }
    }

    /// Whether it is to be tried again without a word: somebody else does it.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}
