//! Any run as it was at any time, and what changed, and any read model as it was: folded from events when somebody asks.
//!
//! The rows are those of the projector: the same fold makes them, leaves out what is parked, and
//! PostgreSQL writes them as it writes the rows of the tables, so a run as of now is its live row, byte
//! for byte. Nothing is stored. The events are read as a stream: memory is that of the fold.
//!
//! Called by commands. Who asks must have said in which role, and as a tenant for which org, as for
//! [`query`](crate::query). What the fold and the lookup tables of today make of the events of then is
//! shown, not what an older version of the program made of them.

use std::{collections::HashSet, pin::pin};

use chrono::{DateTime, Utc};
use events::{
    RecordedEvent, Refusal,
    id::{OrgId, RunId, Seq},
};
use futures::StreamExt;
use ledger::read::{self, ReadError};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{
    batch,
    checkpoint::Version,
    generation::Target,
    parked,
    projection::{FoldEvent, Lookups, Projection, Subject},
    user_workflow_run::{Rows, UserWorkflowRun},
};

mod change;
mod comparison;
mod difference;
mod entry;
mod point;
mod recall;

pub use change::{Change, RunChanges, StepChanges};
pub use comparison::{MatchedBy, RunComparison, StepComparison};
pub use difference::{Difference, Differences};
pub use entry::{Entry, each_entry};
pub use point::{InvalidKnownAt, KnownAt, Point};
pub use recall::{RecallError, recall};

/// Why a run cannot be shown as it was.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while the history of run {run_id} was read")]
    Database {
        /// Which run.
        run_id: RunId,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
    /// A newer program has recorded an event that this one does not know.
    #[error("the event of org {org_id} at seq {seq} needs a newer runledger: {}", refusal.reason)]
    Unknown {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
        /// What it is that is not known.
        refusal: Refusal,
    },
    /// A row is not what rows are.
    #[error("the row of run {run_id} cannot be read as JSON")]
    Row {
        /// Which run.
        run_id: RunId,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The run at each of these points, from one reading of its events: its row with `steps`, as
/// [`run_show`](crate::query::run_show) gives it, or none where the events that count make no row.
///
/// # Errors
/// When PostgreSQL fails, or an event that counts needs a newer program.
pub async fn run_at<const N: usize>(
    conn: &mut PgConnection,
    org_id: OrgId,
    run_id: RunId,
    points: [Point; N],
) -> Result<[Option<Box<RawValue>>; N], HistoryError> {
    let folding = Folding::of(conn, org_id, run_id).await?;
    let mut states = points.map(|point| (point, UserWorkflowRun::default()));
    let through = points.iter().map(Point::through).max().unwrap_or(Seq::ZERO);
    let subjects = [run_id.subject()];
    {
        let mut events = pin!(read::events_of_subjects(conn, org_id, &subjects, UserWorkflowRun::FAMILIES, through));
        while let Some(recorded) = events.next().await.transpose()? {
            for (_, state) in states.iter_mut().filter(|(point, _)| point.includes(&recorded)) {
                state.apply(folding.event(&recorded)?);
            }
        }
    }
    let mut shown = [const { None }; N];
    for (shown, (_, mut state)) in shown.iter_mut().zip(states) {
        *shown = folding.show(conn, folding.rows(&mut state)).await?;
    }
    Ok(shown)
}

/// How a run's events begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The earliest time at which one of them happened.
    pub occurred_at: DateTime<Utc>,
    /// When the first of them was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its place in the ledger.
    pub seq: Seq,
}

/// How the events that make the run begin; none if it has none. For a message: reads all of them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn beginning(
    conn: &mut PgConnection,
    org_id: OrgId,
    run_id: RunId,
) -> Result<Option<Beginning>, HistoryError> {
    let subjects = [run_id.subject()];
    let through = Point::NOW.through();
    let mut events = pin!(read::events_of_subjects(conn, org_id, &subjects, &["run", "step"], through));
    let mut beginning: Option<Beginning> = None;
    while let Some(recorded) = events.next().await.transpose()? {
        let occurred_at = recorded.event.occurred_at;
        let first = Beginning { occurred_at, recorded_at: recorded.recorded_at, seq: recorded.seq };
        let beginning = beginning.get_or_insert(first);
        beginning.occurred_at = beginning.occurred_at.min(occurred_at);
    }
    Ok(beginning)
}

/// What folding a run takes beside its events.
struct Folding {
    subject: Subject,
    lookups: Lookups,
    parked: HashSet<Seq>,
}

impl Folding {
    async fn of(conn: &mut PgConnection, org_id: OrgId, run_id: RunId) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Database { run_id, source };
        let subject_id = run_id.subject();
        let lookups = Lookups::load(conn).await.map_err(failed)?;
        let parked = parked::seqs(conn, Version::of::<UserWorkflowRun>(), Target::Kept, org_id, &[subject_id]).await;
        Ok(Self { subject: Subject { org_id, subject_id }, lookups, parked: parked.map_err(failed)? })
    }

    fn run_id(&self) -> RunId {
        RunId::of_subject(self.subject.subject_id)
    }

    fn event<'e>(&self, recorded: &'e RecordedEvent) -> Result<FoldEvent<'e>, HistoryError> {
        batch::reread::<UserWorkflowRun>(recorded, &self.parked).map_err(|refusal| HistoryError::Unknown {
            org_id: self.subject.org_id,
            seq: recorded.seq,
            refusal,
        })
    }

    fn rows(&self, state: &mut UserWorkflowRun) -> Rows {
        let mut rows = Rows::default();
        state.take_rows(self.subject, &self.lookups, &mut rows);
        rows
    }

    /// The rows as the tables would give them.
    async fn show(&self, conn: &mut PgConnection, rows: Rows) -> Result<Option<Box<RawValue>>, HistoryError> {
        let Some(run) = rows.runs.first() else { return Ok(None) };
        let run_id = self.run_id();
        let unreadable = |source| HistoryError::Row { run_id, source };
        let run = serde_json::to_string(run).map_err(unreadable)?;
        let steps = serde_json::to_string(&rows.steps).map_err(unreadable)?;
        let shown = sqlx::query_file_scalar!("src/history/run.sql", run, steps).fetch_one(conn).await;
        let shown = shown.map_err(|source| HistoryError::Database { run_id, source })?;
        RawValue::from_string(shown.unwrap_or_default()).map(Some).map_err(unreadable)
    }
}
