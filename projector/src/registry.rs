//! The projections. A new one is a file, a migration, and a line in the list below.

use std::sync::Arc;

use events::{RecordedEvent, Refusal};

use crate::{
    advance::{Advance, Folder},
    app_user::AppUser,
    batch_job::BatchJob,
    bulk::{Bulk, Subjects},
    checkpoint::Version,
    embedding::Embedder,
    field_requirement::FieldRequirement,
    generation::Target,
    integration_endpoint::IntegrationEndpoint,
    lookup::Lookup,
    macro_state::MacroState,
    micro_state::MicroState,
    organization::Organization,
    portal_type::PortalType,
    projection::{FoldEvent, Projection},
    rcm_transition::RcmTransition,
    task_signature::TaskSignature,
    task_type::TaskType,
    user_workflow::UserWorkflow,
    user_workflow_run::UserWorkflowRun,
};

const PROJECTIONS: &[Registration] = &[
    Registration::of::<Organization>(),
    Registration::of::<AppUser>(),
    Registration::of::<Lookup>(),
    Registration::of::<PortalType>(),
    Registration::of::<IntegrationEndpoint>(),
    Registration::of::<TaskType>(),
    Registration::of::<TaskSignature>(),
    Registration::of::<FieldRequirement>(),
    Registration::of::<UserWorkflowRun>(),
    Registration::of::<UserWorkflow>(),
    Registration::of::<BatchJob>(),
    Registration::of::<MacroState>(),
    Registration::of::<RcmTransition>(),
    Registration::of::<MicroState>(),
];

/// Event types that no projection folds, with the reason.
#[cfg(test)]
const IGNORED: &[(&str, &str)] = &[];

/// A projection as the rest of the program sees it.
#[derive(Clone, Copy)]
pub struct Registration {
    /// What it is called in `ledger.checkpoint`: the leading one of its tables, if one leads.
    pub name: &'static str,
    /// The version of its fold.
    pub version: i32,
    /// The tables that it writes.
    pub tables: &'static [&'static str],
    /// The event types that it folds.
    pub types: &'static [&'static str],
    pub(crate) families: &'static [&'static str],
    pub(crate) embeds: bool,
    pub(crate) in_order: bool,
    pub(crate) made_with: fn(&dyn Embedder) -> String,
    pub(crate) start: fn(Target, Arc<dyn Embedder>) -> Arc<dyn Advance>,
    pub(crate) bulk: fn() -> Box<dyn Bulk>,
    pub(crate) stops_at: fn(&RecordedEvent) -> Option<Refusal>,
}

/// The list of projections contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two projections have one name.
    #[error("two projections are named {0}: a name is a checkpoint, so each needs its own")]
    DuplicateName(&'static str),
    /// No projection has this name.
    #[error("there is no projection {0}")]
    Unknown(String),
    /// Two projections write one table.
    #[error("two projections write the table {0}: a table has one projection")]
    DuplicateTable(&'static str),
}

/// Every projection.
///
/// # Errors
/// When two of them have a name or a table in common.
pub fn registry() -> Result<&'static [Registration], RegistryError> {
    checked(PROJECTIONS)
}

/// The projection of this name.
///
/// # Errors
/// As [`registry`], and when there is none.
pub fn registration(name: &str) -> Result<&'static Registration, RegistryError> {
    let found = registry()?.iter().find(|projection| projection.name == name);
    found.ok_or_else(|| RegistryError::Unknown(name.to_owned()))
}

/// These projections, if they do not contradict each other.
pub(crate) fn checked(projections: &[Registration]) -> Result<&[Registration], RegistryError> {
    for (place, this) in projections.iter().enumerate() {
        for other in &projections[..place] {
            if other.name == this.name {
                return Err(RegistryError::DuplicateName(this.name));
            }
            if let Some(table) = this.tables.iter().find(|table| other.tables.contains(table)) {
                return Err(RegistryError::DuplicateTable(table));
            }
        }
    }
    Ok(projections)
}

impl Registration {
    /// Of this projection.
    pub const fn of<P: Projection>() -> Self {
        Self {
            name: P::NAME,
            version: P::VERSION,
            tables: P::TABLES,
            types: P::TYPES,
            families: P::FAMILIES,
            embeds: P::EMBEDS,
            in_order: P::IN_ORDER,
            made_with: P::made_with,
            start: |target, embedder| Arc::new(Folder::<P>::new(target, embedder)),
            bulk: || Box::new(Subjects::<P>::default()),
            stops_at: |recorded| FoldEvent::read::<P>(recorded).err(),
        }
    }

    pub(crate) const fn checkpoint(&self) -> Version {
        Version { projection: self.name, version: self.version }
    }
}

#[cfg(test)]
mod tests {
    use events::catalogue::{EVENT_TYPES, find};

    use super::*;

    #[test]
    fn every_event_type_is_folded_or_ignored_for_a_reason() {
        for event_type in EVENT_TYPES.iter().map(|event_type| event_type.name) {
            let folded = PROJECTIONS.iter().any(|projection| projection.types.contains(&event_type));
            let ignored = IGNORED.iter().any(|(ignored, reason)| *ignored == event_type && !reason.is_empty());
            assert!(folded != ignored, "{event_type}: fold it in a projection or name it in IGNORED, one of the two");
        }
    }

    #[test]
    fn projections_fold_types_of_the_catalogue() {
        for event_type in PROJECTIONS.iter().flat_map(|projection| projection.types) {
            assert!(find(event_type).is_some(), "{event_type} is not in the catalogue");
        }
    }

    #[test]
    fn a_projection_is_named_by_its_leading_table_if_one_leads() {
        for projection in registry().unwrap().iter().filter(|projection| projection.name != Lookup::NAME) {
            assert_eq!(projection.tables.first(), Some(&projection.name));
        }
    }

    #[test]
    fn a_name_or_a_table_may_not_be_taken_twice() {
        let user = Registration::of::<AppUser>();
        assert!(matches!(checked(&[user, user]), Err(RegistryError::DuplicateName("app_user"))));
        let other = Registration { name: "other", ..user };
        assert!(matches!(checked(&[user, other]), Err(RegistryError::DuplicateTable("app_user"))));
    }
}
