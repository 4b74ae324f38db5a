//! `workflow.revised`

use serde::{Deserialize, Serialize};

use crate::{payload::WorkflowDefinition, refusal::Refusal};

/// A workflow has another revision, which is the whole of it and not the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "WorkflowDefinition")]
pub struct WorkflowRevised(WorkflowDefinition);

impl WorkflowRevised {
    /// What the workflow is.
    pub fn into_definition(self) -> WorkflowDefinition {
        self.0
    }
}

impl TryFrom<WorkflowDefinition> for WorkflowRevised {
    type Error = Refusal;

    fn try_from(definition: WorkflowDefinition) -> Result<Self, Refusal> {
        definition.checked().map(Self)
    }
}
