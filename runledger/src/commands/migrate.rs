//! `runledger migrate`: brings the schema and the stream up to date, or says what differs.

use std::process::ExitCode;

use clap::Args;
use ledger::{
    connection::Role,
    migrate::{self, Difference, Migration, MissingIndex, State},
    shared_org,
    stream::EventStream,
};
use serde_json::json;
use sqlx::PgConnection;

use crate::{output, settings::Settings};

/// Apply the migrations, make the stream and publish the shared reference data where they are missing
#[derive(Args)]
pub struct Migrate {
    /// Change nothing; say what in the schema differs from what the migrations make, and exit 1 if anything does
    #[arg(long)]
    check: bool,
    /// Print what the schema of a freshly migrated database is, as --check expects it (for whoever writes a migration)
    #[arg(long, hide = true, conflicts_with_all = ["check", "json"])]
    describe: bool,
    /// Print JSON, one object a migration, an index or a difference
    #[arg(long)]
    json: bool,
}

/// What there is to tell.
#[derive(Default)]
struct Report {
    migrations: Vec<Migration>,
    indexes: Vec<MissingIndex>,
    differences: Vec<Difference>,
}

impl Migrate {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Owner).await?;
        if self.check {
            return self.report(&check(&mut conn).await?);
        }
        if self.describe {
            output::print(migrate::describe(&mut conn).await?.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let migrations = migrate::migrate(&mut conn).await?;
        if settings.given_nats_url.is_some() {
            let client = settings.connect_to_nats().await?;
            EventStream::ensure(&client).await?;
            let published = shared_org::publish_missing(&mut settings.connect(Role::Ledger).await?, client).await?;
            if published > 0 {
                tracing::info!(
                    events = published,
                    "published the reference data of the shared org that the ledger lacked"
                );
            }
        }
        self.report(&Report { migrations, ..Report::default() })
    }

    fn report(&self, Report { migrations, indexes, differences }: &Report) -> anyhow::Result<ExitCode> {
        for migration in migrations {
            self.print_migration(migration)?;
        }
        for MissingIndex { index, partition, .. } in indexes {
            if self.json {
                output::json(&json!({ "index": index, "partition": partition, "state": "missing" }))?;
            } else {
                output::print(format!("index {index} – missing on {partition}"))?;
            }
        }
        for difference in differences {
            self.print_difference(difference)?;
        }
        let differs = !(migrations.is_empty() && indexes.is_empty() && differences.is_empty());
        if !differs && !self.json {
            output::print("the schema is up to date")?;
        }
        Ok(if self.check && differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn print_migration(&self, migration: &Migration) -> anyhow::Result<()> {
        let Migration { version, description, state } = migration;
        let state = match state {
            State::Pending if self.check => "pending",
            State::Applied | State::Pending => "applied",
            State::Changed => "changed",
            State::Unknown => "unknown",
        };
        if self.json {
            return output::json(&json!({ "version": version, "description": description, "state": state }));
        }
        Ok(output::print(format!("{version:04} {description} – {state}"))?)
    }

    fn print_difference(&self, difference: &Difference) -> anyhow::Result<()> {
        let Difference { kind, object, expected, found } = difference;
        let state = difference.state();
        if self.json {
            return output::json(
                &json!({ "kind": kind, "object": object, "state": state, "expected": expected, "found": found }),
            );
        }
        output::print(format!("{kind} {} – {state}", output::printable(object)))?;
        for (whose, definition) in [("expected", expected), ("found", found)] {
            if let Some(definition) = definition {
                output::print(format!("  {whose:8}  {}", output::printable(definition)))?;
            }
        }
        Ok(())
    }
}

async fn check(conn: &mut PgConnection) -> anyhow::Result<Report> {
    let mut migrations = migrate::check(conn).await?;
    // Of a database in between, or of a newer version, it is clear that it is another.
    let is_comparable = migrations.iter().all(|it| matches!(it.state, State::Applied | State::Changed));
    migrations.retain(|migration| migration.state != State::Applied);
    let indexes = migrate::missing_indexes(conn).await?;
    let differences = if is_comparable {
        migrate::differences(conn).await?
    } else {
        tracing::info!("the schema itself is compared once it has the migrations of this version of runledger");
        Vec::new()
    };
    Ok(Report { migrations, indexes, differences })
}
