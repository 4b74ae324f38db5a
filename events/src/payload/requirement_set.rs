//! `requirement.set`

use serde::{Deserialize, Serialize};

use crate::{
    id::UserId,
    payload::{
        RequirementLevel, RequirementTerms, Rule, Validation,
        requirement_terms::checked,
        value::{self, IndexedText, Text},
    },
    refusal::Refusal,
};

/// What everyone has to know of a field for a kind of task, as it is from now on: whatever an earlier event said of
/// the field and this one does not is gone. Of the shared org alone. The subject is the task type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct RequirementSet {
    /// The field, as forms and services call it.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub field: IndexedText,
    /// Whether it has to be known.
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

impl RequirementSet {
    /// The parts that it sets.
    pub fn terms(&self) -> RequirementTerms {
        let Self { level, rule, validation, help_text, .. } = self.clone();
        RequirementTerms { level, rule, validation, help_text }
    }

    fn check(&self) -> Result<(), Refusal> {
        self.terms().check_not_empty()
    }
}

checked!(RequirementSet);
