//! Appending: the one place that writes `ledger.event` and `ledger.head`.
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

use crate::merkle::{self, Frontier, Hash, MisshapenFrontier};

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
    /// The events of these ids that stand in the ledger.
    known: HashMap<EventId, (Seq, Content)>,
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

/// What makes two events of one id the same: see [`Event::same_content`].
#[derive(PartialEq, Eq)]
struct Content {
    event_type: String,
    schema_version: i16,
    subject_id: SubjectId,
    source: String,
    occurred_at: DateTime<Utc>,
    data_sha256: Vec<u8>,
}

impl Content {
    fn of(event: &Event) -> Self {
        Self {
            event_type: event.event_type.clone(),
            schema_version: event.schema_version,
            subject_id: event.subject_id,
            source: event.source.clone(),
            occurred_at: event.occurred_at,
            data_sha256: merkle::sha256(event.data.as_bytes()).to_vec(),
        }
    }
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
        let known = sqlx::query!(
            r#"SELECT seq AS "seq: Seq", event_id AS "event_id: EventId", event_type, source, subject_id AS "subject_id: SubjectId",
                      occurred_at, schema_version, sha256(convert_to(data::text, 'UTF8')) AS "data_sha256!"
               FROM ledger.event WHERE org_id = $1 AND event_id = ANY($2)"#,
            self.org_id as OrgId,
            &self.ids as &[EventId]
        );
        for row in known.fetch_all(conn).await? {
            let content = Content {
                event_type: row.event_type,
                schema_version: row.schema_version,
                subject_id: row.subject_id,
                source: row.source,
                occurred_at: row.occurred_at,
                data_sha256: row.data_sha256,
            };
            self.known.insert(row.event_id, (row.seq, content));
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
            (None, Some((seq, known))) => Some((*seq, *known == Content::of(event))),
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

/// Rows of `ledger.event`, by column, for one INSERT.
#[derive(Default)]
struct Rows<'e> {
    org_ids: Vec<OrgId>,
    event_ids: Vec<EventId>,
    subject_ids: Vec<SubjectId>,
    seqs: Vec<Seq>,
    occurred_ats: Vec<DateTime<Utc>>,
    recorded_ats: Vec<DateTime<Utc>>,
    schema_versions: Vec<i16>,
    leaf_hashes: Vec<Hash>,
    event_types: Vec<&'e str>,
    sources: Vec<&'e str>,
    correlation_ids: Vec<Option<&'e str>>,
    causation_ids: Vec<Option<&'e str>>,
    traceparents: Vec<Option<&'e str>>,
    extensions: Vec<Option<&'e str>>,
    data: Vec<&'e str>,
}

impl<'e> Rows<'e> {
    fn push(&mut self, event: &'e Event, seq: Seq, recorded_at: DateTime<Utc>, leaf_hash: Hash) {
        self.org_ids.push(event.org_id);
        self.event_ids.push(event.event_id);
        self.subject_ids.push(event.subject_id);
        self.seqs.push(seq);
        self.occurred_ats.push(event.occurred_at);
        self.recorded_ats.push(recorded_at);
        self.schema_versions.push(event.schema_version);
        self.leaf_hashes.push(leaf_hash);
        self.event_types.push(&event.event_type);
        self.sources.push(&event.source);
        self.correlation_ids.push(event.correlation_id.as_deref());
        self.causation_ids.push(event.causation_id.as_deref());
        self.traceparents.push(event.traceparent.as_deref());
        self.extensions.push(event.extensions.as_deref());
        self.data.push(&event.data);
    }

    async fn insert(&self, conn: &mut PgConnection) -> Result<(), AppendError> {
        if self.seqs.is_empty() {
            return Ok(());
        }
        let leaf_hashes: Vec<&[u8]> = self.leaf_hashes.iter().map(Hash::as_slice).collect();
        sqlx::query_file!(
            "src/append/insert.sql",
            &self.org_ids as &[OrgId],
            &self.event_ids as &[EventId],
            &self.subject_ids as &[SubjectId],
            &self.seqs as &[Seq],
            &self.occurred_ats,
            &self.recorded_ats,
            &self.schema_versions,
            &leaf_hashes as &[&[u8]],
            &self.event_types as &[&str],
            &self.sources as &[&str],
            &self.correlation_ids as &[Option<&str>],
            &self.causation_ids as &[Option<&str>],
            &self.traceparents as &[Option<&str>],
            &self.extensions as &[Option<&str>],
            &self.data as &[&str]
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
