//! `batch_row.failed`

use serde::{Deserialize, Serialize};

use crate::{
    id::{RowId, RunId},
    payload::{
        integer,
        value::{self, Json, Text},
    },
};

/// A row of a batch ended without reaching its goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchRowFailed {
    /// The row, unique within its batch.
    pub row_id: RowId,
    /// Its place in the batch.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub row_number: Option<i32>,
    /// The run that it caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What went wrong, for people.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub error_message: Text,
    /// What went wrong, for programs: any JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_details: Option<Json>,
}
