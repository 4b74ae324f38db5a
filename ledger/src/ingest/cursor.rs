//! Where a partition has been read to: `ledger.ingest_cursor`, moved by the statement that appends.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::stream::{Delivery, EventStream, STREAM, StreamError};

use super::IngestError;

#[derive(Clone)]
pub(super) struct Cursor {
    pub(super) partition: u32,
    /// The stream sequence number up to which everything was appended or refused.
    pub(super) stream_seq: u64,
    message_at: Option<DateTime<Utc>>,
    trimmed_seq: u64,
}

impl Cursor {
    /// The cursor as it was left; at the beginning if there is none, or if the server has lost the
    /// messages it points behind.
    pub(super) async fn load(
        conn: &mut PgConnection,
        stream: &EventStream,
        partition: u32,
    ) -> Result<Self, IngestError> {
        sqlx::query!(
            "INSERT INTO ledger.ingest_cursor (stream, stream_created_at, partition, stream_seq) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING",
            STREAM,
            stream.created_at,
            partition as i32
        )
        .execute(&mut *conn)
        .await?;
        let row = sqlx::query!(
            "SELECT stream_seq, message_at, trimmed_seq FROM ledger.ingest_cursor WHERE stream = $1 AND stream_created_at = $2 AND partition = $3",
            STREAM,
            stream.created_at,
            partition as i32
        )
        .fetch_one(&mut *conn)
        .await?;
        let mut cursor = Self {
            partition,
            stream_seq: row.stream_seq as u64,
            message_at: row.message_at,
            trimmed_seq: row.trimmed_seq as u64,
        };
        if !cursor.still_holds(stream).await? {
            tracing::warn!(
                partition,
                stream_seq = cursor.stream_seq,
                "the stream no longer holds the message that was read last; reading the partition from the start again, which appends nothing twice"
            );
            cursor.move_to(conn, stream, 0, None).await?;
        }
        Ok(cursor)
    }

    /// A server that lost power may hand sequence numbers out again: then the message at the cursor is
    /// missing or has another timestamp.
    async fn still_holds(&self, stream: &EventStream) -> Result<bool, StreamError> {
        if self.stream_seq <= self.trimmed_seq {
            return Ok(true);
        }
        stream.still_holds(self.stream_seq, self.message_at).await
    }

    /// When the message at the cursor was stored: by that it is known again. None at the beginning, and where
    /// the message was removed.
    pub(super) fn stored_at(&self) -> Option<DateTime<Utc>> {
        self.message_at.filter(|_| self.stream_seq > self.trimmed_seq)
    }

    /// The message that was read last is committed, with all before it.
    pub(super) fn moved_behind(&mut self, read: &Delivery) {
        self.stream_seq = read.stream_seq;
        self.message_at = Some(read.stored_at);
    }

    async fn move_to(
        &mut self,
        conn: &mut PgConnection,
        stream: &EventStream,
        stream_seq: u64,
        message_at: Option<DateTime<Utc>>,
    ) -> Result<(), IngestError> {
        let moved = sqlx::query!(
            r#"UPDATE ledger.ingest_cursor SET stream_seq = $4, message_at = $5, updated_at = now()
               WHERE stream = $1 AND stream_created_at = $2 AND partition = $3 AND stream_seq = $6"#,
            STREAM,
            stream.created_at,
            self.partition as i32,
            stream_seq as i64,
            message_at,
            self.stream_seq as i64
        )
        .execute(conn)
        .await?;
        if moved.rows_affected() != 1 {
            return Err(IngestError::Overtaken(self.partition));
        }
        self.stream_seq = stream_seq;
        self.message_at = message_at;
        Ok(())
    }

    /// Removes messages of this partition that were read and are older than `keep`. The cursor remembers
    /// first that it was us, so that their absence is not taken for a loss.
    pub(super) async fn trim(
        &mut self,
        conn: &mut PgConnection,
        stream: &EventStream,
        keep: chrono::Duration,
    ) -> Result<(), IngestError> {
        let first_kept = stream.first_since(Utc::now() - keep, self.partition).await?;
        let before = first_kept.min(self.stream_seq + 1);
        if before <= self.trimmed_seq + 1 {
            return Ok(());
        }
        self.trimmed_seq = before - 1;
        sqlx::query!(
            "UPDATE ledger.ingest_cursor SET trimmed_seq = $4 WHERE stream = $1 AND stream_created_at = $2 AND partition = $3",
            STREAM,
            stream.created_at,
            self.partition as i32,
            self.trimmed_seq as i64
        )
        .execute(conn)
        .await?;
        let purged = stream.purge_before(before, self.partition).await?;
        if purged > 0 {
            tracing::info!(
                partition = self.partition,
                purged,
                "removed messages that were appended longer ago than the keep period"
            );
        }
        Ok(())
    }
}
