//! Appending: the one place that writes new events to `ledger.event` and moves `ledger.head`. Old events
//! come back by [`crate::restore`] alone.
//!
//! Invariant: an org's seqs are 1, 2, 3 … in commit order, each event id stands once, and the head's
//! frontier and root are those of its events. The org's head row keeps it: only who moves it from the state in
//! which it was read can append, under a lock on it or by the row's version. Called by [`crate::ingest`] and by
//! dead letters that are retried.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use events::{
    Code, Event, RecordedEvent, Refusal,
    id::{EventId, OrgId, Seq, SubjectId},
};
use sqlx::PgConnection;

use crate::{
    content::{Content, content_hash},
    merkle::{self, Hash, MisshapenFrontier},
};

mod head;
mod rows;

use head::Head;
pub use head::Heads;
pub use rows::CursorMoves;
pub(crate) use rows::{Row, Rows};

/// The type of the event that an org begins with.
const ORG_REGISTERED: &str = "org.registered";
/// The SQLSTATE of an id that stands in the unique index already.
const UNIQUE_VIOLATION: &str = "23505";

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands in the ledger now.
    Appended(Seq),
    /// It stood there already, with the same content.
    Duplicate(Seq),
    /// It cannot stand there.
    Refused(Refusal),
}

/// Why a batch could not be appended. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// PostgreSQL failed, or refused the data.
    #[error("PostgreSQL failed while events were appended: {0}")]
    Database(#[from] sqlx::Error),
    /// An id that was taken for new is not, or may not be.
    #[error("an event of the batch may repeat an id that the ledger has")]
    NotNew,
    /// A head is not any more as it was read, or its org has an archive since.
    #[error("an org's head was written by somebody else meanwhile; try again")]
    HeadMoved,
    /// A cursor is not where it was left.
    #[error("the stream was read by another ledger meanwhile")]
    Overtaken,
}

/// What became of a batch, once its transaction is committed.
pub struct Appended<'e> {
    /// Of each event, in their order.
    pub outcomes: Vec<Outcome>,
    heads: BTreeMap<OrgId, Head>,
    rows: Rows<'e>,
}

impl Appended<'_> {
    /// The transaction is committed: remembers the heads as they were left, and gives the outcomes.
    pub fn committed(self, heads: &mut Heads) -> Vec<Outcome> {
        heads.remember(self.heads);
        self.outcomes
    }

    /// The events as they stand in the ledger now, by org, in the order of their seq. They share no memory with what they
    /// were read from.
    pub fn recorded(&self) -> BTreeMap<OrgId, Vec<RecordedEvent>> {
        let mut recorded: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for &Row { event, seq, recorded_at, leaf_hash } in &self.rows.0 {
            let data = event.data.to_string().into();
            let event = RecordedEvent { seq, recorded_at, leaf_hash, event: Event { data, ..event.clone() } };
            recorded.entry(event.event.org_id).or_default().push(event);
        }
        recorded
    }
}

/// Makes the partitions of orgs that these events register. Before the transaction of [`append`],
/// because making a partition is a short transaction of its own.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn make_partitions(conn: &mut PgConnection, events: &[&Event]) -> Result<(), sqlx::Error> {
    for event in events.iter().filter(|event| event.event_type == ORG_REGISTERED) {
        let org_id = event.org_id;
        let known = sqlx::query_scalar!("SELECT true FROM ledger.head WHERE org_id = $1", org_id as OrgId)
            .fetch_optional(&mut *conn)
            .await?;
        if known.is_none() {
            sqlx::query!("SELECT ledger.make_partition($1)", org_id as OrgId).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// What is known of the ids of a batch before it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Nothing: those that the ledger has are looked up first.
    LookedUp,
    /// They are taken for new, which saves the look. If one is not, the batch fails with
    /// [`AppendError::NotNew`] and is to be appended again with [`Ids::LookedUp`].
    TakenForNew,
}

/// Appends events, in the order given, within the transaction that `conn` is in. Heads stay locked
/// until it ends, in the order of org ids, so that two writers never wait for each other.
///
/// The outcomes are those of the events, in their order.
///
/// # Errors
/// Then the transaction must be rolled back.
pub async fn append(
    conn: &mut PgConnection,
    events: &[&Event],
    now: DateTime<Utc>,
    ids: Ids,
) -> Result<Vec<Outcome>, AppendError> {
    append_read(conn, events, now, ids, &CursorMoves::default()).await.map(|appended| appended.outcomes)
}

/// [`append`] of what was read from the stream, whose cursors move with it.
///
/// # Errors
/// As [`append`].
pub async fn append_read<'e>(
    conn: &mut PgConnection,
    events: &[&'e Event],
    now: DateTime<Utc>,
    ids: Ids,
    moves: &CursorMoves,
) -> Result<Appended<'e>, AppendError> {
    let of_org = by_org(events);
    let mut heads = head::lock(conn, &registered(events, &of_org), now).await?;
    let mut batch = Batch::of(events, now);
    for (org_id, indices) in of_org {
        let mut writer = OrgWriter::new(org_id, heads.remove(&org_id));
        if ids == Ids::LookedUp || writer.has_archive() {
            writer.look_up(conn, indices.iter().map(|&index| events[index].event_id).collect()).await?;
        }
        batch.take(writer, indices);
    }
    batch.write(conn, ids, moves).await
}

