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
    #[error("PostgreSQL failed while events were appended")]
    Database(#[from] sqlx::Error),
    /// A head row that nothing of ours writes.
    #[error("the head of org {org_id} is damaged: run `runledger verify --org {org_id}`")]
    Head {
        /// Whose head.
        org_id: OrgId,
        #[source]
        /// What is wrong with it.
        source: MisshapenFrontier,
    },
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
        let mut writer = OrgWriter::lock(conn, org_id, now).await?;
        let ids: Vec<EventId> = indices.iter().map(|&index| events[index].event_id).collect();
        writer.recall(conn, &ids).await?;
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
    /// None while the org is not registered.
    frontier: Option<Frontier>,
    recorded_at: DateTime<Utc>,
    appended: bool,
    recalled: HashMap<EventId, (Seq, Event)>,
    taken: HashMap<EventId, (Seq, &'e Event)>,
}

impl<'e> OrgWriter<'e> {
    async fn lock(conn: &mut PgConnection, org_id: OrgId, now: DateTime<Utc>) -> Result<Self, AppendError> {
        let head = sqlx::query!(
            "SELECT size, frontier, updated_at FROM ledger.head WHERE org_id = $1 FOR UPDATE",
            org_id as OrgId
        )
        .fetch_optional(conn)
        .await?;
        let mut writer = Self {
            org_id,
            frontier: None,
            recorded_at: now,
            appended: false,
            recalled: HashMap::new(),
            taken: HashMap::new(),
        };
        if let Some(head) = head {
            let frontier = Frontier::restore(head.size as u64, &head.frontier);
            writer.frontier = Some(frontier.map_err(|source| AppendError::Head { org_id, source })?);
            writer.recorded_at = now.max(head.updated_at);
        }
        Ok(writer)
    }

    /// Looks up which of these ids stand in the ledger already.
    async fn recall(&mut self, conn: &mut PgConnection, ids: &[EventId]) -> Result<(), AppendError> {
        if self.frontier.is_none() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"SELECT seq AS "seq: Seq", event_id AS "event_id: EventId", event_type, source, subject_id AS "subject_id: SubjectId",
                      occurred_at, schema_version, data::text AS "data!"
               FROM ledger.event WHERE org_id = $1 AND event_id = ANY($2)"#,
            self.org_id as OrgId,
            ids as &[EventId]
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            let event = Event {
                org_id: self.org_id,
                event_id: row.event_id,
                event_type: row.event_type,
                schema_version: row.schema_version,
                subject_id: row.subject_id,
                source: row.source,
                occurred_at: row.occurred_at,
                correlation_id: None,
                causation_id: None,
                traceparent: None,
                extensions: None,
                data: row.data.into(),
            };
            self.recalled.insert(row.event_id, (row.seq, event));
        }
        Ok(())
    }

    async fn take(
        &mut self,
        conn: &mut PgConnection,
        event: &'e Event,
        rows: &mut Rows<'e>,
    ) -> Result<Outcome, AppendError> {
        if self.frontier.is_none() {
            if event.event_type != ORG_REGISTERED {
                return Ok(Outcome::Refused(unknown_org(self.org_id)));
            }
            self.register(conn).await?;
        }
        let earlier = self.taken.get(&event.event_id).copied();
        let earlier = earlier.or_else(|| self.recalled.get(&event.event_id).map(|(seq, event)| (*seq, event)));
        if let Some((seq, earlier)) = earlier {
            return Ok(if earlier.same_content(event) {
                Outcome::Duplicate(seq)
            } else {
                Outcome::Refused(conflict(event, seq))
            });
        }
        let Some(frontier) = self.frontier.as_mut() else { return Ok(Outcome::Refused(unknown_org(self.org_id))) };
        let seq = Seq::new(frontier.size() as i64).next();
        let leaf_hash = merkle::leaf_hash(event, seq, self.recorded_at);
        frontier.push(leaf_hash);
        rows.push(event, seq, self.recorded_at, leaf_hash);
        self.taken.insert(event.event_id, (seq, event));
        self.appended = true;
        Ok(Outcome::Appended(seq))
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
        let locked = Self::lock(conn, self.org_id, self.recorded_at).await?;
        self.frontier = locked.frontier;
        self.recorded_at = locked.recorded_at;
        Ok(())
    }

    async fn store_head(self, conn: &mut PgConnection) -> Result<(), AppendError> {
        let Some(frontier) = self.frontier.filter(|_| self.appended) else { return Ok(()) };
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
