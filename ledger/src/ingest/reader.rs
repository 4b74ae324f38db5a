//! What a partition brings, batch by batch.

use tokio::sync::mpsc;

use super::{
    cursor::Cursor,
    feed::{Fed, Feed},
};
use crate::stream::{EventStream, StreamError};

/// The most messages of one batch.
const BATCH_MESSAGES_MAX: usize = 4_096;
/// The bytes at which a batch ends.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(super) struct PartitionReader {
    messages: mpsc::Receiver<Fed>,
    /// The first message of the next batch.
    next: Option<Fed>,
}

impl PartitionReader {
    /// A reader from the cursor on; `after_trouble` when the flow broke there before.
    pub(super) async fn open(feed: &Feed, stream: EventStream, cursor: &Cursor, after_trouble: bool) -> Self {
        Self { messages: feed.subscribe(stream, cursor, after_trouble).await, next: None }
    }

    /// Waits until there is a message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the flow breaks; the reader is of no use then.
    pub(super) async fn ready(&mut self) -> Result<(), StreamError> {
        if self.next.is_none() {
            let next = self.messages.recv().await;
            self.next = Some(next.ok_or_else(StreamError::broken_off)?);
        }
        Ok(())
    }

    /// The messages that are there, up to the bounds; they follow directly on those before.
    pub(super) fn batch(&mut self) -> Vec<Fed> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES_MAX {
            let Some(fed) = self.next.take().or_else(|| self.messages.try_recv().ok()) else { break };
            bytes += fed.delivery.bytes();
            batch.push(fed);
        }
        batch
    }
}
