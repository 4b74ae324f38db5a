//! The columns of the four tables, as COPY takes them.

use events::id::UserId;

use super::{NodeRow, RevisionRow, TransitionRow, WorkflowRow};
use crate::copy::Column;

/// Of `user_workflow`.
pub const WORKFLOW: &[Column<WorkflowRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.uuid())),
    ("name", |row, value| value.text(row.name.as_str())),
    ("description", |row, value| value.text(row.description.as_deref())),
    ("revision", |row, value| value.int(row.revision)),
    ("status", |row, value| value.text(row.status)),
    ("revision_count", |row, value| value.int(row.revision_count)),
    ("node_count", |row, value| value.int(row.node_count)),
    ("transition_count", |row, value| value.int(row.transition_count)),
    ("archived_at", |row, value| value.timestamptz(row.archived_at)),
    ("archived_by", |row, value| value.uuid(row.archived_by.map(UserId::uuid))),
    ("archive_reason", |row, value| value.text(row.archive_reason.as_deref())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_by", |row, value| value.uuid(row.created_by.map(UserId::uuid))),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

/// Of `user_workflow_node`.
pub const NODE: &[Column<NodeRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.uuid())),
    ("node_id", |row, value| value.uuid(row.node_id.uuid())),
    ("revision", |row, value| value.int(row.revision)),
    ("position", |row, value| value.int(row.position)),
    ("label", |row, value| value.text(row.label.as_str())),
    ("kind", |row, value| value.text(row.kind.as_deref())),
    ("metadata", |row, value| value.jsonb(row.metadata.as_str())),
];

/// Of `user_workflow_transition`.
pub const TRANSITION: &[Column<TransitionRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.uuid())),
    ("position", |row, value| value.int(row.position)),
    ("revision", |row, value| value.int(row.revision)),
    ("from_node_id", |row, value| value.uuid(row.from_node_id.uuid())),
    ("to_node_id", |row, value| value.uuid(row.to_node_id.uuid())),
    ("condition", |row, value| value.jsonb(row.condition.as_deref())),
];

/// Of `workflow_revision`.
pub const REVISION: &[Column<RevisionRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.uuid())),
    ("revision", |row, value| value.int(row.revision)),
    ("name", |row, value| value.text(row.name.as_str())),
    ("description", |row, value| value.text(row.description.as_deref())),
    ("nodes", |row, value| value.jsonb(row.nodes.as_str())),
    ("transitions", |row, value| value.jsonb(row.transitions.as_str())),
    ("event_id", |row, value| value.uuid(row.event_id.uuid())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_by", |row, value| value.uuid(row.created_by.map(UserId::uuid))),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
];
