//! `step.event_logged`

use serde::{Deserialize, Serialize};

use crate::{id::StepId, payload::value::Object};

/// Something worth noting happened within a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepEventLogged {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// What happened; kept as sent.
    pub event: Object,
}
