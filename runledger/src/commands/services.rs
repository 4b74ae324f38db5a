//! `runledger ledger`, `runledger projector` and `runledger up`: the two services, alone or both in
//! one process. Start more of any of them and they share the work.

use std::{process::ExitCode, sync::Arc};

use clap::Args;
use ledger::{
    connection::{Backoff, Outage, Role},
    ingest::Ingest,
    nats::Nats,
    recent::Recent,
};
use tokio_util::sync::CancellationToken;

use crate::{service, settings::Settings};

/// Read events from the stream and append them to the ledger
#[derive(Args)]
pub struct Ledger {
    #[command(flatten)]
    keep: Keep,
}

/// Fold the ledger into the read models
#[derive(Args)]
pub struct Projector {
    #[command(flatten)]
    outdated: Outdated,
}

/// Run ledger and projector in one process
#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    keep: Keep,
    #[command(flatten)]
    outdated: Outdated,
}

#[derive(Args)]
struct Outdated {
    /// Let tables that an older version of a fold made go on serving until `runledger rebuild`; otherwise
    /// they are rebuilt by themselves, while they serve
    #[arg(long, env = "RUNLEDGER_NO_REBUILD")]
    no_rebuild: bool,
}

#[derive(Args)]
struct Keep {
    /// How many days messages stay in the stream after they were appended; 0 keeps them for ever
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    keep_days: u32,
}

impl Keep {
    fn duration(&self) -> Option<chrono::Duration> {
        (self.keep_days > 0).then(|| chrono::Duration::days(self.keep_days.into()))
    }
}

impl Ledger {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let services = Services::start(settings, true).await?;
        services.ledger(self.keep.duration(), None).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Projector {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let services = Services::start(settings, false).await?;
        services.projector(&self.outdated, None).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Up {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let services = Services::start(settings, true).await?;
        let recent = Arc::new(Recent::default());
        let ledger = services.ledger(self.keep.duration(), Some(recent.clone()));
        tokio::try_join!(ledger, services.projector(&self.outdated, Some(recent)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the services of a process share.
struct Services<'s> {
    settings: &'s Settings,
    postgres: Arc<Outage>,
    nats: Arc<Outage>,
    shutdown: CancellationToken,
}

impl<'s> Services<'s> {
    /// Ready is a service when the servers that it needs answer: PostgreSQL, and NATS if it `reads_stream`.
    async fn start(settings: &'s Settings, reads_stream: bool) -> anyhow::Result<Self> {
        let services = Self {
            settings,
            postgres: Arc::new(Outage::of("PostgreSQL")),
            nats: Arc::new(Outage::of("NATS")),
            shutdown: service::shutdown_on_signal()?,
        };
        let nats = reads_stream.then(|| services.nats.clone());
        let needed = [services.postgres.clone()].into_iter().chain(nats).collect();
        service::serve_metrics(settings.metrics_addr, needed).await?;
        Ok(services)
    }

    /// `recent` is shared with a projector of the same process.
    async fn ledger(&self, keep: Option<chrono::Duration>, recent: Option<Arc<Recent>>) -> anyhow::Result<()> {
        let database = self.settings.database(Role::Ledger)?;
        let Some(nats) = self.nats().await? else { return Ok(()) };
        tracing::info!(database = database.place(), "the ledger is running");
        let ingest = Ingest { database, nats, postgres: self.postgres.clone(), keep, recent };
        ingest.run(self.shutdown.clone()).await?;
        Ok(())
    }

    /// A service may be started before NATS is: it waits. None at shutdown.
    async fn nats(&self) -> anyhow::Result<Option<Nats>> {
        let url = self.settings.nats_url()?;
        let mut backoff = Backoff::default();
        loop {
            match Nats::connect(url, self.nats.clone()).await {
                Ok(nats) => {
                    self.nats.ended();
                    return Ok(Some(nats));
                }
                Err(error) if error.is_bad_url() => return Err(error.into()),
                Err(error) => self.nats.began(&error),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = backoff.wait() => {}
            }
        }
    }

    async fn projector(&self, outdated: &Outdated, recent: Option<Arc<Recent>>) -> anyhow::Result<()> {
        let (database, embedder) = (self.settings.database(Role::Projector)?, self.settings.embedder()?);
        tracing::info!(database = database.place(), embedder = embedder.model(), "the projector is running");
        let projector = projector::Projector::new(database, self.postgres.clone())?.embeds_with(embedder);
        let projector = match recent {
            Some(recent) => projector.follows(recent),
            None => projector,
        };
        projector.rebuilds_outdated(!outdated.no_rebuild).run(self.shutdown.clone()).await?;
        Ok(())
    }
}
