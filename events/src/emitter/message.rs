//! A message that is ready to be sent.

use std::fmt;

use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{
        self,
        context::{PublishAckFuture, PublishError},
        message::PublishMessage,
    },
};
use bytes::Bytes;

use super::{Ack, EmitError};
use crate::{
    envelope::Event,
    time,
    wire::{self, Message},
};

/// A message that the ledger's door lets in, ready to be sent as often as it takes.
pub(super) struct Outgoing {
    /// What it carries; none if only the message was kept.
    pub event: Option<Box<Event>>,
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl Outgoing {
    /// The event in binary mode, if the ledger would let it in.
    pub fn of(event: &Event) -> Result<Self, EmitError> {
        let subject = wire::subject(event);
        let headers = wire::to_headers(event);
        let payload = event.data.as_bytes().clone();
        let message = Message {
            subject: subject.as_bytes(),
            headers: headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
            payload: payload.clone(),
        };
        if let Err(refusal) = wire::admit(&message, time::now()) {
            let message = format!("{} {}", event.event_type, event.event_id);
            return Err(EmitError::Refused { message, refusal });
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, value);
        }
        Ok(Self { event: Some(Box::new(event.clone())), subject, headers: map, payload })
    }

    /// Gives the event this place in what its source has sent about its subject, unless it has one.
    pub fn count(&mut self, place: impl FnOnce(&Event) -> i64) {
        if let Some(event) = self.event.as_mut().filter(|event| event.sequence().is_none()) {
            event.set_sequence(place(event));
            let sequence = event.extension_map().remove("sequence").unwrap_or_default();
            self.headers.insert("ce-sequence", sequence);
        }
    }

    /// Sends it once and waits for the acknowledgement.
    pub async fn publish(&self, jetstream: &jetstream::Context) -> Result<Ack, EmitError> {
        let ack = self.send(jetstream).await?;
        self.acknowledged(jetstream, ack).await
    }

    /// Sends it once. What is sent next arrives behind it.
    pub async fn send(&self, jetstream: &jetstream::Context) -> Result<PublishAckFuture, EmitError> {
        let message = PublishMessage::build().payload(self.payload.clone()).headers(self.headers.clone());
        let sent = jetstream.send_publish(self.subject.clone(), message).await;
        sent.map_err(|error| self.error(jetstream, &error))
    }

    /// Waits for the acknowledgement of what was sent.
    pub async fn acknowledged(&self, jetstream: &jetstream::Context, ack: PublishAckFuture) -> Result<Ack, EmitError> {
        let ack = ack.await.map_err(|error| self.error(jetstream, &error))?;
        Ok(Ack { stream_seq: ack.sequence, is_duplicate: ack.duplicate })
    }

    fn error(&self, jetstream: &jetstream::Context, error: &PublishError) -> EmitError {
        let is_connected = jetstream.client().max_payload() > 0;
        EmitError::of(error, self, is_connected)
    }
}

/// The type and the id, for people.
impl fmt::Display for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event_type = self.subject.splitn(4, '.').last().unwrap_or_default();
        let message_id = self.headers.get(NATS_MESSAGE_ID).map_or("", |id| id.as_str());
        let event_id = message_id.rsplit(':').next().unwrap_or_default();
        write!(f, "{event_type} {event_id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{OrgId, RunId},
        payload::RunStarted,
    };

    #[test]
    fn a_place_is_sent_as_if_the_event_had_come_with_it_and_replaces_none() {
        let run_id = RunId::generate();
        let mut event = Event::new(OrgId::generate(), run_id.subject(), "/emitter", &RunStarted::default()).unwrap();
        let mut outgoing = Outgoing::of(&event).unwrap();
        outgoing.count(|_| 7);
        outgoing.count(|_| 8);
        event.set_sequence(7);
        assert_eq!(outgoing.headers, Outgoing::of(&event).unwrap().headers);
        assert_eq!(outgoing.event.as_deref(), Some(&event));
    }
}
