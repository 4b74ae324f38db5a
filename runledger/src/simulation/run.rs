//! One run, told from beginning to end as its service tells it: in order, each event once.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData,
    id::{RunId, StepId},
    payload::{
        RunAttributes, RunCancelled, RunCompleted, RunContextAdded, RunCreated, RunEndpointUsed, RunFailed, RunStarted,
        RunTimedOut, StepCompleted, StepCreated, StepEventLogged, StepFailed, StepRetried, StepScreenshotCaptured,
        StepSkipped, StepStarted,
        value::{Json, Object},
    },
};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;
use uuid::Uuid;

use super::{
    NAMESPACE, Org, Simulation, batch,
    matter::Matter,
    workflow::{Channel, Fault, Node, WORKFLOWS, Workflow},
};

/// The org's runs are given up after this time.
const TIMEOUT: TimeDelta = TimeDelta::hours(1);
/// Of 100 steps that can fail, so many fail at first and are tried again.
const RETRIED_PERCENT: u32 = 14;

/// How a run ends, and at which of its steps, counted from 0, if before the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed,
    Failed(usize),
    Cancelled(usize),
    TimedOut(usize),
    /// Not yet: the service is still at it, or died.
    Open(usize),
    /// Not yet, because it has not begun.
    Waiting,
}

impl Ending {
    fn draw(rng: &mut StdRng, opening: usize, steps: usize) -> Self {
        let at = rng.random_range(opening..steps - 1);
        match rng.random_range(0..100) {
            0..74 => Self::Completed,
            74..86 => Self::Failed(at),
            86..91 => Self::Cancelled(at),
            91..95 => Self::TimedOut(at),
            _ => Self::Open(at),
        }
    }

    fn is_at(self, step: usize) -> bool {
        matches!(self, Self::Failed(at) | Self::Cancelled(at) | Self::TimedOut(at) | Self::Open(at) if at == step)
    }
}

/// What a run is to be.
pub struct Plot<'a> {
    pub org: &'a Org,
    pub workflow: &'static Workflow,
    pub channel: Channel,
    pub matter: Matter,
    pub ending: Ending,
    pub begin: DateTime<Utc>,
}

/// The events of the run with this number, from 0, as they happened.
pub fn tell(simulation: &Simulation, number: u32) -> anyhow::Result<Vec<Event>> {
    let mut rng = simulation.chance(&format!("run {number}"));
    let org = simulation.orgs.choose(&mut rng).unwrap_or(&simulation.orgs[0]);
    let workflow = WORKFLOWS.choose(&mut rng).unwrap_or(&WORKFLOWS[0]);
    let channel = match rng.random_range(0..100) {
        0..60 => Channel::Web,
        60..82 => Channel::Voice,
        _ => Channel::Efax,
    };
    let matter = Matter::draw(&mut rng);
    let ending = Ending::draw(&mut rng, workflow.opening.len(), workflow.nodes(channel).count());
    let plot = Plot { org, workflow, channel, matter, ending, begin: simulation.start_of(number) };
    plot.tell(simulation, number, rng)
}

impl Plot<'_> {
    /// The events of the run, which has this number; chance decides what the plot leaves open.
    pub fn tell(self, simulation: &Simulation, number: u32, rng: StdRng) -> anyhow::Result<Vec<Event>> {
        let Self { org, workflow, channel, matter, ending, begin } = self;
        let run_id = simulation.id::<RunId>(&format!("run {number}"))?;
        let mut story = Story { simulation, org, run_id, channel, clock: begin, matter, events: Vec::new(), rng };
        story.create(workflow, number)?;
        if ending == Ending::Waiting {
            return Ok(story.events);
        }
        story.begin()?;
        for (at, node) in workflow.nodes(channel).enumerate() {
            if at == workflow.opening.len() {
                story.reach_payer()?;
            }
            let step = story.step(at, node, workflow)?;
            if ending.is_at(at) {
                story.break_off(ending, &step)?;
                return Ok(story.events);
            }
            story.take(&step)?;
        }
        let context = json!({ "reference": story.matter.reference });
        story.tell(&RunCompleted { context: Some(Object::of(&context)?) })?;
        Ok(story.events)
    }
}

