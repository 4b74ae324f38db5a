//! Comparing: the rebuilt rows of an org with those that serve, both at the same seq, at one moment.
//!
//! The org's projection is held still for the last few events only; the comparison itself reads a snapshot.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use events::id::{OrgId, Seq};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, query_scalar};
use tokio::sync::mpsc;

use super::{Making, Phase, RebuildError, Rebuilt, Run, swap::is_lock_timeout};
use crate::{
    checkpoint::{self, Version},
    generation::{MAKING, SERVING, Target},
};

/// What came out for a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The table.
    pub table: &'static str,
    /// Rows that are the same.
    pub equal: u64,
    /// Rows that differ.
    pub differing: u64,
    /// Rows that the events make and that were not there.
    pub missing: u64,
    /// Rows that were there and that no event makes.
    pub extra: u64,
}

impl Compared {
    /// Rows that are not the same.
    pub fn differences(&self) -> u64 {
        self.differing + self.missing + self.extra
    }
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Columns have other values.
    Differing,
    /// The events make it and it was not there.
    Missing,
    /// It was there and no event makes it.
    Extra,
}

/// A row that is not what the events make.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// How.
    pub kind: Kind,
    /// The ids of the row: the columns of the primary key.
    pub key: BTreeMap<String, Box<RawValue>>,
    /// The columns that differ, in their order; of a missing or extra row, all.
    pub columns: Vec<ColumnDifference>,
}

/// A column of a row that differs; the values as JSON, as PostgreSQL writes it: numbers are exact.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnDifference {
    /// Its name.
    pub column: String,
    /// What stood in the serving table.
    pub serving: Box<RawValue>,
    /// What the events make.
    pub rebuilt: Box<RawValue>,
}

/// What tasks report.
enum Found {
    Difference(Difference),
    /// Of the table at this place: how many rows the events make.
    Rows(usize, u64),
    NotCompared,
}

/// Compares every org, and mends the rows of the one that is meant, if only one is.
pub async fn compare(
    run: &Arc<Run>,
    place: usize,
    on_difference: &mut (impl FnMut(Difference) + Send),
) -> Result<Rebuilt, RebuildError> {
    let making = &run.making[place];
    let orgs = run.orgs().await?;
    run.progress.enter(Phase::Compare, orgs.len() as u64);
    let (sender, mut receiver) = mpsc::channel(1_000);
    let comparing = run.for_each(orgs, move |run, (org_id, _)| {
        let sender = sender.clone();
        async move {
            compare_org(&run, place, org_id, &sender).await?;
            run.progress.add(1);
            Ok(())
        }
    });
    let mut rebuilt = Rebuilt::of(making);
    let collecting = async {
        while let Some(found) = receiver.recv().await {
            rebuilt.count(found, on_difference);
        }
    };
    let (compared, ()) = tokio::join!(comparing, collecting);
    compared?;
    for table in &mut rebuilt.tables {
        table.equal -= table.differing + table.missing;
    }
    Ok(rebuilt)
}

impl Rebuilt {
    fn count(&mut self, found: Found, on_difference: &mut impl FnMut(Difference)) {
        match found {
            Found::Rows(table, rows) => self.tables[table].equal += rows,
            Found::NotCompared => self.orgs_not_compared += 1,
            Found::Difference(difference) => {
                if let Some(table) = self.tables.iter_mut().find(|table| table.table == difference.table) {
                    *match difference.kind {
                        Kind::Differing => &mut table.differing,
                        Kind::Missing => &mut table.missing,
                        Kind::Extra => &mut table.extra,
                    } += 1;
                }
                on_difference(difference);
            }
        }
    }
}

async fn compare_org(run: &Run, place: usize, org_id: OrgId, found: &mpsc::Sender<Found>) -> Result<(), RebuildError> {
    let Making { projection, serving, tables, .. } = &run.making[place];
    let mut conn = run.pool.acquire().await?;
    let serving = checkpoint::position(&mut conn, projection.name, serving.generation, org_id).await?;
    drop(conn);
    run.catch_up(tables, org_id, Some(serving.unwrap_or(Seq::ZERO))).await?;
    let deadline = Instant::now() + run.order.wait_max;
    loop {
        match try_to_compare_org(run, place, org_id, found).await {
            // Nothing was found yet. New texts may come faster than they are embedded.
            Err(error) if Instant::now() < deadline => run.embed_lacking(error).await?,
            compared => return compared,
        }
    }
}

