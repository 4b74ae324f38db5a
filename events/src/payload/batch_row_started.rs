//! `batch_row.started`

use serde::{Deserialize, Serialize};

use crate::{
    id::{RowId, RunId},
    payload::integer,
};

/// A row of a batch has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchRowStarted {
    /// The row, unique within its batch.
    pub row_id: RowId,
    /// Its place in the batch.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub row_number: Option<i32>,
    /// The run that it caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}
