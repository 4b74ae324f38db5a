//! A message that is ready to be sent.

use std::fmt;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID, jetstream, jetstream::message::PublishMessage};
use bytes::Bytes;

use super::{Ack, EmitError};
use crate::{
    envelope::Event,
    time,
    wire::{self, Message},
};

/// A message that the ledger's door lets in, ready to be sent as often as it takes.
pub(super) struct Outgoing {
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
        Ok(Self { subject, headers: map, payload })
    }

    /// Sends it once and waits for the acknowledgement.
    pub async fn publish(&self, jetstream: &jetstream::Context) -> Result<Ack, EmitError> {
        let message = PublishMessage::build().payload(self.payload.clone()).headers(self.headers.clone());
        let ack = async { jetstream.send_publish(self.subject.clone(), message).await?.await };
        match ack.await {
            Ok(ack) => Ok(Ack { stream_seq: ack.sequence, is_duplicate: ack.duplicate }),
            Err(error) => {
                let is_connected = jetstream.client().max_payload() > 0;
                Err(EmitError::of(&error, &self.to_string(), is_connected))
            }
        }
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
