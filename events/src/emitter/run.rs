//! The events of one run, counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Ack, EmitError, Emitter, message::Outgoing};
use crate::{
    catalogue::EventData,
    envelope::Event,
    id::{OrgId, RunId},
};

/// Sends the events of one run and of its steps, each with its place in what this emitter has sent
/// about the run, so that the ledger shows when one is lost on the way. May be shared between the
/// tasks that work on the run; two handles of one run and source would count over each other.
#[derive(Debug)]
pub struct RunEmitter {
    emitter: Emitter,
    org_id: OrgId,
    run_id: RunId,
    sequence: Mutex<i64>,
}

impl RunEmitter {
    pub(super) fn new(emitter: Emitter, org_id: OrgId, run_id: RunId) -> Self {
        Self { emitter, org_id, run_id, sequence: Mutex::new(0) }
    }

    /// Goes on counting behind `sequence`, for a service that takes up a run that it began before.
    pub fn after(self, sequence: i64) -> Self {
        Self { sequence: Mutex::new(sequence), ..self }
    }

    /// The place of the event that was sent last; 0 before the first.
    pub fn sequence(&self) -> i64 {
        *self.count()
    }

    /// Sends a new event of the run or of one of its steps and waits until the stream has it.
    /// Payloads of other families do not compile. What could not be sent is sent again with
    /// [`RunEmitter::send`] and [`EmitError::into_event`]; to emit it again makes a second event.
    pub async fn emit<T: EventData>(&self, payload: &T) -> Result<Ack, EmitError> {
        self.send(self.event(payload)?).await
    }

    /// A new event of the run or of one of its steps that is not sent yet, for setting its time, its
    /// trace attributes or its extensions before [`RunEmitter::send`].
    pub fn event<T: EventData>(&self, payload: &T) -> Result<Event, EmitError> {
        const { assert!(is_of_a_run(T::TYPE), "a run has events of the families run and step only") };
        Event::new(self.org_id, self.run_id.subject(), self.emitter.source(), payload)
            .map_err(|source| EmitError::Unwritable { event_type: T::TYPE, source })
    }

    /// Counts the event, unless it has its `sequence` from an earlier attempt, sends it and waits until
    /// the stream has it. What the ledger would refuse is not sent and not counted.
    pub async fn send(&self, event: Event) -> Result<Ack, EmitError> {
        let mut outgoing = Outgoing::of(&event)?;
        outgoing.count(|_| {
            let mut sequence = self.count();
            *sequence += 1;
            *sequence
        });
        self.emitter.publish(&outgoing).await
    }

    /// One number stays whole when a task panics that holds it.
    fn count(&self) -> MutexGuard<'_, i64> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn is_of_a_run(event_type: &str) -> bool {
    matches!(event_type.as_bytes(), [b'r', b'u', b'n', b'.', ..] | [b's', b't', b'e', b'p', b'.', ..])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        emitter::EmitterOptions,
        payload::{RunCompleted, RunStarted},
    };

    /// A run whose events nobody takes.
    async fn unheard() -> RunEmitter {
        let options = EmitterOptions {
            ack_timeout: Duration::from_millis(10),
            give_up_after: Duration::ZERO,
            ..EmitterOptions::new("/emitter")
        };
        let emitter = Emitter::connect("nats://127.0.0.1:1", options).await.unwrap();
        emitter.run(OrgId::generate(), RunId::generate())
    }

    #[tokio::test]
    async fn an_event_that_was_given_up_is_had_back_and_sent_again_as_the_same_event() {
        let run = unheard().await;
        let error = run.emit(&RunStarted::default()).await.unwrap_err();
        assert!(matches!(error, EmitError::NoAck { .. }), "{error:?}");
        let event = error.into_event().unwrap();
        assert_eq!(event.sequence(), Some(1));
        let second = run.emit(&RunCompleted::default()).await.unwrap_err().into_event().unwrap();
        assert_eq!(second.sequence(), Some(2));
        let again = run.send(event.clone()).await.unwrap_err().into_event().unwrap();
        assert_eq!((again, run.sequence()), (event, 2));
    }

    #[tokio::test]
    async fn what_is_refused_before_it_is_sent_is_not_counted() {
        let run = unheard().await;
        let mut event = run.event(&RunStarted::default()).unwrap();
        event.data = r#"{"channel":7}"#.into();
        let refused = run.send(event).await.unwrap_err();
        assert!(matches!(refused, EmitError::Refused { .. }), "{refused:?}");
        assert_eq!((refused.into_event(), run.sequence()), (None, 0));
    }
}
