//! Payers' portals as the robots of web runs see them: a session of each run is a walk over a hidden graph of screens.
//!
//! What is entered and shown differs from visit to visit; a screen's structure depends on the portal, on its release and on the
//! notice that is shown on top, and so does its id, because a service recognises a screen by its structure. Half-way
//! through, each portal brings out a release that words and arranges some of its screens in another way. People
//! label some screens the first time they occur.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData,
    id::{EventId, MicroStateId, OrgId, RunId, StepId, SubjectId, UserId},
    payload::{
        MacroStateDefined, MicroStateLabelled, MicroStateObserved, RunEndpointUsed, StepStarted, UiTransitionObserved,
    },
};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde::Deserialize;

use super::{
    Org, SPAN, Simulation,
    matter::{Matter, PAYERS, Payer},
    workflow::Channel,
};

#[cfg(test)]
mod learning;
mod look;
mod screen;
mod way;

use look::Look;
use screen::{NOTICES, SIGN_IN, STYLES, Screen};
use way::Errand;

/// A robot gives up after so many screens.
const SCREENS_MAX: usize = 24;
/// Of 100 screens, so many are labelled when they first occur.
const LABELLED_PERCENT: u32 = 15;
/// Of 100 kinds of screens, so many are others in a portal's second release.
const CHANGED_PERCENT: u32 = 40;
/// What an org's people have defined: a name, and the label that it goes by.
const DEFINED: &[(&str, &str)] = &[("Sign-in", "sign_in"), ("Search for a member", "member_search")];

/// The portals, and which of their screens have occurred.
pub struct Portals<'a> {
    simulation: &'a Simulation,
    /// How much was told about each screen and each definition.
    told: HashMap<(OrgId, SubjectId), i64>,
}

/// The part of a run's endpoint that says whose portal it is.
#[derive(Deserialize)]
struct Endpoint {
    payer: String,
}

/// A portal at a time.
#[derive(Clone, Copy, Debug)]
pub struct Portal {
    pub payer: &'static Payer,
    number: usize,
    release: u32,
}

/// A session in the making.
struct Session<'a> {
    org: &'a Org,
    run: &'a [Event],
    portal: Portal,
    matter: Matter,
    clock: DateTime<Utc>,
    rng: StdRng,
    events: Vec<Event>,
}

impl<'a> Portals<'a> {
    pub fn of(simulation: &'a Simulation) -> Self {
        Self { simulation, told: HashMap::new() }
    }

    /// The session of a run, given by its events; nothing where it does not come to a portal.
    pub fn tell(&mut self, run: &[Event]) -> anyhow::Result<Vec<Event>> {
        let reached = run.iter().find(|event| event.event_type == "run.endpoint_used");
        let Some(reached) = reached.filter(|event| event.source == Channel::Web.service()) else {
            return Ok(Vec::new());
        };
        let Some(org) = self.simulation.orgs.iter().find(|org| org.org_id == reached.org_id) else {
            return Ok(Vec::new());
        };
        let mut rng = self.simulation.chance(&format!("session of {}", reached.subject_id));
        let endpoint: RunEndpointUsed = serde_json::from_str(&reached.data)?;
        let used: Endpoint = serde_json::from_str(&serde_json::to_string(&endpoint.endpoint)?)?;
        let Some(payer) = PAYERS.iter().position(|payer| payer.name == used.payer) else { return Ok(Vec::new()) };
        let portal = Portal::at(self.simulation, payer, reached.occurred_at);
        let (matter, clock) = (Matter::draw(&mut rng), reached.occurred_at + TimeDelta::milliseconds(300));
        let mut session = Session { org, run, portal, matter, clock, rng, events: Vec::new() };
        self.define(&mut session)?;
        self.walk(&mut session)?;
        Ok(session.events)
    }

    fn walk(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let errand = Errand::draw(&mut session.rng);
        let mut screen: &Screen = &SIGN_IN;
        let mut state = self.see(session, screen)?;
        for _ in 1..SCREENS_MAX {
            let quirk = |way| session.portal.quirk(self.simulation, way);
            let Some((way, to)) = way::next(screen, errand, quirk, &mut session.rng) else { break };
            session.clock += TimeDelta::milliseconds(session.rng.random_range(1_500..14_000));
            let next = self.see(session, to)?;
            let run_id = Some(session.run_id());
            let action = way.action.try_into()?;
            let moved = UiTransitionObserved { from: state, action, to: next, run_id, step_id: session.step_id() };
            self.event(session, state.subject(), &moved, 20)?;
            (screen, state) = (to, next);
        }
        Ok(())
    }

