//! What a batch changes, by column, and the one statement that writes it. Used by [`super`] and by
//! [`crate::restore`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    Event,
    id::{EventId, OrgId, Seq, SubjectId},
};
use sqlx::PgConnection;

use super::head::Head;
use crate::merkle::Hash;

/// The SQLSTATE with which the statement refuses to store a head that is not as it was read.
pub const HEAD_MOVED: &str = "RL001";
/// And to move a cursor that is not where it was left.
pub const CURSOR_MOVED: &str = "RL002";

/// A row of `ledger.event`.
pub struct Row<'e> {
    pub event: &'e Event,
    pub seq: Seq,
    pub recorded_at: DateTime<Utc>,
    pub leaf_hash: Hash,
}

/// Rows of `ledger.event`, org by org.
#[derive(Default)]
pub struct Rows<'e>(pub Vec<Row<'e>>);

/// Cursors of the stream that move behind what is written; none when it came another way.
#[derive(Clone, Debug, Default)]
pub struct CursorMoves {
    /// The stream.
    pub stream: &'static str,
    /// When it was made.
    pub stream_created_at: DateTime<Utc>,
    /// The partitions that were read.
    pub partitions: Vec<i32>,
    /// Where their cursors stand.
    pub before: Vec<i64>,
    /// Where they will: the number of the last message of each …
    pub stream_seqs: Vec<i64>,
    /// … and when it was stored.
    pub message_ats: Vec<DateTime<Utc>>,
}

impl<'e> Rows<'e> {
    /// Writes the rows and nothing else.
    pub async fn insert(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.write(conn, &mut BTreeMap::new(), true, &CursorMoves::default()).await
    }

    /// Writes the rows, stores the heads and moves the cursors; all of it, or nothing and an error. The heads
    /// have their new versions then.
    ///
    /// `looked_up` says whether the ids of all orgs were looked for among the archived events too, not only those of
    /// orgs that are known to have an archive.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        heads: &mut BTreeMap<OrgId, Head>,
        looked_up: bool,
        moves: &CursorMoves,
    ) -> Result<(), sqlx::Error> {
        let heads_of = HeadColumns::of(heads, looked_up);
        let written = sqlx::query_file!(
            "src/append/write.sql",
            &heads_of.org_ids as &[OrgId],
            &heads_of.versions,
            &heads_of.looked_up,
            &heads_of.sizes,
            &heads_of.frontiers,
            &heads_of.roots,
            &heads_of.updated_ats,
            moves.stream,
            moves.stream_created_at,
            &moves.partitions,
            &moves.before,
            &moves.stream_seqs,
            &moves.message_ats,
            &self.column(|row| row.event.org_id) as &[OrgId],
            &self.column(|row| row.event.event_id) as &[EventId],
            &self.column(|row| row.event.subject_id) as &[SubjectId],
            &self.column(|row| row.seq) as &[Seq],
            &self.column(|row| row.event.occurred_at),
            &self.column(|row| row.recorded_at),
            &self.column(|row| row.event.schema_version),
            &self.column(|row| row.leaf_hash.as_slice()) as &[&[u8]],
            &self.column(|row| row.event.event_type.as_str()) as &[&str],
            &self.column(|row| row.event.source.as_str()) as &[&str],
            &self.column(|row| row.event.correlation_id.as_deref()) as &[Option<&str>],
            &self.column(|row| row.event.causation_id.as_deref()) as &[Option<&str>],
            &self.column(|row| row.event.traceparent.as_deref()) as &[Option<&str>],
            &self.column(|row| row.event.extensions.as_deref()) as &[Option<&str>],
            &self.column(|row| &*row.event.data) as &[&str]
        );
        let written = written.fetch_one(conn).await?;
        for (org_id, version) in written.org_ids.iter().zip(written.versions) {
            heads.entry(*org_id).and_modify(|head| head.version = version);
        }
        Ok(())
    }

    fn column<'r, T>(&'r self, of: impl Fn(&'r Row<'e>) -> T) -> Vec<T> {
        self.0.iter().map(of).collect()
    }
}

/// Heads, by column.
#[derive(Default)]
struct HeadColumns {
    org_ids: Vec<OrgId>,
    versions: Vec<i64>,
    looked_up: Vec<bool>,
    sizes: Vec<i64>,
    frontiers: Vec<Vec<u8>>,
    roots: Vec<Vec<u8>>,
    updated_ats: Vec<DateTime<Utc>>,
}

impl HeadColumns {
    fn of(heads: &BTreeMap<OrgId, Head>, looked_up: bool) -> Self {
        let mut columns = Self::default();
        for (org_id, head) in heads {
            let Ok(frontier) = &head.frontier else { continue };
            columns.org_ids.push(*org_id);
            columns.versions.push(head.version);
            columns.looked_up.push(looked_up || head.has_archive);
            columns.sizes.push(frontier.size() as i64);
            columns.frontiers.push(frontier.roots().concat());
            columns.roots.push(frontier.root().to_vec());
            columns.updated_ats.push(head.recorded_at);
        }
        columns
    }
}
