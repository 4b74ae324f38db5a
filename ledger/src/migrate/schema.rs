//! The schema as a list of what is in it, an object a line, by which two databases can be compared. What the
//! migrations make is committed as `schema.txt`; a test fails when they make something else.
//!
//! What services make while they run is compared too: each partition of `ledger.event` with the one that
//! `ledger.make_partition` makes, and tables that a rebuild has exchanged with those of the migrations. Tables that
//! stand beside the schema for a while may look as they like, as long as nobody reads them who should not.
//! Called by `migrate --check`.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use sqlx::{Connection, PgConnection, query, query_file_as, query_scalar};
use uuid::Uuid;

use super::indexes;
use comparison::Comparison;

mod comparison;

/// What the migrations make, as [`describe`] writes it.
const EXPECTED: &str = include_str!("schema.txt");
/// Nobody's org, for a partition to describe.
const NOBODY: Uuid = Uuid::from_u128(0xffff_ffff_ffff_4fff_bfff_ffff_ffff_ffff);
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// Something that is not as the migrations make it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Difference {
    /// Its name in full, as `public.user_workflow_run.status`.
    pub object: String,
    /// What it is: `table`, `column`, `index`, `policy`, `grant` …
    pub kind: String,
    /// What the migrations make of it; none if they make no such thing.
    pub expected: Option<String>,
    /// What it is in the database; none if it is missing.
    pub found: Option<String>,
}

/// Something in a database.
#[derive(Clone, Debug)]
struct Object {
    kind: String,
    object: String,
    /// What it is part of, itself perhaps.
    relation: String,
    /// The partition of `ledger.event` that it is part of, which `object` and `relation` call `event_ORG`.
    partition: Option<String>,
    definition: String,
}

/// What is not as the migrations make it, in a database that has all of them. Changes nothing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn differences(conn: &mut PgConnection) -> Result<Vec<Difference>, sqlx::Error> {
    let seen = look(conn).await?;
    if seen.is_empty() {
        return Ok(seen);
    }
    // PostgreSQL lists what there was when the statement began and writes each definition as it is by then: an
    // exchange of tables between the two looks like a difference.
    tokio::time::sleep(SECOND_LOOK).await;
    let again: HashSet<_> = look(conn).await?.into_iter().collect();
    Ok(seen.into_iter().filter(|difference| again.contains(difference)).collect())
}

async fn look(conn: &mut PgConnection) -> Result<Vec<Difference>, sqlx::Error> {
    let mut tables = generation_tables(conn).await?;
    let objects = objects(conn).await?;
    // Those that came meanwhile, or went, are of a generation too.
    tables.append(&mut generation_tables(conn).await?);
    let mut comparison = Comparison::with(EXPECTED, &tables);
    for object in objects {
        comparison.add(object);
    }
    Ok(comparison.differences(&indexes::missing(conn).await?))
}

/// Tables of generations that do not serve.
async fn generation_tables(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let known = query_scalar!(
        r#"SELECT to_regclass('ledger.generation') IS NOT NULL AND to_regclass('ledger.read_model') IS NOT NULL AS "known!""#
    );
    // Whose absence is a difference, not a failure.
    if !known.fetch_one(&mut *conn).await? {
        return Ok(Vec::new());
    }
    query_scalar!(
        r#"SELECT place || '.' || table_name AS "name!" FROM ledger.generation JOIN ledger.read_model USING (projection)
           WHERE place <> 'public'"#
    )
    .fetch_all(conn)
    .await
}

async fn objects(conn: &mut PgConnection) -> Result<Vec<Object>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    query("SET LOCAL search_path = pg_catalog").execute(&mut *tx).await?;
    let objects = query_file_as!(Object, "src/migrate/describe.sql").fetch_all(&mut *tx).await?;
    tx.rollback().await?;
    Ok(objects)
}

/// What stands in a freshly migrated database, as lines `kind | object | definition`. Makes a partition to describe,
/// and takes it back.
///
/// # Errors
/// When PostgreSQL fails, or migrations are missing.
pub async fn describe(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    let mut tx = conn.begin().await?;
    query!("SELECT ledger.make_partition($1)", NOBODY).execute(&mut *tx).await?;
    let mut objects = objects(&mut tx).await?;
    tx.rollback().await?;
    let partition = format!("event_{}", NOBODY.simple());
    objects.retain(|it| it.partition.as_ref().is_none_or(|of| *of == partition));
    let lines: BTreeSet<_> =
        objects.iter().map(|it| format!("{} | {} | {}\n", it.kind, it.object, it.definition)).collect();
    Ok(lines.into_iter().collect())
}
