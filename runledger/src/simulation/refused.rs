//! Messages of services with bugs, each of which the ledger refuses for a reason of its own.

use chrono::{DateTime, TimeDelta, Utc};
use events::{Code, Event, id::OrgId, wire};
use serde_json::Value;

use super::{Simulation, run};
use crate::publisher::Publication;

/// The bugs, in turn.
const BUGS: &[Code] = &[
    Code::MalformedJson,
    Code::UnknownOrg,
    Code::Conflict,
    Code::InvalidEvent,
    Code::TimeInFuture,
    Code::UnknownType,
    Code::OrgMismatch,
];

/// A message that is refused.
pub struct Refused {
    #[cfg_attr(not(test), expect(dead_code, reason = "the ledger finds out by itself"))]
    pub code: Code,
    pub at: DateTime<Utc>,
    pub publication: Publication,
}

/// All of a simulation.
pub fn all(simulation: &Simulation) -> anyhow::Result<Vec<Refused>> {
    let scenario = simulation.scenario();
    if scenario.runs == 0 {
        return Ok(Vec::new());
    }
    (0..scenario.refused).map(|number| make(simulation, number)).collect()
}

fn make(simulation: &Simulation, number: u32) -> anyhow::Result<Refused> {
    let scenario = simulation.scenario();
    let code = BUGS[number as usize % BUGS.len()];
    let run = u64::from(number) * u64::from(scenario.runs) / u64::from(scenario.refused);
    let events = run::tell(simulation, run as u32)?;
    let is_step = |event: &&Event| event.event_type == "step.started";
    let Some(model) = events.iter().find(is_step).or(events.last()) else { anyhow::bail!("run {run} has no events") };

    let mut event = model.clone();
    event.event_id = simulation.id(&format!("refused event {number}"))?;
    event.extensions = None;
    let mut at = event.occurred_at + TimeDelta::seconds(2);
    let publication = match code {
        Code::MalformedJson => truncated(&event),
        Code::UnknownOrg => {
            event.org_id = unregistered(simulation)?;
            Publication::of(&event)
        }
        Code::Conflict => {
            event.event_id = model.event_id;
            edit(&mut event, |data| data["input_data"] = "(corrected)".into())?;
            // Behind the event whose id it takes, however late that is.
            at += TimeDelta::hours(1);
            Publication::without_id(&event)
        }
        Code::InvalidEvent => {
            edit(&mut event, |data| drop(data.as_object_mut().and_then(|data| data.remove("step_id"))))?;
            Publication::of(&event)
        }
        Code::TimeInFuture => {
            event.occurred_at = events::time::parse("2999-12-31T23:59:59Z")?;
            Publication::of(&event)
        }
        Code::UnknownType => {
            event.event_type = "step.escalated".to_owned();
            Publication::of(&event)
        }
        _ => to_another_org(simulation, &event)?,
    };
    Ok(Refused { code, at, publication })
}

/// An org that nobody registered.
fn unregistered(simulation: &Simulation) -> anyhow::Result<OrgId> {
    Ok(simulation.id("unregistered org")?)
}

fn edit(event: &mut Event, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
    let mut data = serde_json::from_str(&event.data)?;
    change(&mut data);
    event.data = data.to_string().into();
    Ok(())
}

/// In structured mode, cut off as by a buffer that is too small.
fn truncated(event: &Event) -> Publication {
    let mut text = wire::to_structured(event);
    text.truncate(text.floor_char_boundary(text.len() * 2 / 3));
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    Publication { subject: wire::subject(event), headers, payload: text.into() }
}

/// To the subject of an org that it is not of.
fn to_another_org(simulation: &Simulation, event: &Event) -> anyhow::Result<Publication> {
    let others = simulation.orgs().iter().map(|org| org.org_id).filter(|org_id| *org_id != event.org_id);
    let mut elsewhere = event.clone();
    elsewhere.org_id = others.last().map_or_else(|| unregistered(simulation), Ok)?;
    Ok(Publication { subject: wire::subject(&elsewhere), ..Publication::of(event) })
}
