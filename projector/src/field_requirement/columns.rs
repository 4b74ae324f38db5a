//! The columns of the tables, as COPY takes them.

use events::id::{PayerId, UserId};

use super::{ChangeRow, RequirementRow};
use crate::copy::Column;

const ORG: &[Column<RequirementRow>] = &[("org_id", |row, value| value.uuid(row.org_id.uuid()))];

const PAYER: &[Column<RequirementRow>] = &[("payer_id", |row, value| value.uuid(row.payer_id.map(PayerId::uuid)))];

const ACTION: &[Column<RequirementRow>] = &[("action", |row, value| value.text(row.action))];

const ALL_TIERS: &[Column<RequirementRow>] = &[
    ("task_type_id", |row, value| value.uuid(row.task_type_id.uuid())),
    ("field", |row, value| value.text(row.field.as_str())),
    ("level", |row, value| value.text(row.level)),
    ("rule", |row, value| value.jsonb(row.rule.as_deref())),
    ("validation", |row, value| value.jsonb(row.validation.as_deref())),
    ("help_text", |row, value| value.text(row.help_text.as_deref())),
    ("status", |row, value| value.text(row.status)),
    ("version", |row, value| value.int(row.version)),
    ("reason", |row, value| value.text(row.reason.as_deref())),
    ("changed_by", |row, value| value.uuid(row.changed_by.map(UserId::uuid))),
    ("event_id", |row, value| value.uuid(row.event_id.uuid())),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

/// Of `field_requirement`.
pub fn global() -> Vec<Column<RequirementRow>> {
    [ORG, ALL_TIERS].concat()
}

/// Of `payer_requirement`.
pub fn payer() -> Vec<Column<RequirementRow>> {
    [ORG, PAYER, ALL_TIERS].concat()
}

/// Of `org_requirement_policy`.
pub fn org() -> Vec<Column<RequirementRow>> {
    [ORG, PAYER, ACTION, ALL_TIERS].concat()
}

/// Of `requirement_changelog`.
pub const CHANGE: &[Column<ChangeRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("event_id", |row, value| value.uuid(row.event_id.uuid())),
    ("tier", |row, value| value.text(row.tier.as_str())),
    ("payer_id", |row, value| value.uuid(row.payer_id.map(PayerId::uuid))),
    ("task_type_id", |row, value| value.uuid(row.task_type_id.uuid())),
    ("field", |row, value| value.text(row.field.as_str())),
    ("version", |row, value| value.int(row.version)),
    ("change", |row, value| value.text(row.change)),
    ("before", |row, value| value.jsonb(row.before.as_deref())),
    ("after", |row, value| value.jsonb(row.after.as_deref())),
    ("reason", |row, value| value.text(row.reason.as_deref())),
    ("changed_by", |row, value| value.uuid(row.changed_by.map(UserId::uuid))),
    ("changed_at", |row, value| value.timestamptz(row.changed_at)),
    ("superseded_at", |row, value| value.timestamptz(row.superseded_at)),
];
