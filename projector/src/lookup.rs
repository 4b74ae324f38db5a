//! The lookup tables, all of them: `channel_type_lu` and the others whose names end in `_lu`. The subject is the
//! org whose values they are; the shared org's are everyone's.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::OrgId,
    payload::{LookupTable, LookupValueAdded},
};
use sqlx::{PgConnection, query};

use crate::{
    copy::{Column, Copy},
    fold::{Latest, Span},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
    write::column,
};

/// A value: where it stands, and its code.
type Key = (LookupTable, String);

/// The values of an org.
#[derive(Debug, Default)]
pub struct Lookup {
    values: BTreeMap<Key, Value>,
    changed: BTreeSet<Key>,
    weight: usize,
}

/// What the events of a value say: its label and its place in lists, the latest of both.
#[derive(Debug, Default)]
struct Value {
    span: Span,
    shown: Latest<(String, i32)>,
}

/// A row of one of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct LookupRow {
    pub table: LookupTable,
    pub org_id: OrgId,
    pub code: String,
    pub label: String,
    pub sort: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &[Column<LookupRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("code", |row, value| value.text(row.code.as_str())),
    ("label", |row, value| value.text(row.label.as_str())),
    ("sort", |row, value| value.int(row.sort)),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

/// Each lookup table, with the statement that inserts or replaces its rows.
macro_rules! tables {
    ($($variant:ident = $table:literal)+) => {
        const TABLES: &[&str] = &[$($table),+];

        async fn upsert(table: LookupTable, rows: &[LookupRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
            let (org_ids, codes) = (column(rows, |row| row.org_id.uuid()), column(rows, |row| row.code.as_str()));
            let (labels, sorts) = (column(rows, |row| row.label.as_str()), column(rows, |row| row.sort));
            let (created, updated) = (column(rows, |row| row.created_at), column(rows, |row| row.updated_at));
            match table {$(
                LookupTable::$variant => query!(
                    "INSERT INTO " + $table + " (org_id, code, label, sort, created_at, updated_at)
                     SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[])
                     ON CONFLICT (org_id, code) DO UPDATE SET
                         label = excluded.label, sort = excluded.sort, created_at = excluded.created_at, updated_at = excluded.updated_at",
                    &org_ids, &codes as _, &labels as _, &sorts, &created, &updated
                )
                .execute(conn)
                .await
                .map(drop),
            )+}
        }
    };
}

tables! {
    ChannelAuthType = "channel_auth_type_lu"
    ChannelType = "channel_type_lu"
    JobStatus = "job_status_lu"
    OrgType = "org_type_lu"
    TaskAction = "task_action_lu"
    TaskDomain = "task_domain_lu"
    WorkflowStatus = "workflow_status_lu"
}

impl Projection for Lookup {
    const NAME: &'static str = "lookup";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = TABLES;
    const FAMILIES: &'static [&'static str] = &["lookup"];
    const TYPES: &'static [&'static str] = &["lookup.value_added"];
    type Rows = Vec<LookupRow>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        let Content::Payload(payload) = event.content else { return };
        let Payload::LookupValueAdded(LookupValueAdded { lookup, code, label, sort }) = *payload else { return };
        let key: Key = (lookup, code.into());
        let value = self.values.entry(key.clone()).or_insert_with(|| {
            self.weight += size_of::<(Key, Value)>() + event.data.len();
            Value::default()
        });
        value.span.include(event.stamp.time);
        value.shown.offer(event.stamp, (label.into(), sort.unwrap_or(0)));
        self.changed.insert(key);
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Self::Rows) -> usize {
        let changed = std::mem::take(&mut self.changed);
        // The door sees to it. Two subjects must not write one row.
        if subject.subject_id != subject.org_id.subject() {
            return 0;
        }
        let before = rows.len();
        rows.extend(changed.into_iter().filter_map(|key| self.row(subject.org_id, key)));
        rows[before..].iter().map(|row| size_of::<LookupRow>() + row.code.len() + row.label.len()).sum()
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.weight
    }

    fn copy(rows: &Self::Rows) -> Vec<Copy> {
        let copies = of_tables(rows).into_iter().map(|(table, rows)| Copy::of(table.as_str(), COLUMNS, &rows));
        copies.collect()
    }

    async fn write(rows: &Self::Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        for (table, rows) in of_tables(rows) {
            upsert(table, &rows, conn).await?;
        }
        Ok(())
    }
}

impl Lookup {
    fn row(&self, org_id: OrgId, (table, code): Key) -> Option<LookupRow> {
        let value = self.values.get(&(table, code.clone()))?;
        let (created_at, updated_at) = value.span.bounds()?;
        let (label, sort) = value.shown.get()?.clone();
        Some(LookupRow { table, org_id, code, label, sort, created_at, updated_at })
    }
}

/// The rows by their tables.
fn of_tables(rows: &[LookupRow]) -> BTreeMap<LookupTable, Vec<LookupRow>> {
    let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        tables.entry(row.table).or_default().push(row.clone());
    }
    tables
}

#[cfg(test)]
mod tests;
