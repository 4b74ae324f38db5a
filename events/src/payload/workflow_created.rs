//! `workflow.created`

use serde::{Deserialize, Serialize};

use crate::{payload::WorkflowDefinition, refusal::Refusal};

/// A workflow exists, with its first revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "WorkflowDefinition")]
pub struct WorkflowCreated(WorkflowDefinition);

impl WorkflowCreated {
    /// What the workflow is.
    pub fn into_definition(self) -> WorkflowDefinition {
        self.0
    }
}

impl TryFrom<WorkflowDefinition> for WorkflowCreated {
    type Error = Refusal;

    fn try_from(definition: WorkflowDefinition) -> Result<Self, Refusal> {
        definition.checked().map(Self)
    }
}
