//! What the `….set` events of the three tiers say alike: of a field, whether it has to be known, which values it may
//! have, and what helps people to find it. Each of these parts may be left to another tier.

use serde::{Deserialize, Serialize};

use super::{Rule, Validation, value::Text};
use crate::refusal::{Code, Refusal};

/// Whether a field has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum RequirementLevel {
    /// It has to be.
    Required,
    /// It may be.
    Optional,
    /// It has to be where the rule holds.
    Conditional,
    /// It must not be sent.
    Forbidden,
}

impl RequirementLevel {
    /// As it stands in the read models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Conditional => "conditional",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What an org's policy is to what payers and everyone have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// It asks for a field of the org's own.
    Add,
    /// It puts its parts in place of theirs.
    Override,
    /// The level is `waived`, whatever theirs is.
    Waive,
}

impl PolicyAction {
    /// As it stands in the read models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Override => "override",
            Self::Waive => "waive",
        }
    }
}

/// The parts; at least one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirementTerms {
    /// Whether the field has to be known. None of a policy that waives it.
    pub level: Option<RequirementLevel>,
    /// When it has to be known.
    pub rule: Option<Rule>,
    /// Which values it may have.
    pub validation: Option<Validation>,
    /// What helps people to find it.
    pub help_text: Option<Text>,
}

impl RequirementTerms {
    /// That a rule is there where the level wants one, and nowhere else.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let refuse = |reason: &str| Err(Refusal::new(Code::InvalidEvent, reason.to_owned()));
        match (self.level, &self.rule) {
            (Some(RequirementLevel::Conditional), None) => {
                refuse("rule is missing; a level that is conditional needs one")
            }
            (Some(RequirementLevel::Conditional), Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => refuse("rule is for the level conditional; send that level, or leave the rule out"),
        }
    }

    fn is_empty(&self) -> bool {
        self.level.is_none() && self.validation.is_none() && self.help_text.is_none()
    }

    /// [`check`](Self::check), and that there is a part.
    pub(super) fn check_not_empty(&self) -> Result<(), Refusal> {
        if self.is_empty() {
            let reason = "nothing is set; send level, validation or help_text, or withdraw what was set before";
            return Err(Refusal::new(Code::InvalidEvent, reason));
        }
        self.check()
    }
}

/// Serde for a struct with `#[serde(remote = "Self")]`: as derived, and checked when it is read.
macro_rules! checked {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let sent = Self::deserialize(deserializer)?;
                sent.check().map_err(<D::Error as serde::de::Error>::custom)?;
                Ok(sent)
            }
        }
    };
}
pub(super) use checked;
