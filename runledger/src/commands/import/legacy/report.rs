//! What the command says in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use events::{Event, id::OrgId};
use serde_json::{Value, json};

use super::{super::revert::Retracted, pass::Tally, reconciling::Reconciliation};
use crate::{
    legacy::{Shape, Source},
    output,
};

/// So much of a sample's payload is shown.
const SAMPLE_LENGTH_MAX: usize = 160;

/// So many events of a sample are shown.
const SAMPLE_EVENTS_MAX: usize = 25;

/// What the command is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    DryRun,
    Execute,
    Reconcile,
}

impl Mode {
    /// As the flags have it.
    pub fn of(execute: bool, reconcile: bool) -> Self {
        match (execute, reconcile) {
            (true, _) => Self::Execute,
            (_, true) => Self::Reconcile,
            _ => Self::DryRun,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Execute => "execute",
            Self::Reconcile => "reconcile",
        }
    }
}

/// What came of it.
pub struct Outcome {
    mode: Mode,
    /// The tables, and how many rows they have.
    shapes: Vec<(Shape, u64)>,
    imports: BTreeMap<OrgId, String>,
    /// Whether `import revert` takes it back.
    pub reverts: bool,
    /// Orgs that something was said of.
    pub orgs: BTreeSet<OrgId>,
    pub tally: Tally,
    pub rejects: Option<PathBuf>,
    /// Events that the ledger had.
    pub events_known: u64,
    pub events_published: u64,
    pub retracted: Retracted,
    pub samples: Vec<Vec<Event>>,
    pub reconciliation: Option<Reconciliation>,
}

impl Outcome {
    /// Nothing has come of it yet.
    pub async fn of(mode: Mode, imports: BTreeMap<OrgId, String>, source: &mut Source) -> anyhow::Result<Self> {
        let mut shapes = Vec::new();
        for shape in source.shapes().to_vec() {
            let rows = source.count(&shape).await?;
            shapes.push((shape, rows));
        }
        let tables: Vec<_> = shapes.iter().map(|(shape, _)| shape.table).collect();
        Ok(Self {
            mode,
            imports,
            reverts: true,
            orgs: BTreeSet::new(),
            tally: Tally::of(&tables),
            shapes,
            rejects: None,
            events_known: 0,
            events_published: 0,
            retracted: Retracted::default(),
            samples: Vec::new(),
            reconciliation: None,
        })
    }

    /// How many rows there are to read.
    pub fn rows(&self) -> u64 {
        self.shapes.iter().map(|(_, rows)| rows).sum()
    }

    /// Whether everything is as it has to be, rejects aside.
    pub fn is_good(&self) -> bool {
        self.reconciliation.as_ref().is_none_or(|reconciliation| reconciliation.unexplained == 0)
    }

    fn events(&self) -> u64 {
        self.tally.events.values().sum()
    }