struct Story<'a> {
    simulation: &'a Simulation,
    org: &'a Org,
    run_id: RunId,
    channel: Channel,
    clock: DateTime<Utc>,
    matter: Matter,
    events: Vec<Event>,
    rng: StdRng,
}

/// A step at hand.
struct Step {
    step_id: StepId,
    node: &'static Node,
}

impl Story<'_> {
    fn tell<T: EventData>(&mut self, payload: &T) -> anyhow::Result<()> {
        let number = self.events.len() as i64 + 1;
        let mut event = Event::new(self.org.org_id, self.run_id.subject(), self.channel.service(), payload)?;
        event.event_id = self.simulation.id(&format!("event {number} of {}", self.run_id))?;
        event.occurred_at = self.clock;
        event.correlation_id = Some(self.run_id.to_string());
        event.set_sequence(number);
        self.events.push(event);
        self.wait_ms(1, 40);
        Ok(())
    }

    fn wait_ms(&mut self, least: i64, most: i64) {
        self.clock += TimeDelta::microseconds(self.rng.random_range(least * 1_000..=most * 1_000));
    }

    fn wait(&mut self, (least, most): (u32, u32)) {
        self.wait_ms(i64::from(least) * 1_000, i64::from(most) * 1_000);
    }

    fn create(&mut self, workflow: &Workflow, number: u32) -> anyhow::Result<()> {
        let batch = batch::external_id(self.clock);
        let attributes = RunAttributes {
            workflow_id: Some(workflow.id()?),
            workflow_revision: Some(workflow.revision),
            channel: Some(self.channel.code().try_into()?),
            external_id: Some(format!("{}-{:06}", workflow.prefix, number + 1).as_str().try_into()?),
            context: Some(Object::of(&json!({
                "workflow": workflow.name,
                "payer": self.matter.payer.name,
                "batch_id": batch,
            }))?),
            config_snapshot: Some(Object::of(&json!({ "retries_max": 3, "timeout_s": TIMEOUT.num_seconds() }))?),
            created_by: self.org.users.choose(&mut self.rng).copied(),
            ..RunAttributes::default()
        };
        self.tell(&RunCreated(attributes))
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        self.wait((1, 90));
        self.tell(&RunStarted::default())?;
        let context = json!({ "claim_number": self.matter.claim_number, "member_id": self.matter.member_id });
        self.tell(&RunContextAdded { context: Object::of(&context)? })
    }

    fn reach_payer(&mut self) -> anyhow::Result<()> {
        let endpoint = self.matter.endpoint(self.channel);
        self.tell(&RunEndpointUsed { endpoint: Object::of(&endpoint)? })
    }

    fn step(&mut self, at: usize, node: &'static Node, workflow: &Workflow) -> anyhow::Result<Step> {
        let step_id = self.simulation.id(&format!("step {at} of {}", self.run_id))?;
        self.tell(&StepCreated {
            step_id,
            node_id: Some(workflow.node_id(node)?),
            step_number: Some(at as i32 + 1),
            metadata: Some(Object::of(&json!({ "label": node.label }))?),
            legacy_step_id: None,
        })?;
        Ok(Step { step_id, node })
    }

    fn start(&mut self, step: &Step, attempt: i32) -> anyhow::Result<()> {
        let input = Json::of(&(step.node.input)(&self.matter))?;
        self.tell(&StepStarted {
            step_id: step.step_id,
            attempt,
            node_id: None,
            step_number: None,
            input_data: Some(input),
            metadata: None,
        })
    }

    /// A step that reaches its goal, perhaps only when tried again, or is left out.
    fn take(&mut self, step: &Step) -> anyhow::Result<()> {
        if step.node.is_optional && self.rng.random_range(0..100) < 25 {
            let reason = Some("not needed for this payer".into());
            return self.tell(&StepSkipped { step_id: step.step_id, attempt: 0, reason });
        }
        let retries = self.retries(step);
        let attempt = self.try_again(step, retries)?;
        self.start(step, attempt)?;
        self.work(step, attempt)?;
        let output = Json::of(&(step.node.output)(&self.matter))?;
        self.tell(&StepCompleted { step_id: step.step_id, attempt, output_data: Some(output) })
    }

    fn retries(&mut self, step: &Step) -> i32 {
        let mut retries = 0;
        while retries < 3 && !step.node.faults.is_empty() && self.rng.random_range(0..100) < RETRIED_PERCENT {
            retries += 1;
        }
        retries
    }

    /// Attempts that fail; the number of the one to follow.
    fn try_again(&mut self, step: &Step, retries: i32) -> anyhow::Result<i32> {
        for attempt in 0..retries {
            self.start(step, attempt)?;
            self.wait(step.node.seconds);
            let fault = step.node.faults.choose(&mut self.rng).map(|Fault(message, _)| (*message).into());
            self.tell(&StepRetried { step_id: step.step_id, attempt: attempt + 1, error_message: fault })?;
            self.wait((5, 60));
        }
        Ok(retries)
    }

    /// What is seen of a step while it goes on.
    fn work(&mut self, step: &Step, attempt: i32) -> anyhow::Result<()> {
        self.wait(step.node.seconds);
        if step.node.faults.is_empty() {
            return Ok(());
        }
        match self.channel {
            Channel::Web => self.capture(step, attempt),
            Channel::Voice => self.log_call(step),
            Channel::Efax => Ok(()),
        }
    }

    fn capture(&mut self, step: &Step, attempt: i32) -> anyhow::Result<()> {
        let screenshots = [("viewport", 800), ("full_page", 2_400)].map(|(part, height)| {
            let uri = format!("s3://captures/{}/{}/{attempt}-{part}.png", self.run_id, step.step_id);
            let digest = Uuid::new_v5(&NAMESPACE, uri.as_bytes()).simple();
            Object::of(&json!({ "uri": uri, "sha256": format!("{digest}{digest}"), "width": 1280, "height": height }))
        });
        let screenshots = screenshots.into_iter().collect::<Result<_, _>>()?;
        self.tell(&StepScreenshotCaptured { step_id: step.step_id, screenshots })
    }

    fn log_call(&mut self, step: &Step) -> anyhow::Result<()> {
        let hold_s = self.rng.random_range(5..600);
        for event in [
            json!({ "kind": "menu_choice", "digit": "2" }),
            json!({ "kind": "on_hold", "seconds": hold_s }),
            json!({ "kind": "transcript", "speaker": "payer", "text": format!("Your reference is {}.", self.matter.reference) }),
        ] {
            self.tell(&StepEventLogged { step_id: step.step_id, event: Object::of(&event)? })?;
            self.wait((1, 4));
        }
        Ok(())
    }

    /// The run ends at this step, or is left open there.
    fn break_off(&mut self, ending: Ending, step: &Step) -> anyhow::Result<()> {
        let step_id = step.step_id;
        let retries = self.retries(step);
        let attempt = self.try_again(step, retries)?;
        self.start(step, attempt)?;
        self.wait(step.node.seconds);
        match ending {
            Ending::Completed | Ending::Open(_) | Ending::Waiting => Ok(()),
            Ending::Failed(_) => {
                let Fault(message, code) =
                    *self.channel.fatal_faults().choose(&mut self.rng).unwrap_or(&Fault("unknown", "unknown"));
                let details =
                    Some(Json::of(&json!({ "code": code, "step": step.node.label, "payer": self.matter.payer.name }))?);
                let failed =
                    StepFailed { step_id, attempt, error_message: message.into(), error_details: details.clone() };
                self.tell(&failed)?;
                self.tell(&RunFailed { error_message: message.into(), error_details: details })
            }
            Ending::Cancelled(_) => {
                let cancelled_by = self.org.users.choose(&mut self.rng).copied();
                self.tell(&StepSkipped { step_id, attempt, reason: Some("the run was cancelled".into()) })?;
                self.tell(&RunCancelled { reason: Some("appointment was moved".into()), cancelled_by })
            }
            Ending::TimedOut(_) => {
                self.clock += TIMEOUT;
                let message =
                    format!("no answer from {} within {} minutes", self.matter.payer.name, TIMEOUT.num_minutes());
                self.tell(&StepFailed {
                    step_id,
                    attempt,
                    error_message: message.as_str().into(),
                    error_details: None,
                })?;
                self.tell(&RunTimedOut { error_message: message.into(), error_details: None })
            }
        }
    }
}
