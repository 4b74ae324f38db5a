//! The payload that `batch.submitted` and `batch.started` share

use serde::{Deserialize, Serialize};

use crate::{
    id::{UserId, WorkflowId},
    payload::{
        integer,
        value::{IndexedText, Object, Text},
    },
};

/// What is known of a batch from outside it, but for its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchAttributes {
    /// What people call it, such as the name of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The workflow that its rows go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<WorkflowId>,
    /// The revision of that workflow.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub workflow_revision: Option<i32>,
    /// The batch's name in the system that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<IndexedText>,
    /// How many rows it is to have, where that is known beforehand.
    #[serde(default, deserialize_with = "integer::optional_count", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub rows_expected: Option<i32>,
    /// Whatever else is worth noting; each key is settled by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Object>,
    /// Who submitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<UserId>,
}
