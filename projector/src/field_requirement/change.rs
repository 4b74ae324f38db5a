use events::{
    id::UserId,
    payload::{
        PolicyAction, RequirementTerms,
        value::{Json, Text},
    },
};
use serde::Serialize;

/// The level of a field that an org's policy waives.
const WAIVED: &str = "waived";

/// A change of a requirement.
#[derive(Debug)]
pub struct Change {
    /// What is set; none: it is withdrawn.
    pub terms: Option<Terms>,
    /// Who wanted it.
    pub by: Option<UserId>,
    /// Why.
    pub reason: Option<String>,
}

/// What a requirement sets. Written as JSON it is what the changelog has before and after a change.
#[derive(Clone, Debug, Serialize)]
pub struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help_text: Option<String>,
}

impl Change {
    pub fn of(terms: Option<Terms>, by: Option<UserId>, reason: Option<Text>) -> Self {
        Self { terms, by, reason: reason.map(String::from) }
    }

    /// The status of a requirement that it is the last change of.
    pub fn status(&self) -> &'static str {
        if self.terms.is_some() { "active" } else { "withdrawn" }
    }

    /// What it is called in the changelog.
    pub fn kind(&self) -> &'static str {
        if self.terms.is_some() { "set" } else { "withdrawn" }
    }

    /// What is set from then on, as JSON.
    pub fn terms_json(&self) -> Option<String> {
        // Texts and JSON: there is nothing that could not be written.
        self.terms.as_ref().map(|terms| serde_json::to_string(terms).unwrap_or_default())
    }
}

impl Terms {
    pub fn of(sent: RequirementTerms) -> Self {
        Self {
            action: None,
            level: sent.level.map(|level| level.as_str()),
            rule: sent.rule.map(Json::from),
            validation: sent.validation.map(Json::from),
            help_text: sent.help_text.map(String::from),
        }
    }

    pub fn of_policy(action: PolicyAction, sent: RequirementTerms) -> Self {
        let terms = Self { action: Some(action.as_str()), ..Self::of(sent) };
        match action {
            PolicyAction::Waive => Self { level: Some(WAIVED), ..terms },
            PolicyAction::Add | PolicyAction::Override => terms,
        }
    }
}