    pub fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return output::json(&self.json());
        }
        self.print_tables()?;
        self.print_rejects()?;
        match self.mode {
            Mode::DryRun => self.print_dry_run()?,
            Mode::Execute => self.print_executed()?,
            Mode::Reconcile => {}
        }
        if let Some(reconciliation) = &self.reconciliation {
            print_reconciliation(reconciliation)?;
        }
        if self.mode == Mode::Execute && self.reconciliation.is_none() {
            output::print(
                "nothing was compared; do that with --reconcile when the ledger and the projector have caught up",
            )?;
        }
        Ok(())
    }

    fn print_tables(&self) -> anyhow::Result<()> {
        let mut names = vec!["table", "#rows", "#taken", "#rejected"];
        names.extend(self.reconciliation.as_ref().map(|_| "#found again"));
        let mut table = output::table(&names);
        for ((name, rows), (shape, _)) in self.tally.rows.iter().zip(&self.shapes) {
            let counts = [rows.read, rows.read - rows.rejected, rows.rejected].map(|count| count.to_string());
            let counts = if shape.is_absent() { [const { String::new() }; 3] } else { counts };
            let name = if shape.is_absent() { format!("{name} (absent)") } else { (*name).to_owned() };
            let found =
                self.reconciliation.as_ref().map(|it| it.found.get(shape.table.name).copied().unwrap_or(0).to_string());
            output::row(&mut table, [name].into_iter().chain(counts).chain(found.filter(|_| !shape.is_absent())));
        }
        output::print(table)?;
        for (shape, _) in self.shapes.iter().filter(|(shape, _)| !shape.extra.is_empty()) {
            let columns = output::printable(&shape.extra.join(", "));
            let fate = if shape.table.keeps_extra { "kept under `legacy`" } else { "not read" };
            output::print(format!("other columns of {}, {fate}: {columns}", shape.table.name))?;
        }
        Ok(())
    }

    fn print_rejects(&self) -> anyhow::Result<()> {
        for (what, counts) in [("rows rejected", &self.tally.rejected), ("values left out", &self.tally.left_out)] {
            for (code, count) in counts {
                output::print(format!("{what}, {code}: {count}"))?;
            }
        }
        for (old_org, traces) in &self.tally.unmapped_orgs {
            let old_org = output::printable(old_org);
            output::print(format!(
                "traces of old org {old_org}, which is not mapped: {traces}; give --org-map {old_org}=ORG"
            ))?;
        }
        if self.tally.without_org > 0 {
            let traces = self.tally.without_org;
            output::print(format!("traces of no org: {traces}; give them an org_id by a view and --schema"))?;
        }
        if let Some(rejects) = &self.rejects {
            let rejects = output::printable(&rejects.to_string_lossy());
            output::print(format!("table, key and reason of each: {rejects}"))?;
        }
        Ok(())
    }

    fn print_dry_run(&self) -> anyhow::Result<()> {
        for (event_type, count) in &self.tally.events {
            output::print(format!("{event_type}: {count}"))?;
        }
        for events in &self.samples {
            output::print("sample:")?;
            for event in events.iter().take(SAMPLE_EVENTS_MAX) {
                let data: String = event.data.chars().take(SAMPLE_LENGTH_MAX).collect();
                let cut = if data.len() < event.data.len() { "…" } else { "" };
                let (time, data) = (events::time::format(event.occurred_at), output::printable(&data));
                output::print(format!("  {time}  {}  {data}{cut}", event.event_type))?;
            }
            if let Some(more) = events.len().checked_sub(SAMPLE_EVENTS_MAX).filter(|more| *more > 0) {
                output::print(format!("  and {more} more"))?;
            }
        }
        let (events, known) = (self.events(), self.events_known);
        output::print(format!(
            "dry run: {events} events, {known} of which the ledger has already; nothing was published, --execute does it"
        ))?;
        Ok(())
    }

    fn print_executed(&self) -> anyhow::Result<()> {
        let (published, known) = (self.events_published, self.events_known);
        output::print(format!("published {published} events; the ledger had {known} already"))?;
        if self.retracted.reinstated > 0 {
            output::print(format!(
                "runs that a revert had taken away and that are back: {}",
                self.retracted.reinstated
            ))?;
        }
        if self.retracted.kept > 0 {
            let kept = self.retracted.kept;
            output::print(format!(
                "runs that stay retracted, by hand or since the import began: {kept}; `runledger runs reinstate` brings one back"
            ))?;
        }
        for (org_id, import_id) in self.imports.iter().filter(|_| self.reverts) {
            output::print(format!("take it all back: runledger import revert {import_id} --org {org_id}"))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let table = |((name, rows), (shape, _)): (&(&'static str, super::pass::Rows), &(Shape, u64))| {
            let found = self.reconciliation.as_ref().map(|it| it.found.get(shape.table.name).copied().unwrap_or(0));
            let taken = rows.read - rows.rejected;
            let counts = json!({ "absent": shape.is_absent(), "rows": rows.read, "taken": taken,
                                 "rejected": rows.rejected, "found": found, "other_columns": shape.extra });
            ((*name).to_owned(), counts)
        };
        let tables: serde_json::Map<_, _> = self.tally.rows.iter().zip(&self.shapes).map(table).collect();
        let reconciliation = self.reconciliation.as_ref().map(|it| {
            let shown: Vec<_> = it.shown.iter().map(|difference| difference.fields().join(" | ")).collect();
            json!({ "values": it.values, "explained": it.explained, "unexplained": it.unexplained,
                    "first_unexplained": shown, "differences": it.file })
        });
        let samples: Vec<Vec<_>> =
            self.samples.iter().map(|events| events.iter().take(SAMPLE_EVENTS_MAX).map(sample).collect()).collect();
        json!({
            "mode": self.mode.as_str(), "imports": self.imports, "tables": tables, "rejected": self.tally.rejected,
            "left_out": self.tally.left_out, "unmapped_orgs": self.tally.unmapped_orgs, "without_org": self.tally.without_org,
            "rejects": self.rejects,
            "events": self.events(), "events_by_type": self.tally.events, "events_known": self.events_known,
            "events_published": self.events_published, "reinstated": self.retracted.reinstated,
            "still_retracted": self.retracted.kept, "samples": samples, "reconciliation": reconciliation,
        })
    }
}

fn sample(event: &Event) -> Value {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    json!({ "id": event.event_id, "type": event.event_type, "subject": event.subject_id,
            "time": events::time::format(event.occurred_at), "data": data })
}

fn print_reconciliation(reconciliation: &Reconciliation) -> anyhow::Result<()> {
    let explained: u64 = reconciliation.explained.values().sum();
    let (values, unexplained) = (reconciliation.values, reconciliation.unexplained);
    let same = values - explained - unexplained;
    output::print(format!(
        "compared {values} values: {same} are the same, {explained} differ for a known reason, {unexplained} for none"
    ))?;
    for (reason, count) in &reconciliation.explained {
        output::print(format!("  {count}: {}", output::printable(reason)))?;
    }
    for difference in &reconciliation.shown {
        let [table, key, column, old, new, _] = difference.fields().map(|field| output::printable(&field));
        output::print(format!("  {table} {key} {column}: {old:?} was expected and {new:?} found"))?;
    }
    if unexplained > 0 {
        output::print(
            "a row that has changed since it was imported differs too: import again, then look at what is left",
        )?;
    }
    if let Some(file) = &reconciliation.file {
        output::print(format!("each difference: {}", output::printable(&file.to_string_lossy())))?;
    }
    Ok(())
}
