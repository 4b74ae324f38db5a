//! What had to be known for a run: the requirements in force when it started, for its kind of task and its payer.

use std::str::FromStr;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use events::{
    id::{OrgId, PayerId, TaskTypeId},
    payload::Rule,
    time,
};
use projector::query;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sqlx::PgConnection;

use crate::{
    commands::requirements::{Requirement, print_requirements},
    output,
};

/// The members of a run's context that say what it is about.
const TASK_TYPE: &str = "task_type_id";
const PAYER: &str = "payer_id";

/// For what to show requirements, where the run's context does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    pub task_type: Option<TaskTypeId>,
    pub payer: Option<PayerId>,
}

/// The requirements of a run.
pub struct Required {
    task_type_id: TaskTypeId,
    payer_id: Option<PayerId>,
    as_of: DateTime<Utc>,
    context: String,
    rows: Vec<Box<RawValue>>,
}

/// What a run says of itself.
#[derive(Deserialize)]
struct Run<'a> {
    org_id: OrgId,
    started_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    #[serde(borrow)]
    context: &'a RawValue,
}

impl Required {
    /// Those of this run, whose row is as [`query::run_show`] gives it.
    ///
    /// # Errors
    /// When neither the run's context nor the caller says which kind of task it is.
    pub async fn of(conn: &mut PgConnection, row: &RawValue, about: About) -> anyhow::Result<Self> {
        let run: Run<'_> = serde_json::from_str(row.get())?;
        let context: Value = serde_json::from_str(run.context.get())?;
        let task_type_id = match about.task_type {
            Some(id) => Some(id),
            None => named(&context, TASK_TYPE, "--task-type")?,
        };
        let Some(task_type_id) = task_type_id else {
            bail!(
                "the run does not say which kind of task it is: its context has no {TASK_TYPE}; say it with --task-type"
            )
        };
        let payer_id = match about.payer {
            Some(id) => Some(id),
            None => named(&context, PAYER, "--payer")?,
        };
        let as_of = run.started_at.unwrap_or(run.created_at);
        let rows = query::effective_requirement_list(conn, run.org_id, payer_id, task_type_id, Some(as_of)).await?;
        Ok(Self { task_type_id, payer_id, as_of, context: run.context.get().to_owned(), rows })
    }

    /// Prints them.
    pub fn print(&self) -> anyhow::Result<()> {
        let payer = self.payer_id.map_or("any payer".to_owned(), |payer| format!("payer {payer}"));
        let when = time::format(self.as_of);
        output::print(format!("requirements at {when}, for task type {} and {payer}:", self.task_type_id))?;
        if self.rows.is_empty() {
            return Ok(output::print("  none had been set")?);
        }
        let requirements = self.rows.iter().map(|row| Requirement::of_row(row)).collect::<Result<Vec<_>, _>>()?;
        print_requirements(&requirements, |requirement| {
            Some(match self.applies(requirement.rule.as_ref()?) {
                Ok(true) => "it was required".to_owned(),
                Ok(false) => "it was not".to_owned(),
                Err(why) => why,
            })
        })
    }

    /// As JSON: for what, when, and the rows, a conditional one with `applies`, whether its rule holds for the run's
    /// context, null where it has no answer.
    pub fn json(&self) -> anyhow::Result<Value> {
        let mut rows =
            self.rows.iter().map(|row| serde_json::from_str(row.get())).collect::<Result<Vec<Value>, _>>()?;
        for row in rows.iter_mut().filter(|row| !row["rule"].is_null()) {
            row["applies"] = self.applies(&row["rule"]).ok().into();
        }
        Ok(json!({ "task_type_id": self.task_type_id, "payer_id": self.payer_id, "as_of": self.as_of, "fields": rows }))
    }

    fn applies(&self, rule: &Value) -> Result<bool, String> {
        let rule: Rule = serde_json::from_value(rule.clone()).map_err(|error| error.to_string())?;
        rule.holds(&self.context).map_err(|error| error.to_string())
    }
}

/// The id that the context has for this key, if it has one.
fn named<Id: FromStr>(context: &Value, key: &str, flag: &str) -> anyhow::Result<Option<Id>> {
    let value = match context.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let id = value.as_str().and_then(|text| text.parse().ok());
    Ok(Some(
        id.with_context(|| format!("the run's context has {value} for {key}, which is no id; say it with {flag}"))?,
    ))
}
