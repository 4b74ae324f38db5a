//! `task_type.defined`

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    payload::value::{self, IndexedText, Text},
    refusal::{Code, Refusal},
};

/// A kind of task that runs carry out, as it is from now on: whatever an earlier definition said and this one
/// does not is gone. The subject is the task type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskTypeDefined {
    /// What it is about, a code of `task_domain_lu`.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub domain: IndexedText,
    /// What is done, a code of `task_action_lu`.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub action: IndexedText,
    /// What people call it.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub display_name: Text,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The HIPAA X12 transaction that it stands for, or the pair of enquiry and answer: `837`, `837P`, `270/271`.
    #[serde(default, deserialize_with = "x12_transaction", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[0-9]{3}[A-Z]?(/[0-9]{3}[A-Z]?)?$")))]
    pub x12_transaction: Option<String>,
}

fn x12_transaction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !is_transaction(&text) => {
            let reason =
                format!("{text:?} is no X12 transaction; send its three digits, as in 278, or a pair, as in 270/271");
            Err(D::Error::custom(Refusal::new(Code::InvalidEvent, reason)))
        }
        transaction => Ok(transaction),
    }
}

/// One transaction set or two, each three digits and perhaps the letter of its kind.
fn is_transaction(text: &str) -> bool {
    let is_set = |set: &str| match set.as_bytes() {
        [digits @ .., b'A'..=b'Z'] | digits => digits.len() == 3 && digits.iter().all(u8::is_ascii_digit),
    };
    text.split('/').count() <= 2 && text.split('/').all(is_set)
}
