//! Old rows against the ledger and the read models, page by page: which events are there, which values are the same.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
};

use events::id::{EventId, OrgId, RunId};
use ledger::correction;
use projector::query;
use serde_json::Value;
use sqlx::PgConnection;

use super::pass::Page;
use crate::legacy::{self, Difference, Report, Translated};

/// So many unexplained differences are shown.
const SHOWN_MAX: usize = 10;

/// What came of comparing.
pub struct Reconciliation {
    /// Rows of each old table that were found again: runs and steps among the read models, others in the ledger.
    pub found: BTreeMap<&'static str, u64>,
    pub values: u64,
    /// Values that differ as they have to, by the reason.
    pub explained: BTreeMap<String, u64>,
    pub unexplained: u64,
    /// The first of these.
    pub shown: Vec<Difference>,
    pub file: Option<PathBuf>,
    report: Option<Report>,
}

impl Reconciliation {
    /// Differences go to this file.
    pub fn into(path: PathBuf) -> Self {
        let (found, explained) = (BTreeMap::new(), BTreeMap::new());
        let report = Some(Report::new(path, &Difference::COLUMNS));
        Self { found, values: 0, explained, unexplained: 0, shown: Vec::new(), file: None, report }
    }

    /// Compares the traces of a page.
    pub async fn take(&mut self, conn: &mut PgConnection, page: &Page) -> anyhow::Result<()> {
        let known = page.events_known(conn).await?;
        let mut of_org: BTreeMap<OrgId, Vec<&Translated>> = BTreeMap::new();
        for translated in &page.traces {
            if let Some((org_id, _)) = translated.run {
                of_org.entry(org_id).or_default().push(translated);
            }
        }
        for (org_id, traces) in of_org {
            let run_ids: Vec<_> = traces.iter().filter_map(|translated| Some(translated.run?.1)).collect();
            let rows = query::runs_of_ids(conn, org_id, &run_ids).await?;
            let missing: Vec<_> = run_ids.iter().copied().filter(|run_id| !rows.contains_key(run_id)).collect();
            let retracted = retracted(conn, org_id, &missing).await?;
            for translated in traces {
                let run_id = translated.run.map(|(_, run_id)| run_id);
                let row = run_id.and_then(|run_id| rows.get(&run_id));
                let row = row.map(|row| serde_json::from_str::<Value>(row.get())).transpose()?;
                let is_retracted = run_id.is_some_and(|run_id| retracted.contains(&run_id));
                self.compare(translated, row.as_ref(), &known, is_retracted)?;
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        translated: &Translated,
        run: Option<&Value>,
        known: &HashSet<EventId>,
        is_retracted: bool,
    ) -> anyhow::Result<()> {
        self.count(translated, run, known);
        let absent = is_retracted.then_some("its run was retracted; `runledger runs reinstate` brings it back");
        self.values(translated, run, known, absent)
    }

    /// Compares the values of old rows with the row that they have become; `absent` is why that may be missing.
    pub fn values(
        &mut self,
        translated: &Translated,
        row: Option<&Value>,
        known: &HashSet<EventId>,
        absent: Option<&str>,
    ) -> anyhow::Result<()> {
        let (values, differences) = legacy::compare(translated, row, absent);
        self.values += values as u64;
        for difference in differences {
            self.note(difference)?;
        }
        let tables: HashMap<_, _> = translated.tables.iter().copied().collect();
        for event in translated.events.iter().filter(|event| !known.contains(&event.event_id)) {
            self.values += 1;
            self.note(Difference {
                table: tables.get(&event.event_id).copied().unwrap_or_default(),
                key: event.event_id.to_string(),
                column: "event".to_owned(),
                old: event.event_type.clone(),
                new: "not in the ledger".to_owned(),
                reason: None,
            })?;
        }
        Ok(())
    }

    fn count(&mut self, translated: &Translated, run: Option<&Value>, known: &HashSet<EventId>) {
        let mut add = |table, count| *self.found.entry(table).or_default() += count;
        add(legacy::TRACE.name, u64::from(run.is_some()));
        let taken: HashSet<_> = translated.steps().collect();
        let steps = run.and_then(|run| run["steps"].as_array()).into_iter().flatten();
        let found = steps.filter(|step| step["step_id"].as_str().is_some_and(|id| taken.contains(id))).count();
        add(legacy::STEPS.name, found as u64);
        let mut others: HashMap<&'static str, u64> = HashMap::new();
        for (event_id, table) in &translated.tables {
            if ![legacy::TRACE.name, legacy::STEPS.name].contains(table) && known.contains(event_id) {
                *others.entry(table).or_default() += 1;
            }
        }
        for (table, count) in others {
            add(table, count);
        }
    }

    /// So many more rows of an old table were found again.
    pub fn found_again(&mut self, table: &'static str, rows: u64) {
        *self.found.entry(table).or_default() += rows;
    }

    /// Takes down a value that differs.
    pub fn note(&mut self, difference: Difference) -> anyhow::Result<()> {
        if let Some(report) = &mut self.report {
            report.write(&difference.fields())?;
        }
        match &difference.reason {
            Some(reason) => *self.explained.entry(reason.clone()).or_default() += 1,
            None => {
                self.unexplained += 1;
                if self.shown.len() < SHOWN_MAX {
                    self.shown.push(difference);
                }
            }
        }
        Ok(())
    }

    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.file = self.report.take().map(Report::finish).transpose()?.flatten();
        Ok(())
    }
}

async fn retracted(conn: &mut PgConnection, org_id: OrgId, run_ids: &[RunId]) -> anyhow::Result<HashSet<RunId>> {
    if run_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let runs = correction::runs_of_ids(conn, org_id, run_ids).await?;
    Ok(runs.iter().filter(|run| run.is_retracted()).map(|run| run.run_id).collect())
}
