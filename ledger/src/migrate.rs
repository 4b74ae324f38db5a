//! The schema: applies the migrations, or says what differs from them.

use std::collections::HashMap;

use sqlx::{
    PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
};

mod indexes;
mod schema;
pub(crate) mod shape;

pub use indexes::{MissingIndex, missing as missing_indexes};
pub use schema::{Difference, describe, differences};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A database that cannot hold every character.
    #[error(
        "the database's encoding is {0}; runledger needs UTF8: create it with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding(String),
    /// A migration failed; those before it were applied.
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[from] MigrateError),
    /// The migrations were applied; indexes that they want are not all there yet.
    #[error("an index of the ledger cannot be built, run `runledger migrate` again to go on: {0}")]
    Indexes(#[source] sqlx::Error),
    /// PostgreSQL failed.
    #[error("the database cannot be asked for its migrations: {0}")]
    Database(#[from] sqlx::Error),
}

/// How a migration of this binary stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Applied as this binary has it.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied with another content.
    Changed,
    /// Applied by a newer binary; this one does not know it.
    Unknown,
}

/// A migration and how it stands.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it is for.
    pub description: String,
    /// How it stands.
    pub state: State,
}

/// Applies what is pending and says what that was. Two at once wait for each other.
///
/// # Errors
/// When the database is not UTF8, or a migration fails.
pub async fn migrate(conn: &mut PgConnection) -> Result<Vec<Migration>, MigrationError> {
    let encoding = sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!""#)
        .fetch_one(&mut *conn)
        .await?;
    if encoding != "UTF8" {
        return Err(MigrationError::Encoding(encoding));
    }
    let is_done = check(conn).await?.iter().all(|migration| migration.state == State::Applied);
    if is_done && missing_indexes(conn).await?.is_empty() {
        return Ok(Vec::new());
    }
    shape::lock(conn).await?;
    let applied = apply(conn).await;
    shape::unlock(conn).await?;
    applied
}

async fn apply(conn: &mut PgConnection) -> Result<Vec<Migration>, MigrationError> {
    let pending: Vec<Migration> =
        check(conn).await?.into_iter().filter(|migration| migration.state == State::Pending).collect();
    MIGRATOR.run_direct(None, conn, false).await?;
    indexes::build(conn).await.map_err(MigrationError::Indexes)?;
    Ok(pending)
}

/// How every migration stands. Changes nothing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn check(conn: &mut PgConnection) -> Result<Vec<Migration>, MigrationError> {
    let table: &str = "_sqlx_migrations";
    let recorded = sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "recorded!""#, table)
        .fetch_one(&mut *conn)
        .await?;
    let mut applied = HashMap::new();
    if recorded {
        applied.extend(
            conn.list_applied_migrations(table)
                .await?
                .into_iter()
                .map(|migration| (migration.version, migration.checksum)),
        );
    }
    let mut migrations: Vec<Migration> = MIGRATOR
        .iter()
        .map(|ours| Migration {
            version: ours.version,
            description: ours.description.to_string(),
            state: match applied.remove(&ours.version) {
                None => State::Pending,
                Some(checksum) if checksum == ours.checksum => State::Applied,
                Some(_) => State::Changed,
            },
        })
        .collect();
    migrations.extend(applied.into_keys().map(|version| Migration {
        version,
        description: "not known to this version of runledger".to_owned(),
        state: State::Unknown,
    }));
    migrations.sort_by_key(|migration| migration.version);
    Ok(migrations)
}
