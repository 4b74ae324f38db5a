//! The columns of the table, as COPY takes them.

use events::id::{EndpointId, NodeId, RunId, StepId, UserId};

use super::Row;
use crate::copy::Column;

/// Of `micro_state`.
pub const MICRO_STATE: &[Column<Row>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("micro_state_id", |row, value| value.uuid(row.micro_state_id.uuid())),
    ("run_id", |row, value| value.uuid(row.observed.run_id.map(RunId::uuid))),
    ("step_id", |row, value| value.uuid(row.observed.step_id.map(StepId::uuid))),
    ("node_id", |row, value| value.uuid(row.observed.node_id.map(NodeId::uuid))),
    ("portal_type", |row, value| value.text(row.portal_type())),
    ("endpoint_id", |row, value| value.uuid(row.observed.endpoint_id.map(EndpointId::uuid))),
    ("url", |row, value| value.text(row.observed.url.as_str())),
    ("title", |row, value| value.text(row.observed.title.as_str())),
    ("ui", |row, value| value.jsonb(row.ui().as_str())),
    ("screenshot", |row, value| value.jsonb(row.screenshot().as_deref())),
    ("label", |row, value| value.text(row.label.as_deref())),
    ("labelled_by", |row, value| value.uuid(row.labelled_by.map(UserId::uuid))),
    ("content_hash", |row, value| value.bytea(row.rendition.hash.as_bytes())),
    ("rendition", |row, value| value.text(row.rendition.text.as_str())),
    ("embedding_model", |row, value| value.text(row.embedding_model.as_deref())),
    ("text_embedding", |row, value| value.halfvec(row.text_embedding.as_deref())),
    ("image_embedding", |row, value| value.halfvec(row.image_embedding().as_deref())),
    ("observed_count", |row, value| value.int(row.observed_count)),
    ("first_seen_at", |row, value| value.timestamptz(row.first_seen_at)),
    ("last_seen_at", |row, value| value.timestamptz(row.last_seen_at)),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];
