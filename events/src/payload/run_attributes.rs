//! The payload that `run.created` and `run.started` share

use serde::{Deserialize, Serialize};

use crate::{
    id::{RunId, UserId, WorkflowId},
    payload::{
        integer,
        value::{IndexedText, Object},
    },
};

/// What is known of a run from outside it.
///
/// It is the payload of both `run.created` and `run.started`, so that a service which learns of a
/// fact only later can still tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunAttributes {
    /// The workflow that it is a run of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<WorkflowId>,
    /// The revision of that workflow.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub workflow_revision: Option<i32>,
    /// How it reaches the payer, a code of `channel_type_lu`; an unknown one is kept and flagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<IndexedText>,
    /// The run's name in the system that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<IndexedText>,
    /// Keys that the run is found by; each key is settled by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Object>,
    /// The configuration that it runs under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_snapshot: Option<Object>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserId>,
    /// The run that this one is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<RunId>,
    /// The run's number in the system before this one.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub legacy_trace_id: Option<i64>,
}