async fn try_to_compare_org(
    run: &Run,
    place: usize,
    org_id: OrgId,
    found: &mpsc::Sender<Found>,
) -> Result<(), RebuildError> {
    let making = &run.making[place];
    let name = making.projection.name;
    let mut conn = run.pool.acquire().await?;
    let mut holder = run.pool.acquire().await?;
    // Most of the way without holding anybody up.
    let serving = checkpoint::position(&mut conn, name, making.serving.generation, org_id).await?.unwrap_or(Seq::ZERO);
    making.tables.catch_up(&mut conn, org_id, Some(serving), &run.lookups).await?;
    if let Some(kept) = &making.kept
        && making.tables.position(&mut conn, org_id).await? > serving
    {
        kept.catch_up(&mut conn, org_id, None, &run.lookups).await?;
    }
    let of = Version { projection: name, version: making.serving.version };
    checkpoint::create(&mut holder, of, Target::Generation(making.serving.generation), org_id).await?;
    let mut hold = holder.begin_with("BEGIN; SET LOCAL lock_timeout = '1min'").await?;
    let held = checkpoint::hold(&mut hold, name, making.serving.generation, org_id).await;
    let serving = held.map_err(|error| match is_lock_timeout(&error) {
        true => RebuildError::Stalled { projection: name, org_id, at: serving },
        false => error.into(),
    })?;
    let serving = serving.unwrap_or(Seq::ZERO);
    if let Err(error) = making.tables.catch_up(&mut conn, org_id, Some(serving), &run.lookups).await {
        hold.rollback().await?;
        return Err(error);
    }
    if making.tables.position(&mut conn, org_id).await? != serving {
        let _ = found.send(Found::NotCompared).await;
        return Ok(hold.rollback().await?);
    }
    let mut snapshot = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    // The first query takes the snapshot.
    query_scalar!("SELECT true").fetch_one(&mut *snapshot).await?;
    let mends = run.order.only_org.is_some() && !run.order.dry_run;
    if !mends {
        hold.rollback().await?;
        for (place, table) in making.projection.tables.iter().enumerate() {
            compare_table(&mut snapshot, place, table, org_id, found).await?;
        }
        return Ok(snapshot.rollback().await?);
    }
    for (place, table) in making.projection.tables.iter().enumerate() {
        compare_table(&mut snapshot, place, table, org_id, found).await?;
        mend(&mut hold, table, org_id).await?;
    }
    snapshot.rollback().await?;
    Ok(hold.commit().await?)
}

/// The names of a table's columns, and of those of its primary key, quoted.
struct Columns {
    all: Vec<String>,
    key: Vec<String>,
}

