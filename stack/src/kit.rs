//! The whole of runledger on throw-away servers, for the test suites of services that emit events:
//! start it, emit, wait for a run, look at its rows.
//!
//! Each [`Stack`] has a database and a NATS account of its own, so tests do not see each other, whether
//! they share [`Servers`] or not.

use std::{sync::Arc, time::Duration};

use events::{
    Event,
    emitter::{EmitError, Emitter, EmitterOptions},
    id::{OrgId, RunId, StepId},
    payload::OrgRegistered,
};
use ledger::{
    connection::{Database, InvalidUrl, Outage, Role},
    ingest::Ingest,
    migrate::{self, MigrationError},
    nats::{self, Nats},
    recent::Recent,
    stream::{EventStream, StreamError},
};
use projector::{Projector, query};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::servers::{ServerOptions, Servers, ServersError};

/// How long [`Stack::wait_for_run`] waits.
const WAIT_MAX: Duration = Duration::from_secs(30);
const WAIT_INTERVAL: Duration = Duration::from_millis(10);

/// Why a stack could not be started, or did not do what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The servers could not be started.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// The servers have no NATS account left for another stack, or none at all.
    #[error("these servers have no NATS account left; start servers with more `nats_accounts`, one for each stack")]
    NoAccount,
    /// The schema could not be made.
    #[error(transparent)]
    Migrate(#[from] MigrationError),
    /// NATS failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// An event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while the stack was used: {0}")]
    Database(#[from] sqlx::Error),
    /// The database's URL is none.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The projector could not be made.
    #[error(transparent)]
    Projector(#[from] projector::RegistryError),
    /// What was waited for did not come.
    #[error("waited {} s for {wanted}, and found {found}", WAIT_MAX.as_secs())]
    TimedOut {
        /// What was waited for.
        wanted: String,
        /// What was there in the end.
        found: String,
    },
    /// The name of an org is empty.
    #[error("an org cannot have this name: {0}")]
    Name(#[source] serde_json::Error),
}

/// A runledger of one's own: migrated database, stream, ledger and projector.
pub struct Stack {
    servers: Arc<Servers>,
    database_url: String,
    nats_url: String,
    pool: PgPool,
    client: async_nats::Client,
    shutdown: CancellationToken,
    services: Vec<JoinHandle<()>>,
}

impl Stack {
    /// Starts servers and all of runledger on them.
    ///
    /// # Errors
    /// When there is neither Docker nor what is needed without it, and when something fails.
    pub async fn start() -> Result<Self, StackError> {
        Self::start_on(Servers::start(ServerOptions::default()).await?).await
    }

    /// Starts all of runledger on these servers, in the database that their URL names.
    ///
    /// # Errors
    /// When something fails.
    pub async fn start_on(servers: Servers) -> Result<Self, StackError> {
        let (database_url, nats_url) = (servers.database_url().to_owned(), servers.nats_url().to_owned());
        let mut stack = Self::migrated(Arc::new(servers), database_url, nats_url).await?;
        stack.start_services()?;
        Ok(stack)
    }

    /// A stack on servers that several share, started with `nats_accounts`: with a database and an
    /// account of its own, and without services until [`Stack::start_services`].
    ///
    /// # Errors
    /// When no account is left, and when something fails.
    pub async fn on(servers: Arc<Servers>) -> Result<Self, StackError> {
        let nats_url = servers.take_nats_account().ok_or(StackError::NoAccount)?;
        let database = format!("stack_{}", Uuid::new_v4().simple());
        let options: PgConnectOptions = servers.database_url().parse()?;
        let mut conn = PgConnection::connect_with(&options).await?;
        conn.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
        let database_url = with_database(servers.database_url(), &database);
        Self::migrated(servers, database_url, nats_url).await
    }

    async fn migrated(servers: Arc<Servers>, database_url: String, nats_url: String) -> Result<Self, StackError> {
        let database = Database::new(&database_url, Role::Owner)?;
        migrate::migrate(&mut database.connect().await?).await?;
        let client = nats::connect(&nats_url, Arc::new(Outage::of("NATS"))).await?;
        EventStream::ensure(&client).await?;
        let pool = database.pool(4);
        Ok(Self {
            servers,
            database_url,
            nats_url,
            pool,
            client,
            shutdown: CancellationToken::new(),
            services: Vec::new(),
        })
    }

    /// Starts a ledger and a projector in this process.
    ///
    /// # Errors
    /// When the projections contradict each other.
    pub fn start_services(&mut self) -> Result<(), StackError> {
        let postgres = Arc::new(Outage::of("PostgreSQL"));
        let database = Database::new(&self.database_url, Role::Ledger)?;
        let recent = Arc::new(Recent::default());
        let projector = Projector::new(Database::new(&self.database_url, Role::Projector)?, postgres.clone())?;
        let projector = projector.follows(recent.clone());
        let (nats_url, shutdown) = (self.nats_url.clone(), self.shutdown.clone());
        self.services.push(tokio::spawn(async move {
            let run = async {
                // Of its own: what is in the stream may be the death of a connection.
                let nats = Nats::connect(&nats_url, Arc::new(Outage::of("NATS"))).await?;
                Ingest { database, nats, postgres, keep: None, recent: Some(recent) }.run(shutdown).await
            };
            if let Err(error) = run.await {
                tracing::error!(%error, "the ledger of the stack ended");
            }
        }));
        let shutdown = self.shutdown.clone();
        self.services.push(tokio::spawn(async move {
            if let Err(error) = projector.run(shutdown).await {
                tracing::error!(%error, "the projector of the stack ended");
            }
        }));
        Ok(())
    }

    /// Stops the services and waits for them; those started next begin with empty memories.
    pub async fn stop_services(&mut self) {
        self.shutdown.cancel();
        for service in self.services.drain(..) {
            let _ = service.await;
        }
        self.shutdown = CancellationToken::new();
    }

    /// Stops everything. What was started for the stack is removed, unless others use it too.
    pub async fn stop(self) {
        if let Some(servers) = self.into_servers().await {
            servers.stop().await;
        }
    }

    /// Stops the services and gives back the servers, unless others use them too.
    pub async fn into_servers(mut self) -> Option<Servers> {
        self.stop_services().await;
        self.pool.close().await;
        let servers = self.servers.clone();
        drop(self);
        Arc::into_inner(servers)
    }

    /// The database, as its owner.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// NATS, with this stack's account.
    pub fn nats_url(&self) -> &str {
        &self.nats_url
    }

    /// A small pool of connections as the database's owner.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The connection to NATS.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// The servers it runs on.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// An emitter for a service, whose `source` is given.
    pub fn emitter(&self, source: &str) -> Emitter {
        Emitter::new(self.client.clone(), EmitterOptions::new(source))
    }

    /// Publishes `org.registered` for a new org. What is emitted for it next is appended behind it.
    ///
    /// # Errors
    /// When the stream does not take the event.
    pub async fn register_org(&self, name: &str) -> Result<OrgId, StackError> {
        let org_id = OrgId::generate();
        let name = serde_json::from_value(Value::from(name)).map_err(StackError::Name)?;
        let registered = OrgRegistered { name, org_type: None, settings: None };
        let registered = Event::new(org_id, org_id.subject(), "/stack", &registered).map_err(StackError::Name)?;
        self.emitter("/stack").emit(&registered).await?;
        Ok(org_id)
    }

    /// The run's row of `user_workflow_run` with `steps`, an array of rows of `user_workflow_run_step`;
    /// none if there is no such run yet.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn run(&self, org_id: OrgId, run_id: RunId) -> Result<Option<Value>, StackError> {
        let mut conn = self.pool.acquire().await?;
        let row = query::run_show(&mut conn, run_id, Some(org_id)).await?.pop();
        let row = row.map(|row| serde_json::from_str(row.get()).map_err(|error| sqlx::Error::Decode(error.into())));
        Ok(row.transpose()?)
    }

    /// The step's row of `user_workflow_run_step`; none if there is no such step yet.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn step(&self, org_id: OrgId, run_id: RunId, step_id: StepId) -> Result<Option<Value>, StackError> {
        let run = self.run(org_id, run_id).await?;
        let mut steps = run.as_ref().and_then(|run| run["steps"].as_array()).into_iter().flatten();
        Ok(steps.find(|step| step["step_id"] == step_id.to_string()).cloned())
    }

    /// Waits until the run has this status, and gives it as [`Stack::run`] does.
    ///
    /// # Errors
    /// [`StackError::TimedOut`] after 30 seconds, with the run as it is then.
    pub async fn wait_for_run(&self, org_id: OrgId, run_id: RunId, status: &str) -> Result<Value, StackError> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let run = self.run(org_id, run_id).await?;
            match run {
                Some(run) if run["status"] == status => return Ok(run),
                run if Instant::now() > deadline => {
                    return Err(StackError::TimedOut {
                        wanted: format!("run {run_id} to be {status}"),
                        found: run.map_or_else(|| "no such run".to_owned(), |run| run.to_string()),
                    });
                }
                _ => tokio::time::sleep(WAIT_INTERVAL).await,
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The URL of another database of the same server.
fn with_database(url: &str, database: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let authority_start = url.find("://").map_or(0, |at| at + 3);
    let path_start = url[authority_start..].find('/').map_or(url.len(), |at| authority_start + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &url[..path_start])
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_of_the_same_server_keeps_the_rest_of_the_url() {
        assert_eq!(with_database("postgres://u:p@h:1/a?sslmode=disable", "b"), "postgres://u:p@h:1/b?sslmode=disable");
        assert_eq!(with_database("postgres://u:p@h:1", "b"), "postgres://u:p@h:1/b");
    }
}
