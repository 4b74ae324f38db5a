//! What makes two events of one id the same: type, source, subject, time, version and payload, as one
//! hash. [`crate::append`] compares it, and it is what stays in the database of an archived event.

use chrono::{DateTime, Utc};
use events::{Event, id::SubjectId};
use sha2::{Digest, Sha256};

use crate::merkle::{self, Hash};

/// The fields that count as content: see [`Event::same_content`].
pub struct Content<'a> {
    /// `run.started` and its like.
    pub event_type: &'a str,
    /// The version of the payload's schema.
    pub schema_version: i16,
    /// What it is about.
    pub subject_id: SubjectId,
    /// The emitting service.
    pub source: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// SHA-256 of the payload's bytes.
    pub data_sha256: &'a [u8],
}

impl Content<'_> {
    /// SHA-256 of, integers big-endian: 0x01 ‖ subject_id 16 ‖ occurred_at i64 µs since 1970 ‖ schema_version u16 ‖
    /// event_type, source, each u32 length ‖ UTF-8 ‖ SHA-256(data).
    pub fn hash(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix([0x01]);
        hash.update(self.subject_id.uuid().as_bytes());
        hash.update(self.occurred_at.timestamp_micros().to_be_bytes());
        hash.update(self.schema_version.to_be_bytes());
        for text in [self.event_type, self.source] {
            hash.update((text.len() as u32).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(self.data_sha256);
        hash.finalize().into()
    }
}

/// The hash of an event's content.
pub fn content_hash(event: &Event) -> Hash {
    let content = Content {
        event_type: &event.event_type,
        schema_version: event.schema_version,
        subject_id: event.subject_id,
        source: &event.source,
        occurred_at: event.occurred_at,
        data_sha256: &merkle::sha256(event.data.as_bytes()),
    };
    content.hash()
}

#[cfg(test)]
mod tests {
    use events::id::{EventId, OrgId};

    use super::*;

    fn event() -> Event {
        Event {
            org_id: OrgId::generate(),
            event_id: EventId::generate(),
            event_type: "run.started".to_owned(),
            schema_version: 1,
            subject_id: SubjectId::generate(),
            source: "/a".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            extensions: None,
            data: "{}".into(),
        }
    }

    #[test]
    fn events_have_one_hash_exactly_when_their_content_is_the_same() {
        let first = event();
        let mut others = vec![first.clone(); 8];
        others[0].event_id = EventId::generate();
        others[1].extensions = Some(r#"{"authid":"a"}"#.to_owned());
        others[2].event_type = "run.created".to_owned();
        others[3].schema_version = 2;
        others[4].subject_id = SubjectId::generate();
        others[5].source = "/b".to_owned();
        others[6].occurred_at = DateTime::from_timestamp_micros(1).unwrap();
        others[7].data = "{ }".into();
        for other in &others {
            assert_eq!(content_hash(&first) == content_hash(other), first.same_content(other), "{other:?}");
        }
    }

    #[test]
    fn a_letter_moved_from_type_to_source_is_another_content() {
        let (mut one, mut other) = (event(), event());
        other.subject_id = one.subject_id;
        (one.event_type, one.source) = ("custom.a/".to_owned(), "b".to_owned());
        (other.event_type, other.source) = ("custom.a".to_owned(), "/b".to_owned());
        assert_ne!(content_hash(&one), content_hash(&other));
    }
}
