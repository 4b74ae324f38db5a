//! Screens as services saw them: `micro_state`.
//!
//! A row is the latest observation of the screen as a whole, the latest label, how often and when the screen was seen, and the
//! embedding of its rendition. The rendition is made here, by a pure function; the embedding is put into the row when it
//! is written, from the cache (see [`crate::embedding`]).

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EventId, MicroStateId, UserId},
    payload::{MicroStateLabelled, MicroStateObserved},
};
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    embedding::{Embeddings, Rendition},
    fold::{Flags, Latest, Span, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

mod columns;
mod rendition;
mod rows;
#[cfg(test)]
mod tests;

pub use rendition::{RULES, rendition};
pub use rows::Row;

/// A screen.
#[derive(Debug, Default)]
pub struct MicroState {
    seen: HashSet<EventId>,
    changed: bool,
    unfoldable: bool,
    span: Span,
    observed: Span,
    observed_count: i32,
    latest: Latest<Observation>,
    label: Latest<(String, Option<UserId>)>,
    data_bytes_max: usize,
}

/// An observation, and what is embedded of it.
#[derive(Debug)]
struct Observation {
    observed: MicroStateObserved,
    rendition: Rendition,
}

impl Projection for MicroState {
    const NAME: &'static str = "micro_state";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["micro_state"];
    const TYPES: &'static [&'static str] = &["micro_state.observed", "micro_state.labelled"];
    const FAMILIES: &'static [&'static str] = &["micro_state"];
    const EMBEDS: bool = true;
    type Rows = Vec<Row>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if !self.seen.insert(event.stamp.event_id) {
            return;
        }
        self.changed = true;
        self.data_bytes_max = self.data_bytes_max.max(event.data.len());
        match event.content {
            Content::Payload(payload) => {
                self.span.include(event.stamp.time);
                self.fold(event.stamp, *payload);
            }
            Content::Unfoldable(_) => self.unfoldable = true,
            Content::Elsewhere => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Vec<Row>) -> usize {
        if !std::mem::take(&mut self.changed) {
            return 0;
        }
        let Some(row) = self.row(subject) else { return 0 };
        let bytes = row.weight();
        rows.push(row);
        bytes
    }

    fn forget_changes(&mut self) {
        self.changed = false;
    }

    fn weight(&self) -> usize {
        const EVENT: usize = 32;
        // The rendition is no longer than what it is made of.
        size_of::<Self>() + self.seen.len() * EVENT + 2 * self.data_bytes_max
    }

    fn renditions(rows: &Vec<Row>) -> Vec<&Rendition> {
        rows.iter().map(|row| &row.rendition).collect()
    }

    fn embed(rows: &mut Vec<Row>, embeddings: &Embeddings<'_>) {
        rows.iter_mut().for_each(|row| row.embed(embeddings));
    }

    fn copy(rows: &Vec<Row>) -> Vec<Copy> {
        vec![Copy::of(Self::NAME, columns::MICRO_STATE, rows)]
    }

    async fn write(rows: &Vec<Row>, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows::upsert(rows, conn).await
    }
}

impl MicroState {
    fn fold(&mut self, stamp: Stamp, payload: Payload) {
        match payload {
            Payload::MicroStateObserved(observed) => {
                self.observed.include(stamp.time);
                self.observed_count = self.observed_count.saturating_add(1);
                if self.latest.key().is_none_or(|latest| stamp > *latest) {
                    let rendition = rendition(&observed);
                    self.latest.offer(stamp, Observation { observed, rendition });
                }
            }
            Payload::MicroStateLabelled(MicroStateLabelled { label, labelled_by }) => {
                self.label.offer(stamp, (label.into(), labelled_by));
            }
            _ => {}
        }
    }

    /// A screen that is labelled and has not been seen yet has no row.
    fn row(&self, subject: Subject) -> Option<Row> {
        let Observation { observed, rendition } = self.latest.get()?;
        let ((first_seen_at, last_seen_at), (created_at, updated_at)) =
            self.observed.bounds().zip(self.span.bounds())?;
        let label = self.label.get();
        Some(Row {
            org_id: subject.org_id,
            micro_state_id: MicroStateId::of_subject(subject.subject_id),
            observed: observed.clone(),
            rendition: rendition.clone(),
            label: label.map(|(label, _)| label.clone()),
            labelled_by: label.and_then(|(_, by)| *by),
            embedding_model: None,
            text_embedding: None,
            observed_count: self.observed_count,
            first_seen_at,
            last_seen_at,
            flags: self.flags(created_at),
            created_at,
            updated_at,
        })
    }

    fn flags(&self, created_at: DateTime<Utc>) -> Flags {
        let odd =
            [("implausible_time", created_at < crate::fold::PLAUSIBLE_SINCE), ("unfoldable_event", self.unfoldable)];
        odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)).collect()
    }
}
