//! The events of an org's batch, subject by subject: state from the cache or folded anew, the batch's events
//! on top, changed rows out. Where the order of an org's events matters, its one state comes from `advance::past`.
//!
//! Memory stays bounded by the batch, the cache's size and one subject: rows are written whenever
//! they have come to `ROWS_BYTES_MAX`, and states beyond the cache's size are not kept.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::Arc,
};

use events::{
    RecordedEvent, Refusal,
    id::{OrgId, Seq, SubjectId},
};
use futures::{Stream, StreamExt};
use ledger::read::{self, ReadError};
use sqlx::PgConnection;

use crate::{
    advance::refuses_rows,
    cache::StateCache,
    checkpoint::Version,
    embedding::{self, Embedder, Lack, Rendition},
    generation::Target,
    parked,
    projection::{FoldEvent, Lookups, Projection, Subject},
};

/// Rows on their way into the tables take about so many bytes at most, those of one subject aside.
const ROWS_BYTES_MAX: usize = 16 << 20;

/// Why a batch was not folded.
#[derive(Debug)]
pub enum FoldError {
    /// The ledger could not be read.
    Read(ReadError),
    /// PostgreSQL failed.
    Database(sqlx::Error),
    /// PostgreSQL refuses the rows for what is in them.
    Refused(sqlx::Error),
    /// Rows need embeddings of these texts, and there are none yet.
    Unembedded(Vec<Rendition>),
    /// A newer projector has folded an event that this one does not know.
    Unknown {
        /// Which event.
        seq: Seq,
        /// What it is that is not known.
        refusal: Refusal,
    },
}

impl From<sqlx::Error> for FoldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Lack> for FoldError {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Renditions(renditions) => Self::Unembedded(renditions),
            Lack::Database(error) => Self::Database(error),
        }
    }
}

/// Events of several subjects, in the order in which the ledger gives subjects out.
type BySubject<'a> = BTreeMap<SubjectId, Vec<FoldEvent<'a>>>;

/// What comes out of the batches of a step, one an org.
pub struct Output<P: Projection> {
    embedder: Arc<dyn Embedder>,
    rows: P::Rows,
    rows_bytes: usize,
    /// Of the states that are to be cached after the commit.
    states_weight: usize,
}

impl<P: Projection> Output<P> {
    /// Nothing yet; embeddings are those of this embedder.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder, rows: P::Rows::default(), rows_bytes: 0, states_weight: 0 }
    }

    /// Writes the rows that are not in the tables yet.
    pub async fn write(&mut self, conn: &mut PgConnection) -> Result<(), FoldError> {
        self.rows_bytes = 0;
        let mut rows = std::mem::take(&mut self.rows);
        embedding::complete::<P>(&mut rows, &*self.embedder, conn).await?;
        P::write(&rows, conn)
            .await
            .map_err(|error| if refuses_rows(&error) { FoldError::Refused(error) } else { FoldError::Database(error) })
    }

    async fn write_if_full(&mut self, conn: &mut PgConnection) -> Result<(), FoldError> {
        if self.is_full() { self.write(conn).await } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.rows_bytes >= ROWS_BYTES_MAX
    }
}

/// A batch of events of one org.
pub struct Batch<'a, P: Projection> {
    generation: i32,
    org_id: OrgId,
    /// The checkpoint: all events up to it are in the tables.
    after: Seq,
    lookups: &'a Lookups,
    cache: &'a StateCache<P>,
    output: &'a mut Output<P>,
    states: Vec<(SubjectId, P)>,
}

impl<'a, P: Projection> Batch<'a, P> {
    /// An empty batch of the events after `after`, for the tables of this generation.
    pub fn new(
        generation: i32,
        org_id: OrgId,
        after: Seq,
        lookups: &'a Lookups,
        cache: &'a StateCache<P>,
        output: &'a mut Output<P>,
    ) -> Self {
        Self { generation, org_id, after, lookups, cache, output, states: Vec::new() }
    }

    /// Folds the events. The rows that they change are in the output, or written where it was full.
    pub async fn fold(
        &mut self,
        conn: &mut PgConnection,
        events: impl IntoIterator<Item = (&'a RecordedEvent, FoldEvent<'a>)>,
    ) -> Result<(), FoldError> {
        let mut subjects = BySubject::new();
        for (recorded, event) in events {
            subjects.entry(recorded.event.subject_id).or_default().push(event);
        }
        let mut missing = BySubject::new();
        for (subject_id, events) in subjects {
            let cached = self.cache.take(self.org_id, subject_id);
            // Nothing comes before the first batch, so there is nothing to look up.
            match cached.or_else(|| (self.after == Seq::ZERO).then(P::default)) {
                Some(state) => self.finish(subject_id, state, events),
                None => {
                    missing.insert(subject_id, events);
                }
            }
            self.output.write_if_full(conn).await?;
        }
        self.fold_new(conn, &mut missing).await?;
        while !missing.is_empty() {
            self.fold_missing(conn, &mut missing).await?;
            self.output.write_if_full(conn).await?;
        }
        Ok(())
    }

