//! The projector: folds the ledger's events into the read models, and answers questions to them.
//!
//! | module | holds |
//! |---|---|
//! | [`projection`], [`registry()`] | what a projection is; the list of them |
//! | [`organization`], [`app_user`], [`user_workflow_run`], [`user_workflow`], [`batch_job`] | the projections |
//! | [`lookup`], [`portal_type`], [`integration_endpoint`], [`task_type`], [`task_signature`] | … of the catalogue |
//! | [`field_requirement`] | … of what has to be known |
//! | [`micro_state`], [`macro_state`], [`rcm_transition`] | … of screens as services saw them, of their kinds, and of what leads to what |
//! | [`prediction`] | what comes next |
//! | [`embedding`] | texts as numbers of which like texts have like ones |
//! | [`entity`] | what most of them are: attributes, of which the latest event decides |
//! | [`fold`] | what folds are made of |
//! | `service`, `queue`, `appended`, `passing` | the service: who is woken when, and tried again, or passed by |
//! | `advance`, `batch` | one step: claim, read, fold, write, commit |
//! | `cache`, `checkpoint`, `generation`, `parked`, `write` | what a step needs |
//! | [`rebuild`] | any table again from the events: `bulk`, [`copy`] |
//! | [`query`] | questions to the read models |
//! | [`history`] | any run as it was, and what changed |
//! | `status` | how far everything is |
//!
//! Nothing else writes a read model. A row is the fold of its subject's events up to the checkpoint,
//! whatever the order in which they came.

mod advance;
pub mod app_user;
mod appended;
mod batch;
pub mod batch_job;
mod bulk;
mod cache;
mod checkpoint;
pub mod copy;
pub mod embedding;
pub mod entity;
pub mod field_requirement;
pub mod fold;
mod generation;
pub mod history;
pub mod integration_endpoint;
pub mod lookup;
pub mod macro_state;
pub mod micro_state;
pub mod organization;
mod parked;
mod passing;
pub mod portal_type;
pub mod prediction;
pub mod projection;
pub mod query;
mod queue;
pub mod rcm_transition;
pub mod rebuild;
mod registry;
mod service;
mod status;
#[cfg(test)]
mod story;
pub mod task_signature;
pub mod task_type;
pub mod user_workflow;
pub mod user_workflow_run;
mod write;

pub use registry::{Registration, RegistryError, registration, registry};
pub use service::{Projector, TaskDied};
pub use status::{ProjectionLag, StatusError, projected_through, status};
