//! Publishing a simulation, as fast as it goes or at a rate.

use std::time::Duration;

use async_nats::Client;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::{Manner, Simulation};
use crate::{progress::Progress, publisher::Publisher};

/// What was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Different events that the ledger takes.
    pub events: u64,
    /// Of these, those that arrived late.
    pub late: u64,
    /// Messages beside them that repeat one of them.
    pub doubled: u64,
    /// Messages beside them that the ledger refuses.
    pub refused: u64,
    /// The place of the last message in the stream.
    #[serde(skip)]
    pub last_stream_seq: u64,
}

/// Publishes the workload, at most `rate` messages a second if one is given; `progress` counts runs.
///
/// # Errors
/// When NATS does not take a message.
pub async fn publish(
    client: &Client,
    simulation: &Simulation,
    rate: Option<f64>,
    progress: &Progress,
) -> anyhow::Result<Published> {
    let mut published = Published::default();
    let mut publisher = Publisher::new(client);
    let mut deliveries = simulation.deliveries()?;
    let begun = Instant::now();
    let mut messages = 0;
    while let Some(delivery) = deliveries.next() {
        let delivery = delivery?;
        if let Some(rate) = rate {
            sleep_until(begun + Duration::from_secs_f64(f64::from(messages) / rate)).await;
        }
        messages += 1;
        published.count(delivery.manner);
        publisher.publish(delivery.publication).await?;
        progress.set(u64::from(deliveries.runs_begun()));
    }
    published.last_stream_seq = publisher.finish().await?.last_stream_seq;
    Ok(published)
}

impl Published {
    fn count(&mut self, manner: Manner) {
        match manner {
            Manner::Prompt => self.events += 1,
            Manner::Late => {
                self.events += 1;
                self.late += 1;
            }
            Manner::Again => self.doubled += 1,
            Manner::Refused => self.refused += 1,
        }
    }
}
