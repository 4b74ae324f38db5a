//! The definitions of the workflows: of each org the revision that its runs follow, and the one before.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData,
    id::EventId,
    payload::{
        WorkflowCreated, WorkflowDefinition, WorkflowNode, WorkflowRevised, WorkflowTransition,
        value::{Json, Object},
    },
};
use serde_json::json;

use super::{
    Org, Simulation,
    workflow::{Channel, Node, WORKFLOWS, Workflow},
};

/// The channels of a revision before faxes were automated.
const EARLIER: &[Channel] = &[Channel::Web, Channel::Voice];
const ALL: &[Channel] = &[Channel::Web, Channel::Voice, Channel::Efax];

/// What has defined the workflows of this org, weeks before its runs.
pub fn of_org(simulation: &Simulation, org: &Org) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    for workflow in WORKFLOWS {
        let start = simulation.scenario.start;
        let created = WorkflowCreated::try_from(definition(workflow, workflow.revision - 1, EARLIER, org)?)?;
        events.push(event(simulation, org, workflow, start - TimeDelta::days(41), 1, &created)?);
        let revised = WorkflowRevised::try_from(definition(workflow, workflow.revision, ALL, org)?)?;
        events.push(event(simulation, org, workflow, start - TimeDelta::days(9), 2, &revised)?);
    }
    Ok(events)
}

fn event<T: EventData>(
    simulation: &Simulation,
    org: &Org,
    workflow: &Workflow,
    time: DateTime<Utc>,
    number: i64,
    payload: &T,
) -> anyhow::Result<Event> {
    let mut event = Event::new(org.org_id, workflow.id()?.subject(), "/workflow-designer", payload)?;
    event.event_id = simulation.id::<EventId>(&format!("event {number} of {} of {}", workflow.name, org.org_id))?;
    event.occurred_at = time;
    event.set_sequence(number);
    Ok(event)
}

fn definition(
    workflow: &Workflow,
    revision: i32,
    channels: &[Channel],
    org: &Org,
) -> anyhow::Result<WorkflowDefinition> {
    let mut definition = WorkflowDefinition {
        name: workflow.name.into(),
        revision,
        description: None,
        created_by: org.users.first().copied(),
        nodes: Vec::new(),
        transitions: Vec::new(),
    };
    add_chain(&mut definition, workflow, workflow.opening, "rules")?;
    for channel in channels {
        add_chain(&mut definition, workflow, channel.nodes(), channel.agent_type())?;
    }
    add_chain(&mut definition, workflow, workflow.closing, "rules")?;
    for channel in channels {
        let condition = Json::of(&json!(format!("channel = {}", channel.code())))?;
        link(&mut definition, workflow, workflow.opening.last(), channel.nodes().first(), Some(condition))?;
        link(&mut definition, workflow, channel.nodes().last(), workflow.closing.first(), None)?;
    }
    Ok(definition)
}

/// Nodes that follow one another.
fn add_chain(
    definition: &mut WorkflowDefinition,
    workflow: &Workflow,
    nodes: &[Node],
    agent_type: &str,
) -> anyhow::Result<()> {
    for node in nodes {
        let agent_config = json!({ "timeout_s": 2 * node.seconds.1, "retries_max": 3 });
        definition.nodes.push(WorkflowNode {
            node_id: workflow.node_id(node)?,
            label: node.label.into(),
            kind: Some("task".try_into()?),
            metadata: Some(Object::of(&json!({ "agent_type": agent_type, "agent_config": agent_config }))?),
        });
    }
    for pair in nodes.windows(2) {
        link(definition, workflow, pair.first(), pair.last(), None)?;
    }
    Ok(())
}

fn link(
    definition: &mut WorkflowDefinition,
    workflow: &Workflow,
    from: Option<&Node>,
    to: Option<&Node>,
    condition: Option<Json>,
) -> anyhow::Result<()> {
    if let Some((from, to)) = from.zip(to) {
        let (from, to) = (workflow.node_id(from)?, workflow.node_id(to)?);
        definition.transitions.push(WorkflowTransition { from, to, condition });
    }
    Ok(())
}
