//! A replay to NATS, below a prefix of the operator's.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail};
use async_nats::jetstream::{self, context::GetStreamByNameErrorKind};
use events::wire::{EVENTS, Replayed};
use ledger::stream::STREAM;

use crate::{
    publisher::{Publication, Publisher},
    settings::Settings,
};

/// What subjects of replayed events begin with. Never one by which they would come back to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsPrefix(String);

/// Text that events cannot be replayed below.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrefix {
    /// Not the beginning of a subject.
    #[error("nats:{0} is no prefix of subjects; give words between dots, as in nats:audit.replay")]
    Malformed(String),
    /// The ledger's own subjects.
    #[error(
        "nats:{0} would send the events back to the ledger, which has them; give another prefix, as in nats:audit.replay"
    )]
    Ours(String),
}

impl FromStr for EventsPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let is_token = |token: &str| {
            !token.is_empty()
                && !token.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
        };
        // Behind a dollar sign are the server's own subjects.
        if text.starts_with('$') || !text.split('.').all(is_token) {
            return Err(InvalidPrefix::Malformed(text.to_owned()));
        }
        // The stream takes runledger.events.*.>, and what is published has two tokens more than the prefix.
        if format!("{text}.").starts_with(EVENTS) {
            return Err(InvalidPrefix::Ours(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EventsPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Publishes events again.
pub struct NatsSink {
    prefix: EventsPrefix,
    client: async_nats::Client,
    /// None where no stream listens.
    publisher: Option<Publisher>,
}

impl NatsSink {
    /// Connects, and finds out whether a stream listens.
    pub async fn connect(settings: &Settings, prefix: &EventsPrefix) -> anyhow::Result<Self> {
        let client = settings.connect_to_nats().await?;
        let subjects = format!("{prefix}.*.>");
        if !client.server_info().jetstream {
            return Ok(Self { prefix: prefix.clone(), client, publisher: None });
        }
        let publisher = match jetstream::new(client.clone()).stream_by_subject(&subjects).await {
            Ok(stream) if stream == STREAM => {
                bail!("the ledger's own stream {STREAM} listens to {subjects}; give another prefix")
            }
            Ok(stream) => {
                tracing::info!(stream, subjects, "the stream acknowledges each event");
                Some(Publisher::new(&client))
            }
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {
                tracing::info!(subjects, "no stream listens; whoever is subscribed gets the events");
                None
            }
            Err(error) => {
                return Err(error).with_context(|| format!("NATS does not say whether a stream listens to {subjects}"));
            }
        };
        Ok(Self { prefix: prefix.clone(), client, publisher })
    }

    /// Publishes the event.
    pub async fn put(&mut self, replayed: &Replayed) -> anyhow::Result<()> {
        let publication = Publication::replayed(&self.prefix.0, replayed);
        match &mut self.publisher {
            Some(publisher) => publisher.publish(publication).await,
            None => {
                let Publication { subject, headers, payload } = publication;
                let failed = format!("an event cannot be published to {subject}");
                self.client.publish_with_headers(subject, headers, payload).await.context(failed)
            }
        }
    }

    /// Waits until the stream has everything, or the server where there is none.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        match &mut self.publisher {
            Some(publisher) => publisher.settle().await,
            None => self.client.flush().await.context("NATS did not take the events"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_beginning_of_a_subject_and_not_of_ours() {
        for good in
            ["audit", "audit.replay", "runledger", "runledger.replay", "runledger.eventsource", "x.runledger.events"]
        {
            assert!(good.parse::<EventsPrefix>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "$JS.API", "a\u{7}"] {
            assert!(matches!(bad.parse::<EventsPrefix>(), Err(InvalidPrefix::Malformed(_))), "{bad}");
        }
        for ours in ["runledger.events", "runledger.events.replay", "runledger.events.7.x"] {
            assert!(matches!(ours.parse::<EventsPrefix>(), Err(InvalidPrefix::Ours(_))), "{ours}");
        }
    }
}
