//! The columns of the two tables, as COPY takes them.

use events::id::{RunId, UserId, WorkflowId};

use super::{JobRow, RowRow};
use crate::copy::Column;

/// Of `batch_job`.
pub const JOB: &[Column<JobRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("batch_id", |row, value| value.uuid(row.batch_id.uuid())),
    ("name", |row, value| value.text(row.name.as_deref())),
    ("status", |row, value| value.text(row.status.as_str())),
    ("workflow_id", |row, value| value.uuid(row.workflow_id.map(WorkflowId::uuid))),
    ("workflow_revision", |row, value| value.int(row.workflow_revision)),
    ("external_id", |row, value| value.text(row.external_id.as_deref())),
    ("rows_expected", |row, value| value.int(row.rows_expected)),
    ("rows_total", |row, value| value.int(row.totals.total())),
    ("rows_pending", |row, value| value.int(row.totals.pending)),
    ("rows_running", |row, value| value.int(row.totals.running)),
    ("rows_completed", |row, value| value.int(row.totals.completed)),
    ("rows_failed", |row, value| value.int(row.totals.failed)),
    ("rows_skipped", |row, value| value.int(row.totals.skipped)),
    ("started_at", |row, value| value.timestamptz(row.started_at)),
    ("ended_at", |row, value| value.timestamptz(row.ended_at)),
    ("duration_ms", |row, value| value.bigint(row.duration_ms)),
    ("context", |row, value| value.jsonb(row.context.as_str())),
    ("error_message", |row, value| value.text(row.error_message.as_deref())),
    ("error_details", |row, value| value.jsonb(row.error_details.as_deref())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("submitted_by", |row, value| value.uuid(row.submitted_by.map(UserId::uuid))),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

/// Of `batch_row`.
pub const ROW: &[Column<RowRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("batch_id", |row, value| value.uuid(row.batch_id.uuid())),
    ("row_id", |row, value| value.uuid(row.row_id.uuid())),
    ("row_number", |row, value| value.int(row.row_number)),
    ("status", |row, value| value.text(row.status.as_str())),
    ("run_id", |row, value| value.uuid(row.run_id.map(RunId::uuid))),
    ("external_id", |row, value| value.text(row.external_id.as_deref())),
    ("started_at", |row, value| value.timestamptz(row.started_at)),
    ("ended_at", |row, value| value.timestamptz(row.ended_at)),
    ("duration_ms", |row, value| value.bigint(row.duration_ms)),
    ("error_message", |row, value| value.text(row.error_message.as_deref())),
    ("error_details", |row, value| value.jsonb(row.error_details.as_deref())),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];