    /// Folds the events in their order into the state of the org as it is at the checkpoint.
    pub async fn fold_in_order(
        &mut self,
        conn: &mut PgConnection,
        state: P,
        events: impl IntoIterator<Item = FoldEvent<'a>>,
    ) -> Result<(), FoldError> {
        let mut events: Vec<_> = events.into_iter().collect();
        embedding::attach(&mut events, &state, &*self.output.embedder, conn).await?;
        self.finish(self.org_id.subject(), state, events);
        self.output.write_if_full(conn).await
    }

    /// The states to be cached after the commit.
    pub fn into_states(self) -> Vec<(SubjectId, P)> {
        self.states
    }

    /// Folds subjects that begin with this batch: most of those that are not cached.
    async fn fold_new(&mut self, conn: &mut PgConnection, missing: &mut BySubject<'a>) -> Result<(), FoldError> {
        if missing.is_empty() {
            return Ok(());
        }
        let subjects: Vec<_> = missing.keys().copied().collect();
        let begun = read::subjects_begun(conn, self.org_id, &subjects, self.after).await?;
        for (subject_id, events) in missing.extract_if(.., |subject_id, _| !begun.contains(subject_id)) {
            self.finish(subject_id, P::default(), events);
            self.output.write_if_full(conn).await?;
        }
        Ok(())
    }

    /// Folds subjects that are not cached, from their first event on, until there are rows enough.
    async fn fold_missing(&mut self, conn: &mut PgConnection, missing: &mut BySubject<'a>) -> Result<(), FoldError> {
        let subjects: Vec<_> = missing.keys().copied().collect();
        let parked =
            parked::seqs(conn, Version::of::<P>(), Target::Generation(self.generation), self.org_id, &subjects).await?;
        let prior = read::events_of_subjects(conn, self.org_id, &subjects, P::FAMILIES, self.after);
        self.fold_stream(prior, &parked, missing).await
    }

    /// `prior` are events that are in the tables already, ordered by subject.
    async fn fold_stream(
        &mut self,
        prior: impl Stream<Item = Result<RecordedEvent, ReadError>>,
        parked: &HashSet<Seq>,
        missing: &mut BySubject<'a>,
    ) -> Result<(), FoldError> {
        let mut prior = pin!(prior.peekable());
        while !self.output.is_full()
            && let Some((subject_id, events)) = missing.pop_first()
        {
            let mut state = P::default();
            let is_next =
                |next: &Result<RecordedEvent, _>| next.as_ref().map_or(true, |r| r.event.subject_id == subject_id);
            while let Some(recorded) = prior.as_mut().next_if(is_next).await {
                let recorded = recorded.map_err(FoldError::Read)?;
                let event = reread::<P>(&recorded, parked);
                state.apply(event.map_err(|refusal| FoldError::Unknown { seq: recorded.seq, refusal })?);
            }
            state.forget_changes();
            self.finish(subject_id, state, events);
        }
        Ok(())
    }

    fn finish(&mut self, subject_id: SubjectId, mut state: P, events: Vec<FoldEvent<'a>>) {
        for event in events {
            state.apply(event);
        }
        let subject = Subject { org_id: self.org_id, subject_id };
        let Output { rows, rows_bytes, states_weight, .. } = &mut *self.output;
        *rows_bytes += state.take_rows(subject, self.lookups, rows);
        let weight = state.weight();
        if *states_weight == 0 || *states_weight + weight <= self.cache.weight_max() {
            *states_weight += weight;
            self.states.push((subject_id, state));
        }
    }
}

/// An event that has been folded before, by this process or another: a parked one stays unfoldable.
///
/// # Errors
/// As [`FoldEvent::read`].
pub fn reread<'e, P: Projection>(recorded: &'e RecordedEvent, parked: &HashSet<Seq>) -> Result<FoldEvent<'e>, Refusal> {
    if parked.contains(&recorded.seq) {
        return Ok(FoldEvent::unfoldable(recorded, String::new()));
    }
    FoldEvent::read::<P>(recorded)
}

#[cfg(test)]
mod tests;
