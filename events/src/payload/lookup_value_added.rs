//! `lookup.value_added`

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    payload::{
        integer,
        value::{self, IndexedText, Text},
    },
    refusal::{Code, Refusal},
};

/// A value of a lookup table, or a better label for one. The subject is the org whose value it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LookupValueAdded {
    /// The lookup table.
    pub lookup: LookupTable,
    /// What stands in other tables and in events.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub code: IndexedText,
    /// What people see.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub label: Text,
    /// Its place in lists; 0 if absent.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub sort: Option<i32>,
}

macro_rules! lookup_tables {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal)+) => {
        /// A lookup table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum LookupTable { $($(#[$doc])+ $variant),+ }

        impl LookupTable {
            /// Every lookup table.
            pub const ALL: &[LookupTable] = &[$(LookupTable::$variant),+];

            /// The table's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(LookupTable::$variant => $name),+ }
            }
        }
    };
}

lookup_tables! {
    /// How services prove who they are.
    ChannelAuthType = "channel_auth_type_lu"
    /// How payers are reached.
    ChannelType = "channel_type_lu"
    /// The statuses of jobs and steps; which there are is settled in the program.
    JobStatus = "job_status_lu"
    /// Kinds of organisations.
    OrgType = "org_type_lu"
    /// What is done in a task.
    TaskAction = "task_action_lu"
    /// What tasks are about.
    TaskDomain = "task_domain_lu"
    /// The statuses of runs; which there are is settled in the program.
    WorkflowStatus = "workflow_status_lu"
}

impl fmt::Display for LookupTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LookupTable {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.iter().copied().find(|table| table.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|table| table.as_str()).collect();
            let reason =
                format!("this version of runledger knows no lookup table {text:?}; send one of {}", known.join(", "));
            Refusal::new(Code::InvalidEvent, reason)
        })
    }
}

impl Serialize for LookupTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LookupTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

// The names are no part of the schema, so that another table is no change to it.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for LookupTable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LookupTable".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "_lu$" })
    }
}
