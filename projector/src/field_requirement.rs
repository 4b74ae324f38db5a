//! What has to be known of which field: `field_requirement` (everyone's), `payer_requirement` (payers'),
//! `org_requirement_policy` (orgs'), and `requirement_changelog`, where every change of any of them stands.
//!
//! A state holds what one subject has said: a task type, a payer or an org. Of each field it keeps all changes in the
//! order of (time, id), because a change that arrives late has its place among those that are there: what came
//! before and after it, and the versions of those that follow, are others from then on. The last change decides what
//! is in force. The views `effective_requirements` and `effective_requirements_at` merge the tiers when they are read.

use std::collections::{BTreeMap, btree_map::Entry};

use events::{
    catalogue::Payload,
    id::{OrgId, PayerId, TaskTypeId},
};
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    fold::Stamp,
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

#[cfg(test)]
mod any_order;
mod change;
mod columns;
mod rows;
#[cfg(test)]
mod tests;

use change::{Change, Terms};
pub use rows::{ChangeRow, RequirementRow, Rows};

/// Which tier sets a requirement; the first that sets a part decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// An org, for one payer.
    OrgPayer,
    /// An org, for all payers.
    Org,
    /// A payer.
    Payer,
    /// Everyone.
    Global,
}

impl Tier {
    /// As it stands in the read models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrgPayer => "org_payer",
            Self::Org => "org",
            Self::Payer => "payer",
            Self::Global => "global",
        }
    }
}

/// What a requirement is about, as its events name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// The task type is the subject.
    Global,
    /// The payer is the subject.
    Payer(TaskTypeId),
    /// The org is the subject.
    Org(Option<PayerId>, TaskTypeId),
}

/// Of which field, and for what.
type Key = (Scope, String);

/// What a subject has said of fields.
#[derive(Debug, Default)]
pub struct FieldRequirement {
    fields: BTreeMap<Key, BTreeMap<Stamp, Change>>,
    /// The earliest change that is new since the last rows were taken: it and those after it become rows.
    changed: BTreeMap<Key, Stamp>,
    weight: usize,
}

impl Projection for FieldRequirement {
    const NAME: &'static str = "field_requirement";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] =
        &["field_requirement", "payer_requirement", "org_requirement_policy", "requirement_changelog"];
    const TYPES: &'static [&'static str] = &[
        "requirement.set",
        "requirement.withdrawn",
        "payer_requirement.set",
        "payer_requirement.withdrawn",
        "org_policy.set",
        "org_policy.withdrawn",
    ];
    const FAMILIES: &'static [&'static str] = &["requirement", "payer_requirement", "org_policy"];
    type Rows = Rows;

    fn apply(&mut self, event: FoldEvent<'_>) {
        let Content::Payload(payload) = event.content else { return };
        let Some((scope, field, change)) = read(*payload) else { return };
        let key = (scope, field);
        let Entry::Vacant(place) = self.fields.entry(key.clone()).or_default().entry(event.stamp) else { return };
        place.insert(change);
        // Keys and nodes of the two maps, at a guess.
        self.weight += 256 + event.data.len();
        self.changed.entry(key).and_modify(|stamp| *stamp = event.stamp.min(*stamp)).or_insert(event.stamp);
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Rows) -> usize {
        let mut bytes = 0;
        for ((scope, field), first) in std::mem::take(&mut self.changed) {
            let about = About::of(subject, &scope);
            let changes = &self.fields[&(scope, field.clone())];
            bytes += rows.add(&about, &field, changes, first);
        }
        bytes
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.weight
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        rows.copy()
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows.write(conn).await
    }
}

fn read(payload: Payload) -> Option<(Scope, String, Change)> {
    use Payload::*;
    Some(match payload {
        RequirementSet(sent) => {
            let change = Change::of(Some(Terms::of(sent.terms())), sent.set_by, sent.reason);
            (Scope::Global, sent.field.into(), change)
        }
        RequirementWithdrawn(sent) => {
            (Scope::Global, sent.field.into(), Change::of(None, sent.withdrawn_by, sent.reason))
        }
        PayerRequirementSet(sent) => {
            let change = Change::of(Some(Terms::of(sent.terms())), sent.set_by, sent.reason);
            (Scope::Payer(sent.task_type_id), sent.field.into(), change)
        }
        PayerRequirementWithdrawn(sent) => {
            let change = Change::of(None, sent.withdrawn_by, sent.reason);
            (Scope::Payer(sent.task_type_id), sent.field.into(), change)
        }
        OrgPolicySet(sent) => {
            let change = Change::of(Some(Terms::of_policy(sent.action, sent.terms())), sent.set_by, sent.reason);
            (Scope::Org(sent.payer_id, sent.task_type_id), sent.field.into(), change)
        }
        OrgPolicyWithdrawn(sent) => {
            let change = Change::of(None, sent.withdrawn_by, sent.reason);
            (Scope::Org(sent.payer_id, sent.task_type_id), sent.field.into(), change)
        }
        // The families of other projections, which never get here: see `TYPES`.
        _ => return None,
    })
}

/// What a requirement is about, in full.
#[derive(Clone, Debug)]
struct About {
    org_id: OrgId,
    tier: Tier,
    payer_id: Option<PayerId>,
    task_type_id: TaskTypeId,
}

impl About {
    fn of(Subject { org_id, subject_id }: Subject, scope: &Scope) -> Self {
        let (tier, payer_id, task_type_id) = match *scope {
            Scope::Global => (Tier::Global, None, TaskTypeId::of_subject(subject_id)),
            Scope::Payer(task_type_id) => (Tier::Payer, Some(PayerId::of_subject(subject_id)), task_type_id),
            Scope::Org(None, task_type_id) => (Tier::Org, None, task_type_id),
            Scope::Org(payer_id, task_type_id) => (Tier::OrgPayer, payer_id, task_type_id),
        };
        Self { org_id, tier, payer_id, task_type_id }
    }
}
