//! `runledger simulate`: publishes a made-up but believable workload.

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use ledger::stream::EventStream;
use serde_json::json;

use crate::{
    output,
    progress::Progress,
    settings::Settings,
    simulation::{self, Published, Scenario, Simulation},
};

/// Publish a made-up, believable workload of billing workflows
///
/// The same --seed, --start, --orgs and --runs give the same messages, byte for byte: publishing them again
/// changes nothing.
#[derive(Args)]
pub struct Simulate {
    /// How many runs, of all orgs together
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    runs: u32,
    /// How many orgs; they are registered first
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    orgs: u32,
    /// Publish at most so many messages a second [default: as fast as possible]
    #[arg(long, default_value_t = 0.0, hide_default_value = true, value_name = "EVENTS_PER_S")]
    rate: f64,
    /// Where chance begins [default: by chance]
    #[arg(long)]
    seed: Option<u64>,
    /// When the first run begins, RFC 3339 [default: a day ago]
    #[arg(long, value_name = "TIME", value_parser = events::time::parse)]
    start: Option<DateTime<Utc>>,
    /// How many messages of buggy services, which the ledger refuses
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    refused: u32,
    /// The robots of web runs also tell which screens of payers' portals they see, and what leads from one to the next
    #[arg(long)]
    portal: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if !self.rate.is_finite() || self.rate < 0.0 {
            bail!("--rate {} is no number of events a second; give 0 or more", self.rate);
        }
        let now = events::time::now();
        let start = self.start.unwrap_or_else(|| Scenario::start_before(now));
        if start > now {
            bail!(
                "--start {} lies in the future, where the ledger takes no events; give a time in the past",
                events::time::format(start)
            );
        }
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let Self { orgs, runs, refused, portal, .. } = self;
        let scenario = Scenario { seed, start, orgs, runs, refused, portal };
        let simulation = Simulation::new(scenario)?;

        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let progress = Progress::start("simulating runs", u64::from(self.runs));
        let rate = (self.rate > 0.0).then_some(self.rate);
        let published = simulation::publish(&client, &simulation, rate, &progress).await;
        progress.finish();
        self.report(&simulation, &published?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, simulation: &Simulation, published: &Published) -> anyhow::Result<()> {
        let Scenario { seed, start, orgs, runs, .. } = *simulation.scenario();
        let start = events::time::format(start);
        if self.json {
            let orgs: Vec<_> =
                simulation.orgs().iter().map(|org| json!({ "org_id": org.org_id, "name": org.name })).collect();
            return output::json(&json!({
                "seed": seed, "start": start, "orgs": orgs, "runs": runs, "events": published.events,
                "doubled": published.doubled, "late": published.late, "refused": published.refused,
            }));
        }
        let Published { events, late, doubled, refused, .. } = published;
        output::print(format!("published {events} events of {runs} runs in {orgs} orgs"))?;
        output::print(format!(
            "  {late} of them late; besides, {doubled} again and {refused} that the ledger refuses"
        ))?;
        for org in simulation.orgs() {
            output::print(format!("  {}  {}", org.org_id, org.name))?;
        }
        output::print(format!(
            "the same again: runledger simulate --runs {runs} --orgs {orgs} --seed {seed} --start {start} --refused {}{}",
            self.refused,
            if self.portal { " --portal" } else { "" }
        ))?;
        output::print("look at them: runledger runs list")?;
        Ok(())
    }
}
