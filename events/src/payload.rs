//! What events carry in `data`: one file a type, each a serde struct whose fields are named as the
//! read model's columns.
//!
//! A new event type is one file here and one line in the [catalogue](crate::catalogue). Texts,
//! objects and free JSON values may be [protected](value): ciphertext that is carried on unopened.
//! Ids, integers and times may not, because the folds need them. An explicit `null` of an optional
//! field means that it is absent; fields that a type does not name are ignored. The structs are what
//! emitters fill in and what the folds read.
//!
//! A new version changes the struct of its type. What the struct was goes into a file below it, `v1.rs`,
//! together with the step to the next version: see [`crate::upcast`].

pub mod integer;
pub mod value;

mod batch_attributes;
mod batch_cancelled;
mod batch_completed;
mod batch_failed;
mod batch_row_added;
mod batch_row_completed;
mod batch_row_failed;
mod batch_row_skipped;
mod batch_row_started;
mod batch_started;
mod batch_submitted;
pub mod embedding;
mod endpoint_registered;
mod endpoint_retired;
mod endpoint_updated;
mod lookup_value_added;
mod macro_state_defined;
mod micro_state_labelled;
mod micro_state_observed;
mod org_deactivated;
mod org_policy_set;
mod org_policy_withdrawn;
mod org_registered;
mod org_updated;
mod payer_requirement_set;
mod payer_requirement_withdrawn;
mod portal_type_defined;
mod portal_type_retired;
mod requirement_set;
mod requirement_terms;
mod requirement_withdrawn;
mod rule;
mod run_attributes;
mod run_cancelled;
mod run_completed;
mod run_context_added;
mod run_created;
mod run_endpoint_used;
mod run_failed;
mod run_reinstated;
mod run_retracted;
mod run_started;
mod run_timed_out;
mod step_completed;
mod step_created;
mod step_event_logged;
mod step_failed;
mod step_retried;
pub mod step_screenshot_captured;
mod step_skipped;
mod step_started;
mod task_signature_recorded;
mod task_type_defined;
mod task_type_retired;
mod ui_transition_observed;
mod user_deactivated;
mod user_registered;
mod user_updated;
mod validation;
mod workflow_archived;
mod workflow_created;
mod workflow_definition;
mod workflow_revised;

pub use batch_attributes::BatchAttributes;
pub use batch_cancelled::BatchCancelled;
pub use batch_completed::BatchCompleted;
pub use batch_failed::BatchFailed;
pub use batch_row_added::BatchRowAdded;
pub use batch_row_completed::BatchRowCompleted;
pub use batch_row_failed::BatchRowFailed;
pub use batch_row_skipped::BatchRowSkipped;
pub use batch_row_started::BatchRowStarted;
pub use batch_started::BatchStarted;
pub use batch_submitted::BatchSubmitted;
pub use endpoint_registered::EndpointRegistered;
pub use endpoint_retired::EndpointRetired;
pub use endpoint_updated::EndpointUpdated;
pub use lookup_value_added::{LookupTable, LookupValueAdded};
pub use macro_state_defined::{MICRO_STATES_MAX, MacroStateDefined};
pub use micro_state_labelled::MicroStateLabelled;
pub use micro_state_observed::MicroStateObserved;
pub use org_deactivated::OrgDeactivated;
pub use org_policy_set::OrgPolicySet;
pub use org_policy_withdrawn::OrgPolicyWithdrawn;
pub use org_registered::OrgRegistered;
pub use org_updated::OrgUpdated;
pub use payer_requirement_set::PayerRequirementSet;
pub use payer_requirement_withdrawn::PayerRequirementWithdrawn;
pub use portal_type_defined::PortalTypeDefined;
pub use portal_type_retired::PortalTypeRetired;
pub use requirement_set::RequirementSet;
pub use requirement_terms::{PolicyAction, RequirementLevel, RequirementTerms};
pub use requirement_withdrawn::RequirementWithdrawn;
pub use rule::{NoAnswer, Rule};
pub use run_attributes::RunAttributes;
pub use run_cancelled::RunCancelled;
pub use run_completed::RunCompleted;
pub use run_context_added::RunContextAdded;
pub use run_created::RunCreated;
pub use run_endpoint_used::RunEndpointUsed;
pub use run_failed::RunFailed;
pub use run_reinstated::RunReinstated;
pub use run_retracted::RunRetracted;
pub use run_started::RunStarted;
pub use run_timed_out::RunTimedOut;
pub use step_completed::StepCompleted;
pub use step_created::StepCreated;
pub use step_event_logged::StepEventLogged;
pub use step_failed::StepFailed;
pub use step_retried::StepRetried;
pub use step_screenshot_captured::StepScreenshotCaptured;
pub use step_skipped::StepSkipped;
pub use step_started::StepStarted;
pub use task_signature_recorded::{SignatureSource, TaskSignatureRecorded};
pub use task_type_defined::TaskTypeDefined;
pub use task_type_retired::TaskTypeRetired;
pub use ui_transition_observed::UiTransitionObserved;
pub use user_deactivated::UserDeactivated;
pub use user_registered::UserRegistered;
pub use user_updated::UserUpdated;
pub use validation::Validation;
pub use workflow_archived::WorkflowArchived;
pub use workflow_created::WorkflowCreated;
pub use workflow_definition::{WorkflowDefinition, WorkflowNode, WorkflowTransition};
pub use workflow_revised::WorkflowRevised;
