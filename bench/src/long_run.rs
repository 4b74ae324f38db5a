//! A single run of very many events: what is measured with it must not grow with the run.

use anyhow::Result;
use chrono::TimeDelta;
use events::{
    Event,
    id::{OrgId, RunId, StepId},
    payload::{RunStarted, StepCompleted, StepStarted, value::Json},
};
use serde_json::json;

/// A start, and steps that begin and end, an interval apart.
pub fn long_run(org_id: OrgId, run_id: RunId, events: u64, interval: TimeDelta) -> Result<Vec<Event>> {
    let begun = events::time::cut(events::time::now() - interval * events as i32 - TimeDelta::minutes(1));
    let data = Json::of(&json!({ "screen": "member verified, plan active. ".repeat(24) }))?;
    let mut step_id = StepId::generate();
    let mut told = Vec::new();
    for number in 0..events {
        let mut event = if number == 0 {
            Event::new(org_id, run_id.subject(), "/portal-runner", &RunStarted::default())?
        } else if number % 2 == 1 {
            step_id = StepId::generate();
            let step_number = Some(number as i32 / 2 + 1);
            let input_data = Some(data.clone());
            let started = StepStarted { step_id, attempt: 0, node_id: None, step_number, input_data, metadata: None };
            Event::new(org_id, run_id.subject(), "/portal-runner", &started)?
        } else {
            let completed = StepCompleted { step_id, attempt: 0, output_data: Some(data.clone()) };
            Event::new(org_id, run_id.subject(), "/portal-runner", &completed)?
        };
        event.occurred_at = begun + interval * number as i32;
        event.set_sequence(number as i64 + 1);
        told.push(event);
    }
    Ok(told)
}
