//! `workflow.archived`

use serde::{Deserialize, Serialize};

use crate::{id::UserId, payload::value::Text};

/// A workflow is no longer to be followed; its revisions stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowArchived {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_by: Option<UserId>,
}
