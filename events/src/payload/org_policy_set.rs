//! `org_policy.set`

use serde::{Deserialize, Serialize};

use crate::{
    id::{PayerId, TaskTypeId, UserId},
    payload::{
        PolicyAction, RequirementLevel, RequirementTerms, Rule, Validation,
        requirement_terms::checked,
        value::{self, IndexedText, Text},
    },
    refusal::{Code, Refusal},
};

/// What an org has decided on a field for a kind of task, for one payer or for all, as it is from now on: whatever an
/// earlier event said of the field and this one does not is gone. The subject is the org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct OrgPolicySet {
    /// The payer; absent: all payers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_id: Option<PayerId>,
    /// The kind of task.
    pub task_type_id: TaskTypeId,
    /// The field, as forms and services call it.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub field: IndexedText,
    /// What the policy is to what payers and everyone have it.
    pub action: PolicyAction,
    /// Whether it has to be known; of no policy that waives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<RequirementLevel>,
    /// When it has to be known: of the level `conditional`, and of no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Which values it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// What helps people to find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help_text: Option<Text>,
    /// Why it is so from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who wants it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<UserId>,
}

impl OrgPolicySet {
    /// The parts that it sets.
    pub fn terms(&self) -> RequirementTerms {
        let Self { level, rule, validation, help_text, .. } = self.clone();
        RequirementTerms { level, rule, validation, help_text }
    }

    fn check(&self) -> Result<(), Refusal> {
        match (self.action, self.level) {
            (PolicyAction::Waive, None) => self.terms().check(),
            (PolicyAction::Waive, Some(_)) => {
                let reason = "level is for the actions add and override; leave it out, a field that is waived has none";
                Err(Refusal::new(Code::InvalidEvent, reason))
            }
            _ => self.terms().check_not_empty(),
        }
    }
}

checked!(OrgPolicySet);