/// [`append_read`] as a transaction of one statement, behind heads that were left by the last one. None if that cannot
/// be: a head is not known, an org has an archive, or an event is to be refused. Nothing is written then.
///
/// # Errors
/// As [`append_read`]: [`AppendError::NotNew`], as ids are taken for new, and [`AppendError::HeadMoved`].
pub async fn append_behind<'e>(
    heads: &Heads,
    conn: &mut PgConnection,
    events: &[&'e Event],
    now: DateTime<Utc>,
    moves: &CursorMoves,
) -> Result<Option<Appended<'e>>, AppendError> {
    let mut batch = Batch::of(events, now);
    for (org_id, indices) in by_org(events) {
        let Some(head) = heads.get(org_id).filter(|head| !head.has_archive) else { return Ok(None) };
        batch.take(OrgWriter::new(org_id, Some(head.clone())), indices);
    }
    if batch.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Refused(_))) {
        return Ok(None);
    }
    batch.write(conn, Ids::TakenForNew, moves).await.map(Some)
}

/// Where each org's events stand in a batch.
fn by_org(events: &[&Event]) -> BTreeMap<OrgId, Vec<usize>> {
    let mut of_org: BTreeMap<OrgId, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        of_org.entry(event.org_id).or_default().push(index);
    }
    of_org
}

/// A batch whose events get their numbers and hashes, org by org.
struct Batch<'a, 'e> {
    events: &'a [&'e Event],
    now: DateTime<Utc>,
    outcomes: Vec<Option<Outcome>>,
    rows: Rows<'e>,
    /// Those that events were appended behind.
    heads: BTreeMap<OrgId, Head>,
}

impl<'a, 'e> Batch<'a, 'e> {
    fn of(events: &'a [&'e Event], now: DateTime<Utc>) -> Self {
        let outcomes = events.iter().map(|_| None).collect();
        Self { events, now, outcomes, rows: Rows::default(), heads: BTreeMap::new() }
    }

    /// Takes the events of one org.
    fn take(&mut self, mut writer: OrgWriter<'e>, indices: Vec<usize>) {
        for index in indices {
            self.outcomes[index] = Some(writer.take(self.events[index], self.now, &mut self.rows));
        }
        self.heads.extend(writer.into_head());
    }

    async fn write(
        mut self,
        conn: &mut PgConnection,
        ids: Ids,
        moves: &CursorMoves,
    ) -> Result<Appended<'e>, AppendError> {
        let written = self.rows.write(conn, &mut self.heads, ids == Ids::LookedUp, moves).await;
        written.map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some(UNIQUE_VIOLATION) if ids == Ids::TakenForNew => AppendError::NotNew,
            Some(rows::HEAD_MOVED) => AppendError::HeadMoved,
            Some(rows::CURSOR_MOVED) => AppendError::Overtaken,
            _ => error.into(),
        })?;
        let outcomes = self.outcomes.into_iter().flatten().collect();
        Ok(Appended { outcomes, heads: self.heads, rows: self.rows })
    }
}

/// The orgs of a batch, and whether an event of it registers them.
fn registered(events: &[&Event], of_org: &BTreeMap<OrgId, Vec<usize>>) -> BTreeMap<OrgId, bool> {
    let registers = |index: &usize| events[*index].event_type == ORG_REGISTERED;
    of_org.iter().map(|(org_id, indices)| (*org_id, indices.iter().any(registers))).collect()
}

/// The first and last seq that each org's part of a batch was appended at.
pub fn ranges(events: &[&Event], outcomes: &[Outcome]) -> BTreeMap<OrgId, (Seq, Seq)> {
    let mut ranges = BTreeMap::new();
    for (event, outcome) in events.iter().zip(outcomes) {
        if let Outcome::Appended(seq) = outcome {
            ranges.entry(event.org_id).or_insert((*seq, *seq)).1 = *seq;
        }
    }
    ranges
}

