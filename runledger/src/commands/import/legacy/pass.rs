//! One pass over the old tables: pages of translated traces, and the count of what went by.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
};

use events::id::{EventId, OrgId};
use ledger::read;
use sqlx::PgConnection;

use crate::{
    legacy::{self, Item, Reject, Report, TABLES, Table, Target, Traces, Translated},
    progress::Progress,
};

/// A page ends with the trace that makes it so long …
const EVENTS_A_PAGE: usize = 2_000;
/// … or so large …
const BYTES_A_PAGE: usize = 8 << 20;
/// … or that makes them so many, some of which may have been rejected.
const TRACES_A_PAGE: usize = 500;

/// What went by of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    pub read: u64,
    pub rejected: u64,
}

/// What went by.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// In the order of the tables.
    pub rows: Vec<(&'static str, Rows)>,
    /// Rows that were not taken, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Values and events that rows were taken without, by code.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Traces of orgs that are not mapped.
    pub unmapped_orgs: BTreeMap<String, u64>,
    /// Traces of no org.
    pub without_org: u64,
    /// Events, by type.
    pub events: BTreeMap<String, u64>,
}

impl Tally {
    /// Nothing of these tables has gone by.
    pub fn of(tables: &[&'static Table]) -> Self {
        Self { rows: tables.iter().map(|table| (table.name, Rows::default())).collect(), ..Self::default() }
    }

    fn of_table(&mut self, table: &str) -> Option<&mut Rows> {
        self.rows.iter_mut().find(|(name, _)| *name == table).map(|(_, rows)| rows)
    }

    pub fn read(&mut self, table: &str) {
        if let Some(rows) = self.of_table(table) {
            rows.read += 1;
        }
    }

    pub fn reject(&mut self, reject: &Reject) {
        let of_code = if reject.part.is_some() { &mut self.left_out } else { &mut self.rejected };
        *of_code.entry(reject.code).or_default() += 1;
        if let (None, Some(rows)) = (&reject.part, self.of_table(reject.table)) {
            rows.rejected += 1;
        }
    }
}

/// Some traces.
#[derive(Default)]
pub struct Page {
    pub traces: Vec<Translated>,
}

impl Page {
    /// Which of its events the ledger has already.
    pub async fn events_known(&self, conn: &mut PgConnection) -> anyhow::Result<HashSet<EventId>> {
        let mut of_org: HashMap<OrgId, Vec<EventId>> = HashMap::new();
        for event in self.traces.iter().flat_map(|translated| &translated.events) {
            of_org.entry(event.org_id).or_default().push(event.event_id);
        }
        let mut known = HashSet::new();
        for (org_id, event_ids) in of_org {
            known.extend(read::events_known(conn, org_id, &event_ids).await?);
        }
        Ok(known)
    }
}

/// A pass under way.
pub struct Pass<'a> {
    target: &'a Target,
    traces: Traces<'a>,
    tally: Tally,
    rejects: Option<Report>,
    progress: Progress,
}

impl<'a> Pass<'a> {
    /// Rejects go to the file, if one is given.
    pub fn begin(target: &'a Target, traces: Traces<'a>, rejects: Option<PathBuf>, progress: Progress) -> Self {
        let rejects = rejects.map(|path| Report::new(path, &Reject::COLUMNS));
        Self { target, traces, tally: Tally::of(&TABLES), rejects, progress }
    }

    /// The next traces; none when all have gone by.
    pub async fn page(&mut self) -> anyhow::Result<Option<Page>> {
        let (mut page, mut events, mut bytes) = (Page::default(), 0, 0);
        while page.traces.len() < TRACES_A_PAGE && events < EVENTS_A_PAGE && bytes < BYTES_A_PAGE {
            let Some(item) = self.traces.next().await? else {
                return Ok((!page.traces.is_empty()).then_some(page));
            };
            let translated = match item {
                Item::Trace(trace) => self.translate(&trace)?,
                Item::Orphan(row) => {
                    let of = row
                        .trace_id()
                        .map_or_else(|| "its trace_id is null".to_owned(), |id| format!("there is no trace {id}"));
                    self.alone(row.table.name, row.reject("orphan", of))?;
                    continue;
                }
                Item::NoTrace(row, code, reason) => {
                    self.alone(row.table.name, row.reject(code, reason))?;
                    continue;
                }
            };
            events += translated.events.len();
            bytes += translated.events.iter().map(|event| event.data.len()).sum::<usize>();
            page.traces.push(translated);
        }
        Ok(Some(page))
    }

    fn translate(&mut self, trace: &legacy::Trace) -> anyhow::Result<Translated> {
        let mut rows = 0;
        for row in trace.rows() {
            self.tally.read(row.table.name);
            rows += 1;
        }
        self.progress.add(rows);
        let translated = legacy::translate(self.target, trace)?;
        match legacy::unmapped_org(self.target, trace) {
            Some(Some(old_org)) => *self.tally.unmapped_orgs.entry(old_org).or_default() += 1,
            Some(None) => self.tally.without_org += 1,
            None => {}
        }
        for reject in &translated.rejects {
            self.reject(reject)?;
        }
        for event in &translated.events {
            *self.tally.events.entry(event.event_type.clone()).or_default() += 1;
        }
        Ok(translated)
    }

    fn alone(&mut self, table: &str, reject: Reject) -> anyhow::Result<()> {
        self.tally.read(table);
        self.progress.add(1);
        self.reject(&reject)
    }

    fn reject(&mut self, reject: &Reject) -> anyhow::Result<()> {
        self.tally.reject(reject);
        if let Some(rejects) = &mut self.rejects {
            rejects.write(&reject.fields())?;
        }
        Ok(())
    }

    /// What went by, and the rejects file if there is one.
    pub fn finish(self) -> anyhow::Result<(Tally, Option<PathBuf>)> {
        self.progress.finish();
        let rejects = self.rejects.map(Report::finish).transpose()?.flatten();
        Ok((self.tally, rejects))
    }
}
