//! `batch_row.added`

use serde::{Deserialize, Serialize};

use crate::{
    id::{RowId, RunId},
    payload::{integer, value::IndexedText},
};

/// A row is part of a batch; it has not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchRowAdded {
    /// The row, unique within its batch.
    pub row_id: RowId,
    /// Its place in the batch.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub row_number: Option<i32>,
    /// The run that it caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The row's name in the system that it comes from, such as a claim number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<IndexedText>,
}
