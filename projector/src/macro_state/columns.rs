//! The columns of the tables, as COPY takes them.

use events::id::{MacroStateId, MicroStateId, UserId};

use super::{MemberRow, Row};
use crate::copy::Column;

/// Of `macro_state`.
pub const MACRO_STATE: &[Column<Row>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("macro_state_id", |row, value| value.uuid(row.macro_state_id.uuid())),
    ("origin", |row, value| value.text(row.origin)),
    ("name", |row, value| value.text(row.name.as_deref())),
    ("description", |row, value| value.text(row.description.as_deref())),
    ("portal_type", |row, value| value.text(row.portal_type.as_deref())),
    ("label", |row, value| value.text(row.label.as_deref())),
    ("defined_by", |row, value| value.uuid(row.defined_by.map(UserId::uuid))),
    ("micro_states", |row, value| value.int(row.micro_states)),
    ("observed_count", |row, value| value.bigint(row.observed_count)),
    ("example_id", |row, value| value.uuid(row.example_id.map(MicroStateId::uuid))),
    ("first_seen_at", |row, value| value.timestamptz(row.first_seen_at)),
    ("last_seen_at", |row, value| value.timestamptz(row.last_seen_at)),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
];

/// Of `macro_state_member`.
pub const MEMBER: &[Column<MemberRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("micro_state_id", |row, value| value.uuid(row.micro_state_id.uuid())),
    ("macro_state_id", |row, value| value.uuid(row.macro_state_id.uuid())),
    ("via", |row, value| value.text(row.via)),
    ("cluster_id", |row, value| value.uuid(row.cluster_id.map(MacroStateId::uuid))),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
];
