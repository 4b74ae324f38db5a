//! `runledger import legacy-requirements`: the old flat table of field requirements becomes three tiers.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    process::ExitCode,
    vec,
};

use clap::{Args, builder::NonEmptyStringValueParser};
use events::id::{EventId, OrgId, PayerId, SHARED_ORG, TaskTypeId};
use ledger::{connection::Role, read, stream::EventStream};
use projector::query;
use serde_json::Value;
use sqlx::PgConnection;

use super::legacy::{
    self as legacy_command,
    pass::Tally,
    reconciling::Reconciliation,
    report::{Mode, Outcome},
};
use crate::{
    commands::wait,
    legacy::{
        IdMap, IdMapping, LegacyError, OrgMap, REQUIREMENTS, Reject, Report, Row, Source,
        requirement::{self, Level, Target, Told, Translator},
        two_files,
    },
    progress::Progress,
    publisher::{Acknowledged, Publication, Publisher},
    settings::Settings,
};

/// So many requirements at a time.
const REQUIREMENTS_A_PAGE: usize = 1_000;

/// Import the old table of field requirements: everyone's, payers', and orgs' policies
///
/// Says what would be imported, and changes nothing, unless --execute is given. What has no org goes to the shared
/// org, so whoever imports has to be allowed to publish for it. Ids are derived from the old keys: running it again
/// changes nothing, and brings what has changed meanwhile. What cannot become an event goes to the rejects file. After
/// the import, or alone with --reconcile, all old rows are compared with what the read models have.
#[derive(Args)]
pub struct LegacyRequirements {
    /// The old database, e.g. postgres://user:password@host:5432/database
    #[arg(long, env = "RUNLEDGER_LEGACY_URL", hide_env_values = true, value_name = "URL")]
    from: String,
    /// Where its table is
    #[arg(long, default_value = "public", value_name = "SCHEMA")]
    schema: String,
    /// Which org an old org_id is, or a CSV file with the columns legacy,org_id; may be repeated
    #[arg(long, value_name = "OLD=ORG|FILE")]
    org_map: Vec<IdMapping<OrgId>>,
    /// Which payer an old payer_id is, or a CSV file with the columns legacy,payer_id [default: itself if it is a UUID,
    /// else one derived from it]
    #[arg(long, value_name = "OLD=PAYER|FILE")]
    payer_map: Vec<IdMapping<PayerId>>,
    /// Which task type an old task_type_id is, or a CSV file with the columns legacy,task_type_id [default: as of payers]
    #[arg(long, value_name = "OLD=TASK_TYPE|FILE")]
    task_type_map: Vec<IdMapping<TaskTypeId>>,
    /// What the old system is called, where several are imported: part of all ids, so always give the same
    #[arg(long, default_value = "legacy", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// What an old level means: required, optional, conditional, forbidden or (of orgs) waived; may be repeated
    #[arg(long, value_name = "OLD=NEW", value_parser = requirement::parse_level)]
    level: Vec<(String, Level)>,
    /// Publish the events
    #[arg(long, conflicts_with = "reconcile")]
    execute: bool,
    /// Compare old rows with what was imported before
    #[arg(long)]
    reconcile: bool,
    /// Where what cannot be imported goes [default: NAME-requirements.rejects.csv in the working directory]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Where values that differ go [default: NAME-requirements.differences.csv in the working directory]
    #[arg(long, value_name = "FILE")]
    differences: Option<PathBuf>,
    /// Show the events of so many requirements
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    samples: usize,
    /// Do not wait until they can be seen; nothing is compared
    #[arg(long, requires = "execute")]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl LegacyRequirements {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let [rejects, differences] = [(&self.rejects, "rejects"), (&self.differences, "differences")]
            .map(|(given, what)| self.path(given.as_ref(), what));
        two_files(&rejects, &differences)?;
        let target = Target {
            name: self.name.clone(),
            orgs: OrgMap::of(self.org_map.clone())?.of_tenants()?,
            payers: IdMap::of(self.payer_map.clone())?,
            task_types: IdMap::of(self.task_type_map.clone())?,
            levels: self.level.iter().cloned().collect(),
            now: events::time::now(),
        };
        let mut conn = settings.connect(Role::Admin).await?;
        legacy_command::registered(&mut conn, &target.orgs).await?;
        let mut source = Source::open(&self.from, &self.schema, &[&REQUIREMENTS]).await?;
        let orgs = target.orgs.ids().into_keys().chain([SHARED_ORG]);
        let imports = orgs.map(|org_id| (org_id, target.import_id(org_id).to_string())).collect();
        let mode = Mode::of(self.execute, self.reconcile);
        let mut outcome = Outcome::of(mode, imports, &mut source).await?;
        outcome.reverts = false;
        if mode == Mode::Reconcile {
            legacy_command::caught_up(settings, target.orgs.ids().into_keys().collect()).await?;
        } else {
            let publisher = self.publisher(settings).await?;
            let last_stream_seq = self.import(&mut conn, &target, &mut source, &mut outcome, publisher).await?;
            if self.execute && !self.no_wait {
                let orgs: Vec<_> = outcome.orgs.iter().copied().collect();
                wait::until_projected(settings, &settings.connect_to_nats().await?, last_stream_seq, &orgs).await?;
            }
        }
        if mode == Mode::Reconcile || self.execute && !self.no_wait {
            self.compare(&mut conn, &target, &mut source, &mut outcome).await?;
        }
        outcome.print(self.json)?;
        Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn publisher(&self, settings: &Settings) -> anyhow::Result<Option<Publisher>> {
        if !self.execute {
            return Ok(None);
        }
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        Ok(Some(Publisher::new(&client)))
    }