    /// The robot sees a screen, in one of its variants.
    fn see(&mut self, session: &mut Session<'_>, screen: &Screen) -> anyhow::Result<MicroStateId> {
        let look = Look {
            portal: session.portal,
            screen,
            notice: notice(&mut session.rng),
            is_changed: session.portal.has_changed(self.simulation, screen),
        };
        let org_id = session.org.org_id;
        let id: MicroStateId = self.simulation.id(&format!("{} in {org_id}", look.name()))?;
        let is_new = !self.told.contains_key(&(org_id, id.subject()));
        let mut observed: MicroStateObserved = look.observed(&session.matter, &mut session.rng)?;
        observed.run_id = Some(session.run_id());
        observed.step_id = session.step_id();
        if is_new {
            // A picture is embedded once: the screen looks the same the next time.
            observed.image_embedding = Some(look.image_embedding(self.simulation)?);
        }
        self.event(session, id.subject(), &observed, 0)?;
        if is_new && session.rng.random_range(0..100) < LABELLED_PERCENT {
            let labelled_by = session.reviewer();
            let after_ms = session.rng.random_range(60_000..900_000);
            let label = screen.name.try_into()?;
            self.event(session, id.subject(), &MicroStateLabelled { label, labelled_by }, after_ms)?;
        }
        Ok(id)
    }

    /// An org's people define what they know before its first session.
    fn define(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let org_id = session.org.org_id;
        for (name, label) in DEFINED {
            let subject: SubjectId = self.simulation.id(&format!("macro state {name} of {org_id}"))?;
            if self.told.contains_key(&(org_id, subject)) {
                continue;
            }
            let defined = MacroStateDefined {
                name: (*name).try_into()?,
                description: None,
                portal_type: Some(look::PORTAL_TYPE.try_into()?),
                label: Some((*label).try_into()?),
                micro_state_ids: None,
                defined_by: session.reviewer(),
            };
            self.event(session, subject, &defined, -200)?;
        }
        Ok(())
    }

    fn event<T: EventData>(
        &mut self,
        session: &mut Session<'_>,
        subject: SubjectId,
        payload: &T,
        after_ms: i64,
    ) -> anyhow::Result<()> {
        let org_id = session.org.org_id;
        let told = self.told.entry((org_id, subject)).or_default();
        *told += 1;
        let mut event = Event::new(org_id, subject, Channel::Web.service(), payload)?;
        event.event_id = self.simulation.id::<EventId>(&format!("event {told} of {subject} in {org_id}"))?;
        event.occurred_at = session.clock + TimeDelta::milliseconds(after_ms);
        event.correlation_id = Some(session.run_id().to_string());
        event.set_sequence(*told);
        session.events.push(event);
        Ok(())
    }
}

impl Session<'_> {
    fn run_id(&self) -> RunId {
        RunId::of_subject(self.run[0].subject_id)
    }

    /// The step that the run is at.
    fn step_id(&self) -> Option<StepId> {
        let started =
            self.run.iter().rfind(|event| event.event_type == StepStarted::TYPE && event.occurred_at <= self.clock);
        #[derive(Deserialize)]
        struct Step {
            step_id: StepId,
        }
        serde_json::from_str(&started?.data).ok().map(|Step { step_id }| step_id)
    }

    fn reviewer(&mut self) -> Option<UserId> {
        self.org.users.choose(&mut self.rng).copied()
    }
}

impl Portal {
    fn at(simulation: &Simulation, number: usize, time: DateTime<Utc>) -> Self {
        // Between a third and two thirds of the way.
        let percent = 33 + simulation.chance(&format!("release of portal {number}")).random_range(0..34);
        let released = simulation.scenario.start + SPAN * percent / 100;
        Self { payer: &PAYERS[number], number, release: 1 + u32::from(time >= released) }
    }

    fn words(&self) -> screen::Words {
        STYLES[self.number % STYLES.len()]
    }

    /// Whether the screen is another than it was in the first release.
    fn has_changed(&self, simulation: &Simulation, screen: &Screen) -> bool {
        let name = format!("change of {} in portal {}", screen.name, self.number);
        self.release > 1 && simulation.chance(&name).random_range(0..100) < CHANGED_PERCENT
    }

    /// How likely a way is here, from 1 to 4: no two portals are the same.
    fn quirk(&self, simulation: &Simulation, way: usize) -> u32 {
        simulation.chance(&format!("way {way} in portal {}", self.number)).random_range(1..=4)
    }
}

/// The notice on top of a screen, of those who see one.
fn notice(rng: &mut StdRng) -> Option<&'static str> {
    let mut left = rng.random_range(0..1_000);
    for (notice, permille) in NOTICES {
        if left < *permille {
            return Some(notice);
        }
        left -= permille;
    }
    None
}
