//! `runledger migrate`: brings the schema and the stream up to date, or says what differs.

use std::process::ExitCode;

use clap::Args;
use ledger::{
    connection::Role,
    migrate::{self, Migration, MissingIndex, State},
    shared_org,
    stream::EventStream,
};
use serde_json::json;

use crate::{output, settings::Settings};

/// Apply the migrations, make the stream and publish the shared reference data where they are missing
#[derive(Args)]
pub struct Migrate {
    /// Change nothing; say what differs, and exit 1 if anything does
    #[arg(long)]
    check: bool,
    /// Print JSON, one object a migration or an index
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Owner).await?;
        if self.check {
            let mut migrations = migrate::check(&mut conn).await?;
            migrations.retain(|migration| migration.state != State::Applied);
            let indexes = migrate::missing_indexes(&mut conn).await?;
            return self.report(&migrations, &indexes);
        }
        let applied = migrate::migrate(&mut conn).await?;
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
        self.report(&applied, &[])
    }

    fn report(&self, migrations: &[Migration], indexes: &[MissingIndex]) -> anyhow::Result<ExitCode> {
        let word = |state| match state {
            State::Applied => "applied",
            State::Pending if self.check => "pending",
            State::Pending => "applied",
            State::Changed => "changed",
            State::Unknown => "unknown",
        };
        for migration in migrations {
            if self.json {
                output::json(
                    &json!({ "version": migration.version, "description": migration.description, "state": word(migration.state) }),
                )?;
            } else {
                output::print(format!(
                    "{:04} {} – {}",
                    migration.version,
                    migration.description,
                    word(migration.state)
                ))?;
            }
        }
        for MissingIndex { index, partition, .. } in indexes {
            if self.json {
                output::json(&json!({ "index": index, "partition": partition, "state": "missing" }))?;
            } else {
                output::print(format!("index {index} – missing on {partition}"))?;
            }
        }
        let differs = !(migrations.is_empty() && indexes.is_empty());
        if !differs && !self.json {
            output::print("the schema is up to date")?;
        }
        Ok(if self.check && differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