/// The one writer of an org, for as long as the transaction lasts.
struct OrgWriter<'e> {
    org_id: OrgId,
    /// None if the org is not registered.
    head: Option<Head>,
    /// Where events of these ids stand, in the table or in the archive, and the hash of their content.
    known: HashMap<EventId, (Seq, Hash)>,
    /// The events appended in this transaction.
    taken: HashMap<EventId, (Seq, &'e Event)>,
}

impl<'e> OrgWriter<'e> {
    fn new(org_id: OrgId, head: Option<Head>) -> Self {
        Self { org_id, head, known: HashMap::new(), taken: HashMap::new() }
    }

    /// Ids of archived events stand in no unique index of the event table.
    fn has_archive(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.has_archive)
    }

    /// Looks up where events of these ids stand already. Only under the lock of the head is that the truth.
    async fn look_up(&mut self, conn: &mut PgConnection, ids: Vec<EventId>) -> Result<(), AppendError> {
        let known = sqlx::query_file!("src/append/known.sql", self.org_id as OrgId, &ids as &[EventId]);
        for row in known.fetch_all(conn).await? {
            let content_hash = match row.archived_content_hash {
                // No hash equals one of another length: then it is a conflict, which people look into.
                Some(archived) => archived.try_into().unwrap_or_default(),
                None => {
                    let content = Content {
                        event_type: &row.event_type,
                        schema_version: row.schema_version,
                        subject_id: row.subject_id,
                        source: &row.source,
                        occurred_at: row.occurred_at,
                        data_sha256: &row.data_sha256,
                    };
                    content.hash()
                }
            };
            self.known.insert(row.event_id, (row.seq, content_hash));
        }
        Ok(())
    }

    fn take(&mut self, event: &'e Event, now: DateTime<Utc>, rows: &mut Rows<'e>) -> Outcome {
        let Some(head) = &mut self.head else { return Outcome::Refused(unknown_org(self.org_id)) };
        if !head.is_registered_by(event) {
            return Outcome::Refused(unknown_org(self.org_id));
        }
        let frontier = match &mut head.frontier {
            Ok(frontier) => frontier,
            Err(damage) => return Outcome::Refused(damaged_head(self.org_id, damage)),
        };
        let earlier = match (self.taken.get(&event.event_id), self.known.get(&event.event_id)) {
            (Some((seq, taken)), _) => Some((*seq, taken.same_content(event))),
            (None, Some((seq, known))) => Some((*seq, *known == content_hash(event))),
            (None, None) => None,
        };
        match earlier {
            Some((seq, true)) => Outcome::Duplicate(seq),
            Some((seq, false)) => Outcome::Refused(conflict(event, seq)),
            None => {
                let seq = Seq::new(frontier.size() as i64).next();
                head.recorded_at = head.recorded_at.max(now);
                let leaf_hash = merkle::leaf_hash(event, seq, head.recorded_at);
                frontier.push(leaf_hash);
                rows.0.push(Row { event, seq, recorded_at: head.recorded_at, leaf_hash });
                self.taken.insert(event.event_id, (seq, event));
                Outcome::Appended(seq)
            }
        }
    }

    /// The head, if events were appended behind it.
    fn into_head(self) -> Option<(OrgId, Head)> {
        Some((self.org_id, self.head.filter(|_| !self.taken.is_empty())?))
    }
}

fn unknown_org(org_id: OrgId) -> Refusal {
    Refusal::new(
        Code::UnknownOrg,
        format!(
            "org {org_id} is not registered; register it with `runledger org add NAME --id {org_id}` and the event is appended by itself"
        ),
    )
}

fn damaged_head(org_id: OrgId, damage: &MisshapenFrontier) -> Refusal {
    let reason = format!(
        "the head of org {org_id} is damaged ({damage}); run `runledger verify --org {org_id}`, repair it, then `runledger dead-letters retry --code database_refused --org {org_id}`"
    );
    tracing::error!(%org_id, %damage, "the org's head is damaged; its events are kept as dead letters");
    Refusal::new(Code::DatabaseRefused, reason)
}

fn conflict(event: &Event, seq: Seq) -> Refusal {
    Refusal::new(
        Code::Conflict,
        format!(
            "event id {} stands in the ledger at seq {seq} with other content; ids are never used twice, so send the new event with an id of its own",
            event.event_id
        ),
    )
}
