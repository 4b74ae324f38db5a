//! Appending: the one place that writes new events to `ledger.event` and moves `ledger.head`. Old events
//! come back by [`crate::restore`] alone.
//!
//! Invariant: an org's seqs are 1, 2, 3 … in commit order, each event id stands once, and the head's
//! frontier and root are those of its events. The lock on the org's head row keeps it; whoever holds
//! it is that org's only writer. Called by [`crate::ingest`] and by dead letters that are retried.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use events::{
    Code, Event, Refusal,
    id::{EventId, OrgId, Seq, SubjectId},
};
use sqlx::PgConnection;

use crate::{
    content::{Content, content_hash},
    merkle::{self, Frontier, Hash, MisshapenFrontier},
};

mod rows;

pub(crate) use rows::Rows;

/// The type of the event that an org begins with.
const ORG_REGISTERED: &str = "org.registered";

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
) -> Result<Vec<Outcome>, AppendError> {
    let mut of_org: BTreeMap<OrgId, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        of_org.entry(event.org_id).or_default().push(index);
    }
    let mut outcomes: Vec<Option<Outcome>> = events.iter().map(|_| None).collect();
    let mut rows = Rows::default();
    for (org_id, indices) in of_org {
        let ids = indices.iter().map(|&index| events[index].event_id).collect();
        let mut writer = OrgWriter::lock(conn, org_id, ids, now).await?;
        for index in indices {
            outcomes[index] = Some(writer.take(conn, events[index], &mut rows).await?);
        }
        writer.store_head(conn).await?;
    }
    rows.insert(conn).await?;
    Ok(outcomes.into_iter().flatten().collect())
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
    /// The ids of the events that it will be given.
    ids: Vec<EventId>,
    head: Head,
    recorded_at: DateTime<Utc>,
    /// Where events of these ids stand, in the table or in the archive, and the hash of their content.
    known: HashMap<EventId, (Seq, Hash)>,
    /// The events appended in this transaction.
    taken: HashMap<EventId, (Seq, &'e Event)>,
}

enum Head {
    /// The org is not registered.
    Missing,
    /// Somebody changed the row: nothing can be appended behind it.
    Damaged(MisshapenFrontier),
    Locked(Frontier),
}

impl<'e> OrgWriter<'e> {
    async fn lock(
        conn: &mut PgConnection,
        org_id: OrgId,
        ids: Vec<EventId>,
        now: DateTime<Utc>,
    ) -> Result<Self, AppendError> {
        let mut writer =
            Self { org_id, ids, head: Head::Missing, recorded_at: now, known: HashMap::new(), taken: HashMap::new() };
        writer.lock_head(conn).await?;
        Ok(writer)
    }

    /// Locks the head, if there is one, and only then looks up what stands behind it already.
    async fn lock_head(&mut self, conn: &mut PgConnection) -> Result<(), AppendError> {
        let head = sqlx::query!(
            "SELECT size, frontier, updated_at FROM ledger.head WHERE org_id = $1 FOR UPDATE",
            self.org_id as OrgId
        );
        let Some(head) = head.fetch_optional(&mut *conn).await? else { return Ok(()) };
        self.recorded_at = self.recorded_at.max(head.updated_at);
        self.head = match Frontier::restore(head.size as u64, &head.frontier) {
            Ok(frontier) => Head::Locked(frontier),
            Err(damage) => Head::Damaged(damage),
        };
        let known = sqlx::query_file!("src/append/known.sql", self.org_id as OrgId, &self.ids as &[EventId]);
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

    async fn take(
        &mut self,
        conn: &mut PgConnection,
        event: &'e Event,
        rows: &mut Rows<'e>,
    ) -> Result<Outcome, AppendError> {
        if matches!(self.head, Head::Missing) && event.event_type == ORG_REGISTERED {
            self.register(conn).await?;
        }
        let frontier = match &mut self.head {
            Head::Missing => return Ok(Outcome::Refused(unknown_org(self.org_id))),
            Head::Damaged(damage) => return Ok(Outcome::Refused(damaged_head(self.org_id, damage))),
            Head::Locked(frontier) => frontier,
        };
        let earlier = match (self.taken.get(&event.event_id), self.known.get(&event.event_id)) {
            (Some((seq, taken)), _) => Some((*seq, taken.same_content(event))),
            (None, Some((seq, known))) => Some((*seq, *known == content_hash(event))),
            (None, None) => None,
        };
        Ok(match earlier {
            Some((seq, true)) => Outcome::Duplicate(seq),
            Some((seq, false)) => Outcome::Refused(conflict(event, seq)),
            None => {
                let seq = Seq::new(frontier.size() as i64).next();
                let leaf_hash = merkle::leaf_hash(event, seq, self.recorded_at);
                frontier.push(leaf_hash);
                rows.push(event, seq, self.recorded_at, leaf_hash);
                self.taken.insert(event.event_id, (seq, event));
                Outcome::Appended(seq)
            }
        })
    }

    async fn register(&mut self, conn: &mut PgConnection) -> Result<(), AppendError> {
        // Another writer may register it at the same moment; the insert waits for that one, and the
        // lock then reads what it left.
        sqlx::query!(
            "INSERT INTO ledger.head (org_id, updated_at) VALUES ($1, $2) ON CONFLICT (org_id) DO NOTHING",
            self.org_id as OrgId,
            self.recorded_at
        )
        .execute(&mut *conn)
        .await?;
        self.lock_head(conn).await
    }

    async fn store_head(self, conn: &mut PgConnection) -> Result<(), AppendError> {
        let Head::Locked(frontier) = self.head else { return Ok(()) };
        if self.taken.is_empty() {
            return Ok(());
        }
        let root = frontier.root();
        let roots: Vec<&[u8]> = frontier.roots().iter().map(|root| root.as_slice()).collect();
        sqlx::query!(
            "UPDATE ledger.head SET size = $2, frontier = $3, root = $4, updated_at = $5 WHERE org_id = $1",
            self.org_id as OrgId,
            frontier.size() as i64,
            roots as Vec<&[u8]>,
            root.as_slice(),
            self.recorded_at
        )
        .execute(conn)
        .await?;
        Ok(())
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