    fn path(&self, given: Option<&PathBuf>, what: &str) -> PathBuf {
        let name = legacy_command::file_name(&self.name);
        given.cloned().unwrap_or_else(|| PathBuf::from(format!("{name}-requirements.{what}.csv")))
    }

    /// Translates everything, and publishes what the ledger lacks, if there is a publisher. Returns the place of
    /// the last message in the stream.
    async fn import(
        &self,
        conn: &mut PgConnection,
        target: &Target,
        source: &mut Source,
        outcome: &mut Outcome,
        mut publisher: Option<Publisher>,
    ) -> anyhow::Result<u64> {
        let progress = Progress::start("reading the old requirements", outcome.rows());
        let mut rejects = Report::new(self.path(self.rejects.as_ref(), "rejects"), &Reject::COLUMNS);
        let mut pages = Pages::begin(source, target).await?;
        while let Some(page) = pages.next(&mut outcome.tally, &progress)? {
            let known = known(conn, &page).await?;
            outcome.events_known += known.len() as u64;
            for told in page {
                outcome.orgs.extend(told.scope.as_ref().map(requirement::Scope::org_id));
                for reject in &told.translated.rejects {
                    rejects.write(&reject.fields())?;
                }
                if outcome.samples.len() < self.samples && !told.translated.events.is_empty() {
                    outcome.samples.push(told.translated.events.clone());
                }
                let Some(publisher) = &mut publisher else { continue };
                for event in told.translated.events.iter().filter(|event| !known.contains(&event.event_id)) {
                    publisher.publish(Publication::of(event)).await?;
                }
            }
        }
        progress.finish();
        outcome.rejects = rejects.finish()?;
        let acknowledged = match publisher {
            Some(publisher) => publisher.finish().await?,
            None => Acknowledged::default(),
        };
        outcome.events_published = acknowledged.messages;
        Ok(acknowledged.last_stream_seq)
    }

    async fn compare(
        &self,
        conn: &mut PgConnection,
        target: &Target,
        source: &mut Source,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let progress = Progress::start("comparing with the old requirements", outcome.rows());
        let mut reconciliation = Reconciliation::into(self.path(self.differences.as_ref(), "differences"));
        let mut pages = Pages::begin(source, target).await?;
        let mut tally = Tally::of(&[&REQUIREMENTS]);
        // The rows of one org at a time: those of an org come together.
        let (mut org_id, mut rows) = (None, Rows::new());
        while let Some(page) = pages.next(&mut tally, &progress)? {
            let known = known(conn, &page).await?;
            for told in &page {
                let Some(scope) = &told.scope else { continue };
                if org_id.replace(scope.org_id()) != Some(scope.org_id()) {
                    rows = rows_of(conn, scope.org_id()).await?;
                }
                let key = (scope.task_type_id.to_string(), scope.field.clone());
                let of_field = rows.get(&key).into_iter().flatten();
                let row = of_field.clone().find(|(tier, row)| scope.is_of(tier, row)).map(|(_, row)| row);
                let taken: HashSet<_> = told.translated.values.iter().map(|value| &value.key).collect();
                reconciliation.found_again(REQUIREMENTS.name, if row.is_some() { taken.len() as u64 } else { 0 });
                reconciliation.values(&told.translated, row, &known, None)?;
            }
        }
        progress.finish();
        reconciliation.finish()?;
        outcome.tally = tally;
        outcome.reconciliation = Some(reconciliation);
        Ok(())
    }
}

/// Pages of translated requirements.
struct Pages<'a> {
    groups: vec::IntoIter<Vec<Row>>,
    translator: Translator<'a>,
}

impl<'a> Pages<'a> {
    async fn begin(source: &mut Source, target: &'a Target) -> Result<Self, LegacyError> {
        let groups = requirement::groups(source, target).await?.into_iter();
        Ok(Self { groups, translator: Translator::new(target) })
    }

    fn next(&mut self, tally: &mut Tally, progress: &Progress) -> anyhow::Result<Option<Vec<Told>>> {
        let mut page = Vec::new();
        while page.len() < REQUIREMENTS_A_PAGE
            && let Some(rows) = self.groups.next()
        {
            progress.add(rows.len() as u64);
            rows.iter().for_each(|row| tally.read(row.table.name));
            let told = self.translator.translate(&rows)?;
            told.translated.rejects.iter().for_each(|reject| tally.reject(reject));
            for event in &told.translated.events {
                *tally.events.entry(event.event_type.clone()).or_default() += 1;
            }
            page.push(told);
        }
        Ok((!page.is_empty()).then_some(page))
    }
}

/// Which of the events the ledger has.
async fn known(conn: &mut PgConnection, page: &[Told]) -> anyhow::Result<HashSet<EventId>> {
    let events = || page.iter().flat_map(|told| &told.translated.events);
    let mut known = HashSet::new();
    for org_id in events().map(|event| event.org_id).collect::<BTreeSet<_>>() {
        let event_ids: Vec<_> = events().filter(|event| event.org_id == org_id).map(|event| event.event_id).collect();
        known.extend(read::events_known(conn, org_id, &event_ids).await?);
    }
    Ok(known)
}

/// An org's rows with their tiers, by task type and field.
type Rows = BTreeMap<(String, String), Vec<(String, Value)>>;

/// All requirements of an org with their tiers, by task type and field.
async fn rows_of(conn: &mut PgConnection, org_id: OrgId) -> anyhow::Result<Rows> {
    let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (tier, row) in query::requirement_rows(conn, org_id).await? {
        let row: Value = serde_json::from_str(row.get())?;
        let [task_type_id, field] = ["task_type_id", "field"].map(|name| row[name].as_str().unwrap_or("").to_owned());
        rows.entry((task_type_id, field)).or_default().push((tier, row));
    }
    Ok(rows)
}
