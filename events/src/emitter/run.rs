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
    /// Payloads of other families do not compile.
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

    /// Counts the event, sends it and waits until the stream has it.
    pub async fn send(&self, mut event: Event) -> Result<Ack, EmitError> {
        let outgoing = {
            let mut sequence = self.count();
            event.set_sequence(*sequence + 1);
            let outgoing = Outgoing::of(&event)?;
            // What is refused before it is sent leaves no gap.
            *sequence += 1;
            outgoing
        };
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
