//! Where things are: from flags, then the environment, then `runledger.toml` in the working directory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use events::id::OrgId;
use ledger::{
    connection::{Database, Outage, Role},
    nats,
};
use projector::embedding::{AlikeFrom, Embedder, Hashing, Http, HttpOptions, Supplied};
use serde::Deserialize;
use sqlx::PgConnection;

/// Flags that every command takes.
#[derive(Args)]
pub struct Flags {
    /// PostgreSQL, e.g. postgres://user:password@host:5432/database
    #[arg(
        long,
        global = true,
        help_heading = "Settings",
        env = "RUNLEDGER_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_url: Option<String>,
    /// NATS with JetStream, e.g. nats://host:4222
    #[arg(
        long,
        global = true,
        help_heading = "Settings",
        env = "RUNLEDGER_NATS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    nats_url: Option<String>,
    /// How logs are written to stderr
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Where a service answers /metrics, /health/live and /health/ready, e.g. 0.0.0.0:9090
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_METRICS_ADDR", value_name = "ADDRESS")]
    metrics_addr: Option<std::net::SocketAddr>,
    /// What makes embeddings of screens: `hashing` needs nothing, `supplied` takes those that events bring, `http` asks
    /// a server, `bert` computes them by a model in a directory
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_EMBEDDER", value_name = "EMBEDDER")]
    embedder: Option<EmbedderKind>,
    /// That server: http://host:8080/v1/embeddings as OpenAI has it, or http://host:8080/embed of
    /// text-embeddings-inference
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_EMBEDDER_URL", value_name = "URL")]
    embedder_url: Option<String>,
    /// The model that it has: embeddings are known by its name
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_EMBEDDER_MODEL", value_name = "NAME")]
    embedder_model: Option<String>,
    /// The directory of that model: config.json, tokenizer.json, model.safetensors
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_EMBEDDER_DIR", value_name = "DIR")]
    embedder_dir: Option<PathBuf>,
    /// What the server is shown as a bearer token
    #[arg(
        long,
        global = true,
        help_heading = "Settings",
        env = "RUNLEDGER_EMBEDDER_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    embedder_token: Option<String>,
    /// From which cosine similarity on screens are of one kind, from 0 to 1 [default: what suits the embedder]
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_ALIKE_FROM", value_name = "SIMILARITY")]
    alike_from: Option<f32>,
    /// Settings file [default: runledger.toml, if it is there]
    #[arg(long, global = true, help_heading = "Settings", env = "RUNLEDGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What makes embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EmbedderKind {
    /// Feature hashing: lexical.
    #[default]
    Hashing,
    /// Whoever sends the events.
    Supplied,
    /// A server.
    Http,
    /// A model of the BERT family in a directory.
    Bert,
}

/// What `runledger.toml` may hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database_url: Option<String>,
    nats_url: Option<String>,
    log_format: Option<LogFormat>,
    metrics_addr: Option<std::net::SocketAddr>,
    embedder: Option<EmbedderKind>,
    embedder_url: Option<String>,
    embedder_model: Option<String>,
    embedder_token: Option<String>,
    embedder_dir: Option<PathBuf>,
    alike_from: Option<f32>,
}

/// The settings of this invocation.
#[derive(Clone)]
pub struct Settings {
    pub given_database_url: Option<String>,
    pub given_nats_url: Option<String>,
    pub log_format: LogFormat,
    pub metrics_addr: Option<std::net::SocketAddr>,
    pub embedder: EmbedderKind,
    pub embedder_url: Option<String>,
    pub embedder_model: Option<String>,
    pub embedder_token: Option<String>,
    pub embedder_dir: Option<PathBuf>,
    pub alike_from: Option<f32>,
}

impl Settings {
    /// Flags and environment (clap has joined them) over the file.
    pub fn resolve(flags: Flags) -> anyhow::Result<Self> {
        let file = read(flags.config.as_deref())?;
        Ok(Self {
            given_database_url: flags.database_url.or(file.database_url),
            given_nats_url: flags.nats_url.or(file.nats_url),
            log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
            metrics_addr: flags.metrics_addr.or(file.metrics_addr),
            embedder: flags.embedder.or(file.embedder).unwrap_or_default(),
            embedder_url: flags.embedder_url.or(file.embedder_url),
            embedder_model: flags.embedder_model.or(file.embedder_model),
            embedder_token: flags.embedder_token.or(file.embedder_token),
            embedder_dir: flags.embedder_dir.or(file.embedder_dir),
            alike_from: flags.alike_from.or(file.alike_from),
        })
    }

    /// The database's URL, or what to do to have one.
    pub fn database_url(&self) -> anyhow::Result<&str> {
        self.given_database_url
            .as_deref()
            .context("no database is given: set RUNLEDGER_DATABASE_URL, pass --database-url, or try `runledger demo`, which starts its own")
    }

