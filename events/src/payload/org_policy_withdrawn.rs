//! `org_policy.withdrawn`

use serde::{Deserialize, Serialize};

use crate::{
    id::{PayerId, TaskTypeId, UserId},
    payload::value::{self, IndexedText, Text},
};

/// An org no longer has a policy on a field for a kind of task. The subject is the org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgPolicyWithdrawn {
    /// The payer; absent: the policy for all payers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_id: Option<PayerId>,
    /// The kind of task.
    pub task_type_id: TaskTypeId,
    /// The field.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub field: IndexedText,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who wants it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<UserId>,
}
