//! Entities: whatever has attributes that its latest events decide, and is in use until it is retired. Orgs,
//! users and the catalogue are such; each says what its [`Attributes`] are, and [`Entity`] is the projection.
//!
//! A row is made of maxima over (time, id) and of the bounds of the events' times, so neither their order nor
//! an event that comes twice matters.

use sqlx::PgConnection;

use chrono::{DateTime, Utc};
use events::catalogue::Payload;

use crate::{
    copy::{Column, Copy},
    fold::{Latest, Span, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

/// What the events of an entity say about it.
pub trait Attributes: Default + Send + Sync + 'static {
    /// The table, and so the projection.
    const TABLE: &'static str;
    /// See [`Projection::VERSION`].
    const VERSION: i32;
    /// The family of its events.
    const FAMILY: &'static str;
    /// See [`Projection::TYPES`].
    const TYPES: &'static [&'static str];
    /// A row of the table.
    type Row: Send + Sync + 'static;
    /// The table's columns.
    const COLUMNS: &'static [Column<Self::Row>];

    /// Takes what an event says. Whether the entity is in use from then on, if the event says so.
    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool>;

    /// The row, once enough is known for one.
    fn row(&self, standing: Standing) -> Option<Self::Row>;

    /// Inserts or replaces rows, of which there is at least one.
    fn upsert(rows: &[Self::Row], conn: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// What is the same for all entities.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Whose entity, and which.
    pub subject: Subject,
    /// Whether it has not been retired since it was last taken into use.
    pub is_in_use: bool,
    /// When the earliest of its events happened.
    pub created_at: DateTime<Utc>,
    /// When the latest of its events happened.
    pub updated_at: DateTime<Utc>,
}

impl Standing {
    /// The status of something that is used, and then `ended`.
    pub fn status(&self, ended: &'static str) -> &'static str {
        if self.is_in_use { "active" } else { ended }
    }
}

/// The fold of an entity's events.
#[derive(Debug, Default)]
pub struct Entity<A> {
    changed: bool,
    span: Span,
    in_use: Latest<bool>,
    attributes: A,
    data_bytes_max: usize,
}

impl<A: Attributes> Projection for Entity<A> {
    const NAME: &'static str = A::TABLE;
    const VERSION: i32 = A::VERSION;
    const TABLES: &'static [&'static str] = &[A::TABLE];
    const FAMILIES: &'static [&'static str] = &[A::FAMILY];
    const TYPES: &'static [&'static str] = A::TYPES;
    type Rows = Vec<A::Row>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        let Content::Payload(payload) = event.content else { return };
        self.changed = true;
        self.data_bytes_max = self.data_bytes_max.max(event.data.len());
        self.span.include(event.stamp.time);
        self.in_use.offer_some(event.stamp, self.attributes.learn(event.stamp, *payload));
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Self::Rows) -> usize {
        if !std::mem::take(&mut self.changed) {
            return 0;
        }
        rows.extend(self.row(subject));
        self.weight()
    }

    fn forget_changes(&mut self) {
        self.changed = false;
    }

    /// The attributes together are about as long as the longest payload.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.data_bytes_max
    }

    fn copy(rows: &Self::Rows) -> Vec<Copy> {
        vec![Copy::of(A::TABLE, A::COLUMNS, rows)]
    }

    async fn write(rows: &Self::Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() { Ok(()) } else { A::upsert(rows, conn).await }
    }
}

impl<A: Attributes> Entity<A> {
    fn row(&self, subject: Subject) -> Option<A::Row> {
        let (created_at, updated_at) = self.span.bounds()?;
        let is_in_use = self.in_use.get() != Some(&false);
        self.attributes.row(Standing { subject, is_in_use, created_at, updated_at })
    }
}

#[cfg(test)]
pub mod any_order;
