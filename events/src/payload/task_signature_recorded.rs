//! `task_signature.recorded`

use serde::{Deserialize, Serialize};

use crate::{
    id::{EndpointId, PortalTypeId, TaskSignatureId, TaskTypeId},
    payload::value::TextList,
};

/// How a task is carried out on a portal: its steps, as somebody or something has learnt them. It replaces what
/// was recorded before. The subject is the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskSignatureRecorded {
    /// The kind of portal on which the task is carried out like this …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_type_id: Option<PortalTypeId>,
    /// … or the one endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type_id: Option<TaskTypeId>,
    /// What the steps are called, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_labels: Option<TextList>,
    /// Who has learnt them.
    pub source: SignatureSource,
    /// The signature, of this org or of the shared one, that has whatever this one leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<TaskSignatureId>,
}

/// Who has learnt a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum SignatureSource {
    /// Somebody.
    Human,
    /// A model.
    Ai,
}

impl SignatureSource {
    /// As it stands in events and read models.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Ai => "ai",
        }
    }
}
