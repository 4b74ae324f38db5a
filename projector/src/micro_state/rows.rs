//! Rows of `micro_state`, and how they are written.

use chrono::{DateTime, Utc};
use events::{
    id::{EndpointId, MicroStateId, NodeId, OrgId, RunId, StepId, UserId},
    payload::{MicroStateObserved, value::IndexedText},
};
use half::f16;
use sqlx::{PgConnection, query_file};

use crate::{
    embedding::{Embeddings, Rendition},
    fold::{Flags, object},
    write::{column, joined},
};

/// A row.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The columns of the contract.
pub struct Row {
    pub org_id: OrgId,
    pub micro_state_id: MicroStateId,
    /// The latest observation, which most columns come from.
    pub observed: MicroStateObserved,
    pub rendition: Rendition,
    pub label: Option<String>,
    pub labelled_by: Option<UserId>,
    /// These two are there once the row is to be written.
    pub embedding_model: Option<String>,
    pub text_embedding: Option<Vec<f32>>,
    pub observed_count: i32,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub flags: Flags,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Row {
    /// Takes the embedding of the rendition, or, where those are to be taken, the event's own.
    pub fn embed(&mut self, embeddings: &Embeddings<'_>) {
        let (model, embedding) = match embeddings.take_supplied {
            true => {
                let named = self.observed.embedding_model.as_ref().map(IndexedText::as_str);
                (named.unwrap_or(embeddings.model), self.observed.text_embedding.as_ref())
            }
            false => (embeddings.model, embeddings.get(self.rendition.hash)),
        };
        self.text_embedding = embedding.map(|embedding| halved(embedding.normalized()));
        self.embedding_model = self.text_embedding.as_ref().map(|_| model.to_owned());
        if self.text_embedding.is_none() {
            self.flags.insert("not_embedded");
        }
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        const EMBEDDINGS: usize = 4 * (768 + 512);
        size_of::<Self>() + EMBEDDINGS + 2 * self.rendition.text.len() + self.ui().len()
    }

    pub(super) fn ui(&self) -> String {
        object::to_json(&self.observed.ui)
    }

    pub(super) fn screenshot(&self) -> Option<String> {
        self.observed.screenshot.as_ref().map(object::to_json)
    }

    pub(super) fn portal_type(&self) -> Option<&str> {
        self.observed.portal_type.as_ref().map(IndexedText::as_str)
    }

    pub(super) fn image_embedding(&self) -> Option<Vec<f32>> {
        self.observed.image_embedding.as_ref().map(|embedding| halved(embedding.normalized()))
    }
}

/// Rounded to what the table keeps, so that nobody rounds it again, and maybe otherwise.
fn halved(numbers: Vec<f32>) -> Vec<f32> {
    numbers.into_iter().map(|number| f16::from_f32(number).to_f32()).collect()
}

/// Embeddings on their way: all numbers in one array, because UNNEST would flatten arrays of arrays, and of each row its place.
#[derive(Default)]
struct Numbers {
    all: Vec<f32>,
    places: Vec<Option<i32>>,
}

impl Numbers {
    fn of(embeddings: impl Iterator<Item = Option<Vec<f32>>>) -> Self {
        let (mut numbers, mut count) = (Self::default(), 0);
        for embedding in embeddings {
            numbers.places.push(embedding.as_ref().map(|_| count));
            count += i32::from(embedding.is_some());
            numbers.all.extend(embedding.unwrap_or_default());
        }
        numbers
    }
}

/// Inserts or replaces the rows.
pub async fn upsert(rows: &[Row], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let texts = Numbers::of(rows.iter().map(|row| row.text_embedding.clone()));
    let images = Numbers::of(rows.iter().map(Row::image_embedding));
    query_file!(
        "src/micro_state/upsert.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.micro_state_id.uuid()),
        &column(rows, |row| row.observed.run_id.map(RunId::uuid)) as _,
        &column(rows, |row| row.observed.step_id.map(StepId::uuid)) as _,
        &column(rows, |row| row.observed.node_id.map(NodeId::uuid)) as _,
        &column(rows, Row::portal_type) as _,
        &column(rows, |row| row.observed.endpoint_id.map(EndpointId::uuid)) as _,
        &column(rows, |row| row.observed.url.as_str()) as _,
        &column(rows, |row| row.observed.title.as_str()) as _,
        &column(rows, Row::ui),
        &column(rows, Row::screenshot) as _,
        &column(rows, |row| row.label.as_deref()) as _,
        &column(rows, |row| row.labelled_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.rendition.hash.as_bytes().to_vec()),
        &column(rows, |row| row.rendition.text.as_str()) as _,
        &column(rows, |row| row.embedding_model.as_deref()) as _,
        &texts.places as _,
        &images.places as _,
        &column(rows, |row| row.observed_count),
        &column(rows, |row| row.first_seen_at),
        &column(rows, |row| row.last_seen_at),
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
        &texts.all,
        &images.all,
    )
    .execute(conn)
    .await?;
    Ok(())
}
