//! The columns of the two tables, as COPY takes them.

use events::id::{NodeId, RunId, UserId, WorkflowId};

use super::{RunRow, StepRow};
use crate::copy::Column;

/// Of `user_workflow_run`.
pub const RUN: &[Column<RunRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("run_id", |row, value| value.uuid(row.run_id.uuid())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.map(WorkflowId::uuid))),
    ("workflow_revision", |row, value| value.int(row.workflow_revision)),
    ("parent_run_id", |row, value| value.uuid(row.parent_run_id.map(RunId::uuid))),
    ("status", |row, value| value.text(row.status.as_str())),
    ("channel", |row, value| value.text(row.channel.as_deref())),
    ("external_id", |row, value| value.text(row.external_id.as_deref())),
    ("started_at", |row, value| value.timestamptz(row.started_at)),
    ("ended_at", |row, value| value.timestamptz(row.ended_at)),
    ("duration_ms", |row, value| value.bigint(row.duration_ms)),
    ("context", |row, value| value.jsonb(row.context.as_str())),
    ("config_snapshot", |row, value| value.jsonb(row.config_snapshot.as_str())),
    ("endpoints_used", |row, value| value.jsonb(row.endpoints_used.as_str())),
    ("error_message", |row, value| value.text(row.error_message.as_deref())),
    ("error_details", |row, value| value.jsonb(row.error_details.as_deref())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_by", |row, value| value.uuid(row.created_by.map(UserId::uuid))),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ("legacy_trace_id", |row, value| value.bigint(row.legacy_trace_id)),
];

/// Of `user_workflow_run_step`.
pub const STEP: &[Column<StepRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("run_id", |row, value| value.uuid(row.run_id.uuid())),
    ("step_id", |row, value| value.uuid(row.step_id.uuid())),
    ("node_id", |row, value| value.uuid(row.node_id.map(NodeId::uuid))),
    ("step_number", |row, value| value.int(row.step_number)),
    ("status", |row, value| value.text(row.status.as_str())),
    ("retry_count", |row, value| value.int(row.retry_count)),
    ("started_at", |row, value| value.timestamptz(row.started_at)),
    ("ended_at", |row, value| value.timestamptz(row.ended_at)),
    ("duration_ms", |row, value| value.bigint(row.duration_ms)),
    ("input_data", |row, value| value.jsonb(row.input_data.as_deref())),
    ("output_data", |row, value| value.jsonb(row.output_data.as_deref())),
    ("screenshots", |row, value| value.jsonb(row.screenshots.as_str())),
    ("events", |row, value| value.jsonb(row.events.as_str())),
    ("error_message", |row, value| value.text(row.error_message.as_deref())),
    ("error_details", |row, value| value.jsonb(row.error_details.as_deref())),
    ("metadata", |row, value| value.jsonb(row.metadata.as_str())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ("legacy_step_id", |row, value| value.bigint(row.legacy_step_id)),
];
