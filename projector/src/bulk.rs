//! Folding whole subjects: every event of one, then its rows, then the next. For those who read the ledger
//! in (subject, seq) order: memory holds one subject's state and the rows that wait to be loaded.

use std::mem::take;

use events::{RecordedEvent, Refusal, catalogue::family, id::Seq};

use crate::{
    copy::Copy,
    embedding::{Embeddings, Rendition},
    parked::Parked,
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

/// A projection that folds whole subjects, whichever it is.
pub trait Bulk: Send {
    /// Takes an event of the present subject into account.
    ///
    /// # Errors
    /// When only a newer version can fold it.
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), Refusal>;

    /// Reads a page of events for a projection that folds them in their order; each with the text that it wants embedded.
    ///
    /// # Errors
    /// When only a newer version can fold one of them.
    fn read<'e>(&self, events: &'e [RecordedEvent]) -> Result<Vec<InOrder<'e>>, (Seq, Refusal)>;

    /// Takes an event that was read into account.
    fn apply_read(&mut self, recorded: &RecordedEvent, event: FoldEvent<'_>);

    /// The subject has no more events: its rows wait to be loaded.
    fn end_subject(&mut self, subject: Subject, lookups: &Lookups);

    /// About how many bytes the waiting rows take.
    fn waiting_bytes(&self) -> usize;

    /// The texts whose embeddings the waiting rows hold.
    fn renditions(&self) -> Vec<Rendition>;

    /// Takes the waiting rows, with these embeddings, and events that could not be folded.
    fn take(&mut self, embeddings: &Embeddings<'_>) -> (Vec<Copy>, Vec<Parked>);
}

/// An event in its order, as the projection sees it, and the text that it wants embedded.
pub type InOrder<'e> = (&'e RecordedEvent, FoldEvent<'e>, Option<Rendition>);

/// A projection that folds whole subjects.
pub struct Subjects<P: Projection> {
    state: Option<P>,
    rows: P::Rows,
    rows_bytes: usize,
    parked: Vec<Parked>,
}

impl<P: Projection> Default for Subjects<P> {
    fn default() -> Self {
        Self { state: None, rows: P::Rows::default(), rows_bytes: 0, parked: Vec::new() }
    }
}

impl<P: Projection> Bulk for Subjects<P> {
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), Refusal> {
        if !P::FAMILIES.is_empty() && !P::FAMILIES.contains(&family(&recorded.event.event_type)) {
            return Ok(());
        }
        let event = FoldEvent::read::<P>(recorded)?;
        self.apply_read(recorded, event);
        Ok(())
    }

    fn read<'e>(&self, events: &'e [RecordedEvent]) -> Result<Vec<InOrder<'e>>, (Seq, Refusal)> {
        let read = events.iter().map(|recorded| {
            let mut event = FoldEvent::read::<P>(recorded).map_err(|refusal| (recorded.seq, refusal))?;
            let wanted = event.wanted.take();
            Ok((recorded, event, wanted))
        });
        read.collect()
    }

    fn apply_read(&mut self, recorded: &RecordedEvent, event: FoldEvent<'_>) {
        if let Content::Unfoldable(reason) = &event.content {
            let (subject_id, seq) = (recorded.event.subject_id, recorded.seq);
            self.parked.push(Parked { subject_id, seq, reason: reason.clone() });
        }
        self.state.get_or_insert_default().apply(event);
    }

    fn end_subject(&mut self, subject: Subject, lookups: &Lookups) {
        if let Some(mut state) = self.state.take() {
            // Not all that is taken becomes rows: what is to be deleted takes memory too.
            self.rows_bytes += size_of::<Subject>() + state.take_rows(subject, lookups, &mut self.rows);
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.rows_bytes
    }

    fn renditions(&self) -> Vec<Rendition> {
        P::renditions(&self.rows).into_iter().cloned().collect()
    }

    fn take(&mut self, embeddings: &Embeddings<'_>) -> (Vec<Copy>, Vec<Parked>) {
        self.rows_bytes = 0;
        let mut rows = take(&mut self.rows);
        P::embed(&mut rows, embeddings);
        (P::copy(&rows), take(&mut self.parked))
    }
}
