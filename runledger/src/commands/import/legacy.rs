//! `runledger import legacy`: the old tables become events; shown, published, or compared with what came of them.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, builder::NonEmptyStringValueParser};
use events::id::{OrgId, RunId, Seq};
use ledger::{connection::Role, read, stream::EventStream};
use sqlx::PgConnection;

use super::revert::{self, Retracted};
use crate::{
    commands::wait,
    legacy::{self, IdMapping, OrgMap, Source, Statuses, TABLES, Target, Traces},
    progress::Progress,
    publisher::{Acknowledged, Publication, Publisher},
    settings::Settings,
};

pub mod pass;
pub mod reconciling;
pub mod report;

use pass::{Pass, Tally};
use reconciling::Reconciliation;
use report::{Mode, Outcome};

/// Runs are brought back so many at a time.
const RUNS_AT_ONCE: usize = 10_000;

/// Import the old tables: traces become runs, steps become steps, what hangs on them goes along
///
/// Says what would be imported, and changes nothing, unless --execute is given. The old database is only read, in one
/// transaction. All ids are derived from the old keys: an import that broke off is run again and goes on, and
/// one that is run again after the old tables have changed brings what is new. What cannot become an event goes to
/// the rejects file with the reason. After the import, or alone with --reconcile, all old rows are compared with what
/// the read models have. The orgs have to be registered: `runledger org add`.
#[derive(Args)]
pub struct Legacy {
    /// The old database, e.g. postgres://user:password@host:5432/database
    #[arg(long, env = "RUNLEDGER_LEGACY_URL", hide_env_values = true, value_name = "URL")]
    from: String,
    /// Where its tables are
    #[arg(long, default_value = "public", value_name = "SCHEMA")]
    schema: String,
    /// Which org an old org_id is, or a CSV file with the columns legacy,org_id; may be repeated
    #[arg(long, value_name = "OLD=ORG|FILE", required = true)]
    org_map: Vec<IdMapping<OrgId>>,
    /// What the old system is called, where several are imported: part of all ids, so always give the same
    #[arg(long, default_value = "legacy", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// What an old status means: pending, running, completed, failed, cancelled, timeout or skipped; may be repeated
    #[arg(long, value_name = "OLD=NEW", value_parser = legacy::parse_mapping)]
    status: Vec<(String, legacy::Status)>,
    /// Publish the events
    #[arg(long, conflicts_with = "reconcile")]
    execute: bool,
    /// Compare old rows with what was imported before
    #[arg(long)]
    reconcile: bool,
    /// Where what cannot be imported goes [default: NAME.rejects.csv in the working directory]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Where values that differ go [default: NAME.differences.csv in the working directory]
    #[arg(long, value_name = "FILE")]
    differences: Option<PathBuf>,
    /// Show the events of so many traces
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    samples: usize,
    /// Do not wait until the runs can be seen; nothing is compared, and those of a reverted import stay retracted
    #[arg(long, requires = "execute")]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Legacy {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        legacy::two_files(&self.rejects_path(), &self.differences_path())?;
        let orgs = OrgMap::of(self.org_map.clone())?.of_tenants()?;
        let statuses = Statuses::usual_and(self.status.clone());
        let target = Target { name: self.name.clone(), orgs, statuses, now: events::time::now() };
        let mut conn = settings.connect(Role::Admin).await?;
        registered(&mut conn, &target.orgs).await?;
        let mut source = Source::open(&self.from, &self.schema, &TABLES).await?;
        let imports = target.orgs.ids().into_keys().map(|org_id| (org_id, target.import_id(org_id).to_string()));
        let mode = Mode::of(self.execute, self.reconcile);
        let mut outcome = Outcome::of(mode, imports.collect(), &mut source).await?;
        if self.execute {
            self.execute(settings, &mut conn, &target, &mut source, &mut outcome).await?;
        } else if self.reconcile {
            caught_up(settings, target.orgs.ids().into_keys().collect()).await?;
        } else {
            self.survey(&mut conn, &target, &mut source, &mut outcome).await?;
        }
        if self.reconcile || self.execute && !self.no_wait {
            let (tally, reconciliation) = self.compare(&mut conn, &target, &mut source, &outcome).await?;
            outcome.tally = tally;
            outcome.reconciliation = Some(reconciliation);
        }
        outcome.print(self.json)?;
        Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn rejects_path(&self) -> PathBuf {
        self.rejects.clone().unwrap_or_else(|| PathBuf::from(format!("{}.rejects.csv", file_name(&self.name))))
    }

    fn differences_path(&self) -> PathBuf {
        self.differences.clone().unwrap_or_else(|| PathBuf::from(format!("{}.differences.csv", file_name(&self.name))))
    }

