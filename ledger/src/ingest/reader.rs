//! What the partitions of a lane bring, batch by batch.

use std::{collections::BTreeMap, future::poll_fn, task::Poll};

use tokio::sync::mpsc;

use super::feed::Fed;
use crate::stream::StreamError;

/// The most messages of one batch.
const BATCH_MESSAGES_MAX: usize = 4_096;
/// The bytes at which a batch ends.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The messages of some partitions.
#[derive(Default)]
pub(super) struct Reader {
    partitions: BTreeMap<u32, mpsc::Receiver<Fed>>,
    /// The first message of the next batch.
    next: Option<Fed>,
    /// How many batches were taken: each begins with another partition.
    batches: usize,
}

impl Reader {
    /// Reads one more partition.
    pub(super) fn add(&mut self, partition: u32, messages: mpsc::Receiver<Fed>) {
        self.partitions.insert(partition, messages);
    }

    /// Leaves off reading a partition.
    pub(super) fn remove(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        self.next.take_if(|next| next.partition == partition);
    }

    /// Waits until there is a message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the flow breaks; the reader is of no use then.
    pub(super) async fn ready(&mut self) -> Result<(), StreamError> {
        let Self { partitions, next, .. } = self;
        if next.is_none() {
            let first = poll_fn(|context| {
                let mut polls = partitions.values_mut().map(|messages| messages.poll_recv(context));
                polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
            });
            *next = Some(first.await.ok_or_else(StreamError::broken_off)?);
        }
        Ok(())
    }

    /// The messages that are there, up to the bounds; those of a partition follow directly on those before.
    pub(super) fn batch(&mut self) -> Vec<Fed> {
        let mut batch = Vec::from_iter(self.next.take());
        let mut bytes: usize = batch.iter().map(|fed| fed.delivery.bytes()).sum();
        self.batches += 1;
        let mut partitions: Vec<_> = self.partitions.values_mut().collect();
        let begin = self.batches % partitions.len().max(1);
        partitions.rotate_left(begin);
        for messages in partitions {
            while batch.len() < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(fed) = messages.try_recv() else { break };
                bytes += fed.delivery.bytes();
                batch.push(fed);
            }
        }
        batch
    }
}