impl Columns {
    async fn of(conn: &mut PgConnection, table: &str) -> Result<Self, sqlx::Error> {
        let columns = sqlx::query!(
            r#"SELECT attname AS "name!: String", quote_ident(attname) AS "quoted!", coalesce(attnum = ANY(indkey), false) AS "is_key!"
               FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
               WHERE attrelid = to_regclass('public.' || quote_ident($1)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"#,
            table
        )
        .fetch_all(conn)
        .await?;
        let key = columns.iter().filter(|column| column.is_key).map(|column| column.quoted.clone()).collect();
        Ok(Self { all: columns.into_iter().map(|column| column.quoted).collect(), key })
    }

    /// `left.a, left.b, …`
    fn listed(&self, prefix: &str) -> String {
        self.all.iter().map(|column| format!("{prefix}.{column}")).collect::<Vec<_>>().join(", ")
    }

    /// `left.a = right.a AND …` over the key.
    fn same_key(&self, left: &str, right: &str) -> String {
        self.key.iter().map(|column| format!("{left}.{column} = {right}.{column}")).collect::<Vec<_>>().join(" AND ")
    }
}

/// Rows are compared by their bytes: to `=`, 1.0 and 1.00 in a JSON value are the same.
async fn compare_table(
    conn: &mut PgConnection,
    place: usize,
    table: &'static str,
    org_id: OrgId,
    found: &mpsc::Sender<Found>,
) -> Result<(), RebuildError> {
    use futures::StreamExt;
    let columns = Columns::of(conn, table).await?;
    let rows = format!("SELECT count(*) FROM {MAKING}.{table} WHERE org_id = $1");
    let rows: i64 = query_scalar(AssertSqlSafe(rows)).bind(org_id).fetch_one(&mut *conn).await?;
    let _ = found.send(Found::Rows(place, rows as u64)).await;
    let differences = format!(
        "SELECT to_json(serving)::text AS serving, to_json(rebuilt)::text AS rebuilt
         FROM (SELECT {names} FROM {SERVING}.{table} WHERE org_id = $1) AS serving
         FULL JOIN (SELECT {names} FROM {MAKING}.{table} WHERE org_id = $1) AS rebuilt ON {same_key}
         WHERE serving.org_id IS NULL OR rebuilt.org_id IS NULL OR serving *<> rebuilt",
        names = columns.all.join(", "),
        same_key = columns.same_key("serving", "rebuilt"),
    );
    let mut differing = sqlx::query(AssertSqlSafe(differences)).bind(org_id).fetch(conn);
    while let Some(row) = differing.next().await {
        let row = row?;
        let difference = Difference::of(table, &columns, row.try_get("serving")?, row.try_get("rebuilt")?)?;
        let _ = found.send(Found::Difference(difference)).await;
    }
    Ok(())
}

impl Difference {
    fn of(
        table: &'static str,
        columns: &Columns,
        serving: Option<String>,
        rebuilt: Option<String>,
    ) -> Result<Self, sqlx::Error> {
        type Values = BTreeMap<String, Box<RawValue>>;
        let read = |row: Option<String>| -> Result<Option<Values>, sqlx::Error> {
            row.map(|row| serde_json::from_str(&row).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
        };
        let (serving, rebuilt) = (read(serving)?, read(rebuilt)?);
        let kind = match (&serving, &rebuilt) {
            (None, _) => Kind::Missing,
            (_, None) => Kind::Extra,
            _ => Kind::Differing,
        };
        let value = |row: &Option<Values>, column: &str| {
            row.as_ref().and_then(|row| row.get(column)).cloned().unwrap_or_else(|| RawValue::NULL.to_owned())
        };
        let unquoted = |column: &String| column.trim_matches('"').replace("\"\"", "\"");
        let mut difference = Self { table, kind, key: BTreeMap::new(), columns: Vec::new() };
        for column in columns.all.iter().map(unquoted) {
            let (serving, rebuilt) = (value(&serving, &column), value(&rebuilt, &column));
            if columns.key.iter().map(unquoted).any(|key| key == column) {
                difference.key.insert(column, if kind == Kind::Missing { rebuilt } else { serving });
            } else if serving.get() != rebuilt.get() {
                difference.columns.push(ColumnDifference { column, serving, rebuilt });
            }
        }
        Ok(difference)
    }
}

/// Makes the org's serving rows those that the events make, touching only what differs.
async fn mend(conn: &mut PgConnection, table: &str, org_id: OrgId) -> Result<(), RebuildError> {
    let columns = Columns::of(conn, table).await?;
    let same_key = columns.same_key("serving", "rebuilt");
    let delete = format!(
        "DELETE FROM {SERVING}.{table} AS serving WHERE org_id = $1 AND NOT EXISTS (
             SELECT FROM {MAKING}.{table} AS rebuilt
             WHERE {same_key} AND (SELECT it FROM (SELECT {left}) AS it) *= (SELECT it FROM (SELECT {right}) AS it))",
        left = columns.listed("serving"),
        right = columns.listed("rebuilt"),
    );
    let insert = format!(
        "INSERT INTO {SERVING}.{table} ({names}) SELECT {names} FROM {MAKING}.{table} AS rebuilt
         WHERE org_id = $1 AND NOT EXISTS (SELECT FROM {SERVING}.{table} AS serving WHERE {same_key})",
        names = columns.all.join(", "),
    );
    sqlx::query(AssertSqlSafe(delete)).bind(org_id).execute(&mut *conn).await?;
    sqlx::query(AssertSqlSafe(insert)).bind(org_id).execute(conn).await?;
    Ok(())
}
