//! A made-up but believable workload: billing workflows of a few orgs over most of a day.
//!
//! Everything follows from the [`Scenario`]: the same one gives the same messages, byte for byte, in
//! the same order, and another one gives other orgs and runs. Runs are told one by one ([`run`]), with what they mean to
//! the batches that they come in ([`batch`]), and put into the order of their arrival ([`delivery`]), so the memory
//! needed does not grow with their number. The workflows that they follow are defined before them ([`definition`]); what
//! robots see on their way ([`portal`]) comes besides.
//! Called by `simulate` and `demo`; [`sample`] makes a small one of the same parts, which is always the same, for `seed`.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{SeedableRng, rngs::StdRng};
use uuid::Uuid;

mod batch;
mod catalogue;
mod definition;
mod delivery;
mod matter;
mod org;
mod portal;
mod publish;
mod refused;
mod requirement;
mod run;
pub mod sample;
mod workflow;

pub use delivery::{Deliveries, Manner};
pub use org::Org;
pub use publish::{Published, publish};

/// Runs begin in so many hours from the start on; the last of them end within four hours more.
const SPAN: TimeDelta = TimeDelta::hours(20);

const NAMESPACE: Uuid = Uuid::from_u128(0x6f2c_9d1e_54a3_5b77_8e10_3a4f_d0c2_9b61);

/// What is to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Chance, repeatable.
    pub seed: u64,
    /// When the first run begins.
    pub start: DateTime<Utc>,
    /// How many orgs, 1 or more.
    pub orgs: u32,
    /// How many runs, of all orgs together.
    pub runs: u32,
    /// How many messages of buggy services, which the ledger refuses.
    pub refused: u32,
    /// Whether the robots of web runs tell which screens they see.
    pub portal: bool,
}

impl Scenario {
    /// A start that leaves the whole simulation in the past: a day before this time, to the minute.
    pub fn start_before(now: DateTime<Utc>) -> DateTime<Utc> {
        let minute = DateTime::from_timestamp(now.timestamp() / 60 * 60, 0).unwrap_or(now);
        minute - TimeDelta::days(1)
    }
}

/// A workload, made when it is read.
#[derive(Debug)]
pub struct Simulation {
    scenario: Scenario,
    namespace: Uuid,
    orgs: Vec<Org>,
}

impl Simulation {
    /// The workload of this scenario.
    pub fn new(scenario: Scenario) -> anyhow::Result<Self> {
        let Scenario { seed, start, orgs, runs, .. } = scenario;
        // A run depends on all of these, so its id does: another scenario never contradicts this one.
        let name = format!("{seed} {} {orgs} {runs}", events::time::format(start));
        let mut simulation = Self { scenario, namespace: Uuid::new_v5(&NAMESPACE, name.as_bytes()), orgs: Vec::new() };
        simulation.orgs = org::found(&simulation)?;
        Ok(simulation)
    }

    /// What was asked for.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The orgs; the workload registers them before anything else.
    pub fn orgs(&self) -> &[Org] {
        &self.orgs
    }

    /// The messages, in the order of their arrival.
    pub fn deliveries(&self) -> anyhow::Result<Deliveries<'_>> {
        Deliveries::begin(self)
    }

    /// When the run with this number, from 0, begins; they begin in the order of their numbers.
    fn start_of(&self, run: u32) -> DateTime<Utc> {
        let share = i64::from(run) * SPAN.num_milliseconds() / i64::from(self.scenario.runs.max(1));
        self.scenario.start + TimeDelta::milliseconds(share)
    }

    /// The id of what is so called in this simulation.
    fn id<T: TryFrom<Uuid>>(&self, name: &str) -> Result<T, T::Error> {
        T::try_from(Uuid::new_v5(&self.namespace, name.as_bytes()))
    }

    /// Chance for what is so called, the same every time and independent of everything else.
    fn chance(&self, name: &str) -> StdRng {
        let (high, low) = Uuid::new_v5(&self.namespace, name.as_bytes()).as_u64_pair();
        StdRng::seed_from_u64(high ^ low)
    }
}

#[cfg(test)]
mod tests;
