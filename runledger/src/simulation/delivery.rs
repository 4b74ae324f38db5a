//! The order of arrival: most events arrive at once, some late, some twice.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::Event;
use rand::{RngExt, rngs::StdRng};

use super::{Simulation, batch::Batches, definition, portal::Portals, refused, run};
use crate::publisher::Publication;

/// Of 1,000 events, so many arrive late.
const LATE_PERMILLE: u32 = 30;
/// Of 1,000 events, so many arrive a second time.
const DOUBLED_PERMILLE: u32 = 20;

/// How a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Right after it happened.
    Prompt,
    /// Minutes after it happened, behind others of its run.
    Late,
    /// A second time.
    Again,
    /// As no event that the ledger takes.
    Refused,
}

/// A message of the simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub manner: Manner,
    pub publication: Publication,
}

/// The messages in the order of their arrival. Holds those of the runs that go on at that time.
pub struct Deliveries<'a> {
    simulation: &'a Simulation,
    /// By time of arrival, and within one time in the order told.
    pending: BTreeMap<(DateTime<Utc>, u64), Delivery>,
    told: u64,
    runs_begun: u32,
    batches: Batches<'a>,
    portals: Option<Portals<'a>>,
}

impl<'a> Deliveries<'a> {
    pub(super) fn begin(simulation: &'a Simulation) -> anyhow::Result<Self> {
        let batches = Batches::of(simulation);
        let portals = simulation.scenario.portal.then(|| Portals::of(simulation));
        let mut deliveries = Self { simulation, pending: BTreeMap::new(), told: 0, runs_begun: 0, batches, portals };
        for org in simulation.orgs() {
            for event in org.registrations() {
                deliveries.add(event.occurred_at, Manner::Prompt, Publication::of(event));
            }
            // Told when the org is registered, though they are older.
            let registered = org.registrations().iter().map(|event| event.occurred_at).max();
            for event in definition::of_org(simulation, org)? {
                deliveries.add(registered.unwrap_or(event.occurred_at), Manner::Prompt, Publication::of(&event));
            }
        }
        for bug in refused::all(simulation)? {
            deliveries.add(bug.at, Manner::Refused, bug.publication);
        }
        Ok(deliveries)
    }

    /// How many runs have begun.
    pub fn runs_begun(&self) -> u32 {
        self.runs_begun
    }

    fn add(&mut self, at: DateTime<Utc>, manner: Manner, publication: Publication) {
        self.told += 1;
        self.pending.insert((at, self.told), Delivery { manner, publication });
    }

    fn begin_run(&mut self) -> anyhow::Result<()> {
        let run = run::tell(self.simulation, self.runs_begun)?;
        let of_batches = self.batches.tell(&run)?;
        self.arrive(&run, self.simulation.chance(&format!("deliveries of run {}", self.runs_begun)));
        self.arrive(&of_batches, self.simulation.chance(&format!("deliveries beside run {}", self.runs_begun)));
        if let Some(portals) = &mut self.portals {
            let seen = portals.tell(&run)?;
            self.arrive(&seen, self.simulation.chance(&format!("deliveries of session {}", self.runs_begun)));
        }
        self.runs_begun += 1;
        Ok(())
    }

    fn arrive(&mut self, events: &[Event], mut rng: StdRng) {
        for event in events {
            let is_late = rng.random_range(0..1_000) < LATE_PERMILLE;
            let delay_ms = if is_late { rng.random_range(60_000..45 * 60_000) } else { rng.random_range(5..60) };
            let at = event.occurred_at + TimeDelta::milliseconds(delay_ms);
            self.add(at, if is_late { Manner::Late } else { Manner::Prompt }, Publication::of(event));
            if rng.random_range(0..1_000) < DOUBLED_PERMILLE {
                let again = at + TimeDelta::milliseconds(rng.random_range(1_000..600_000));
                // NATS would drop what it knows by its id; without one, the ledger has to.
                self.add(again, Manner::Again, Publication::without_id(event));
            }
        }
    }

    /// Whether a run begins before, or when, the next pending message arrives.
    fn is_run_due(&self) -> bool {
        let next = self.pending.first_key_value().map(|((at, _), _)| *at);
        self.runs_begun < self.simulation.scenario.runs
            && next.is_none_or(|at| at >= self.simulation.start_of(self.runs_begun))
    }
}

impl Iterator for Deliveries<'_> {
    type Item = anyhow::Result<Delivery>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.is_run_due() {
            if let Err(error) = self.begin_run() {
                return Some(Err(error));
            }
        }
        self.pending.pop_first().map(|(_, delivery)| Ok(delivery))
    }
}