    /// Translates everything and publishes nothing.
    async fn survey(
        &self,
        conn: &mut PgConnection,
        target: &Target,
        source: &mut Source,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let progress = Progress::start("reading the old tables, rows", outcome.rows());
        let mut pass = Pass::begin(target, Traces::begin(source).await?, Some(self.rejects_path()), progress);
        while let Some(page) = pass.page().await? {
            outcome.events_known += page.events_known(conn).await?.len() as u64;
            for translated in &page.traces {
                if outcome.samples.len() < self.samples && translated.run.is_some() {
                    outcome.samples.push(translated.events.clone());
                }
            }
        }
        (outcome.tally, outcome.rejects) = pass.finish()?;
        Ok(())
    }

    async fn execute(
        &self,
        settings: &Settings,
        conn: &mut PgConnection,
        target: &Target,
        source: &mut Source,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let mut positions = BTreeMap::new();
        for &org_id in target.orgs.ids().keys().filter(|_| !self.no_wait) {
            positions.insert(org_id, revert::position(settings, &client, org_id).await?);
        }
        let progress = Progress::start("importing the old tables, rows", outcome.rows());
        let mut pass = Pass::begin(target, Traces::begin(source).await?, Some(self.rejects_path()), progress);
        let (mut publisher, mut runs) = (Publisher::new(&client), BTreeMap::<OrgId, Vec<RunId>>::new());
        while let Some(page) = pass.page().await? {
            let known = page.events_known(conn).await?;
            outcome.events_known += known.len() as u64;
            for translated in page.traces {
                if let Some((org_id, run_id)) = translated.run {
                    runs.entry(org_id).or_default().push(run_id);
                }
                for event in translated.events.iter().filter(|event| !known.contains(&event.event_id)) {
                    publisher.publish(Publication::of(event)).await?;
                }
            }
        }
        let acknowledged = publisher.finish().await?;
        (outcome.tally, outcome.rejects) = pass.finish()?;
        outcome.events_published = acknowledged.messages;
        if !self.no_wait {
            outcome.retracted = arrive(settings, &client, target, acknowledged, &runs, &positions).await?;
        }
        Ok(())
    }

    async fn compare(
        &self,
        conn: &mut PgConnection,
        target: &Target,
        source: &mut Source,
        outcome: &Outcome,
    ) -> anyhow::Result<(Tally, Reconciliation)> {
        let progress = Progress::start("comparing with the old tables, rows", outcome.rows());
        let mut pass = Pass::begin(target, Traces::begin(source).await?, None, progress);
        let mut reconciliation = Reconciliation::into(self.differences_path());
        while let Some(page) = pass.page().await? {
            reconciliation.take(conn, &page).await?;
        }
        let (tally, _) = pass.finish()?;
        reconciliation.finish()?;
        Ok((tally, reconciliation))
    }
}

/// Waits until the runs can be seen, and brings back those that a revert had taken away.
async fn arrive(
    settings: &Settings,
    client: &async_nats::Client,
    target: &Target,
    acknowledged: Acknowledged,
    runs: &BTreeMap<OrgId, Vec<RunId>>,
    positions: &BTreeMap<OrgId, Seq>,
) -> anyhow::Result<Retracted> {
    let orgs: Vec<_> = runs.keys().copied().collect();
    wait::until_projected(settings, client, acknowledged.last_stream_seq, &orgs).await?;
    let mut all = Retracted::default();
    for (&org_id, run_ids) in runs {
        let (import_id, position) = (target.import_id(org_id), positions.get(&org_id).copied().unwrap_or(Seq::ZERO));
        for run_ids in run_ids.chunks(RUNS_AT_ONCE) {
            let retracted = revert::reinstate(settings, client, org_id, import_id, run_ids, position).await?;
            all.reinstated += retracted.reinstated;
            all.kept += retracted.kept;
        }
    }
    Ok(all)
}

/// Waits until what the stream holds now can be seen: an import may not have waited for it.
pub async fn caught_up(settings: &Settings, orgs: Vec<OrgId>) -> anyhow::Result<()> {
    let client = settings.connect_to_nats().await?;
    let last_seq = EventStream::ensure(&client).await?.last_seq().await?;
    wait::until_projected(settings, &client, last_seq, &orgs).await
}

/// Whether all orgs are registered that old ones are mapped to.
pub async fn registered(conn: &mut PgConnection, orgs: &OrgMap) -> anyhow::Result<()> {
    for (org_id, old) in orgs.ids() {
        if read::head(conn, org_id).await.context("the ledger cannot be read")?.is_none() {
            bail!(
                "org {org_id}, which old org {old:?} is mapped to, is not registered; register it with `runledger org add NAME --id {org_id}`"
            );
        }
    }
    Ok(())
}

/// A name that is good for a file.
pub fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '-' }).collect()
}
