//! An org's part in a step: what was read of it, and what of that this version can fold.

use events::{
    RecordedEvent, Refusal,
    id::{OrgId, Seq},
};
use ledger::read::Page;

use super::Step;
use crate::{
    parked::Parked,
    passing::Stretch,
    projection::{Content, FoldEvent, Projection},
};

/// An org whose checkpoint is claimed, and the events behind it.
pub struct Turn {
    /// The org.
    pub org_id: OrgId,
    /// Whose tables.
    pub generation: i32,
    /// The checkpoint.
    pub after: Seq,
    /// What comes next.
    pub page: Page,
    /// Whether that is all there is.
    pub whole: bool,
    /// The event to park, of those that come next.
    pub culprit: Option<(Seq, String)>,
}

/// A page up to the first event that this version cannot know.
pub struct Reading<'a> {
    /// Its events.
    pub events: Vec<(&'a RecordedEvent, FoldEvent<'a>)>,
    /// Everything up to here counts, also what is of no concern.
    pub through: Seq,
    /// Whether there is no more than this.
    pub whole: bool,
    stop: Option<(Seq, Refusal)>,
}

impl<'a> Reading<'a> {
    /// What this turn holds for the projection.
    pub fn of<P: Projection>(turn: &'a Turn) -> Self {
        let Turn { page, after, whole, culprit, .. } = turn;
        let mut reading =
            Self { events: Vec::with_capacity(page.events.len()), through: page.through, whole: *whole, stop: None };
        for recorded in &page.events {
            if let Some((seq, reason)) = culprit
                && *seq == recorded.seq
            {
                reading.events.push((recorded, FoldEvent::unfoldable(recorded, reason.clone())));
                continue;
            }
            match FoldEvent::read::<P>(recorded) {
                Ok(event) => reading.events.push((recorded, event)),
                Err(refusal) => {
                    reading.through = Seq::new(recorded.seq.get() - 1).max(*after);
                    reading.whole = false;
                    reading.stop = Some((recorded.seq, refusal));
                    break;
                }
            }
        }
        reading
    }

    /// How the step ends if there was nothing to move the checkpoint by.
    pub fn into_end(self) -> Step {
        self.stop.map_or(Step::CaughtUp, |(seq, refusal)| Step::Stopped { seq, refusal })
    }

    /// What was read, where that was the events of every family.
    pub fn stretch(&self, after: Seq) -> Stretch {
        Stretch::of(after, self.through, self.events.iter().map(|(recorded, _)| *recorded))
    }

    /// The events that cannot be folded.
    pub fn parked(&self) -> Vec<Parked> {
        let parked = self.events.iter().filter_map(|(recorded, event)| match &event.content {
            Content::Unfoldable(reason) => {
                Some(Parked { subject_id: recorded.event.subject_id, seq: recorded.seq, reason: reason.clone() })
            }
            Content::Payload(_) | Content::Elsewhere => None,
        });
        parked.collect()
    }
}