    /// The URL of NATS, or what to do to have one.
    pub fn nats_url(&self) -> anyhow::Result<&str> {
        self.given_nats_url.as_deref().context(
            "no NATS is given: set RUNLEDGER_NATS_URL, pass --nats-url, or try `runledger demo`, which starts its own",
        )
    }

    /// The database, spoken to in a role.
    pub fn database(&self, role: Role) -> anyhow::Result<Database> {
        Ok(Database::new(self.database_url()?, role)?)
    }

    /// A connection in a role.
    pub async fn connect(&self, role: Role) -> anyhow::Result<PgConnection> {
        connect(&self.database(role)?).await
    }

    /// A connection to read by: as that org's tenant, or across orgs if none is given.
    pub async fn connect_to_read(&self, org_id: Option<OrgId>) -> anyhow::Result<PgConnection> {
        match org_id {
            Some(org_id) => connect(&self.database(Role::Reader)?.of_org(org_id)).await,
            None => self.connect(Role::Admin).await,
        }
    }

    /// What makes embeddings.
    pub fn embedder(&self) -> anyhow::Result<Arc<dyn Embedder>> {
        let embedder = self.embedder_alone()?;
        match self.alike_from {
            None => Ok(embedder),
            Some(similarity) if (0.0..=1.0).contains(&similarity) => Ok(Arc::new(AlikeFrom { embedder, similarity })),
            Some(similarity) => anyhow::bail!(
                "{similarity} is no similarity: set RUNLEDGER_ALIKE_FROM, or pass --alike-from, from 0 to 1"
            ),
        }
    }

    fn embedder_alone(&self) -> anyhow::Result<Arc<dyn Embedder>> {
        Ok(match self.embedder {
            EmbedderKind::Hashing => Arc::new(Hashing),
            EmbedderKind::Supplied => Arc::new(Supplied),
            EmbedderKind::Http => {
                let url = self.embedder_url.as_deref().context(
                    "the embedder is `http` and has no address: set RUNLEDGER_EMBEDDER_URL, or pass --embedder-url",
                )?;
                let model = self.embedder_model.as_deref().context(
                    "the embedder is `http` and its model has no name, by which embeddings are known: set \
                     RUNLEDGER_EMBEDDER_MODEL, or pass --embedder-model",
                )?;
                let options = HttpOptions::new(url, model);
                Arc::new(Http::new(HttpOptions { token: self.embedder_token.clone(), ..options })?)
            }
            EmbedderKind::Bert => {
                let directory = self.embedder_dir.as_deref().context(
                    "the embedder is `bert` and has no model: set RUNLEDGER_EMBEDDER_DIR, or pass --embedder-dir",
                )?;
                bert(directory)?
            }
        })
    }

    /// A connection to NATS.
    pub async fn connect_to_nats(&self) -> anyhow::Result<async_nats::Client> {
        Ok(nats::connect(self.nats_url()?, Arc::new(Outage::of("NATS"))).await?)
    }
}

#[cfg(feature = "bert")]
fn bert(directory: &Path) -> anyhow::Result<Arc<dyn Embedder>> {
    Ok(Arc::new(projector::embedding::Bert::load(directory)?))
}

#[cfg(not(feature = "bert"))]
fn bert(_: &Path) -> anyhow::Result<Arc<dyn Embedder>> {
    anyhow::bail!("this runledger is built without `bert`: build it with `--features bert`, or set another embedder")
}

async fn connect(database: &Database) -> anyhow::Result<PgConnection> {
    database.connect().await.map_err(|error| {
        let place = database.place();
        let advice = match error.as_database_error().map(|error| error.message().to_owned()) {
            Some(message) if message.contains("role \"runledger_") && message.contains("does not exist") => {
                "run `runledger migrate` first".to_owned()
            }
            Some(message) if message.contains("permission denied to set role") => {
                "grant the role to the user of the URL, or use --org to read as that org's tenant".to_owned()
            }
            _ => "check RUNLEDGER_DATABASE_URL and that the server runs".to_owned(),
        };
        anyhow::Error::new(error).context(format!("database {place} cannot be used; {advice}"))
    })
}

fn read(path: Option<&Path>) -> anyhow::Result<File> {
    let default = Path::new("runledger.toml");
    let path = match path {
        Some(path) => path,
        None if default.exists() => default,
        None => return Ok(File::default()),
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("settings file {} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let number = text[..at].matches('\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default();
        anyhow::anyhow!(
            "settings file {} is not understood at line {number}, {line:?}: {}",
            path.display(),
            error.message()
        )
    })
}
