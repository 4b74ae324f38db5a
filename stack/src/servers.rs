//! A running Postgres and a running NATS with JetStream, from wherever they can
//! be had: from URLs that are given, else as containers, else as processes of
//! this machine. Whatever was started here is removed again, however our
//! process ends: see `servers/reaper.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};

mod binaries;
mod command;
mod container;
mod error;
mod images;
mod nats;
mod port;
mod postgres;
mod process;
mod reaper;
mod server;

pub use error::ServersError;
pub use server::{Kind, Server};

use reaper::Reaper;

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// A Postgres that runs already; used as it is.
    pub database_url: Option<String>,
    /// A NATS with JetStream that runs already; used as it is.
    pub nats_url: Option<String>,
    /// Whether Postgres waits for the disk on each commit. Off, nothing is lost
    /// by a crash of the server either, only by one of the machine.
    pub durable: bool,
    /// How many separate accounts NATS has, for [`Servers::nats_account_url`].
    /// With none it asks for no password.
    pub nats_accounts: usize,
    /// Where to run what is not given.
    pub place: Place,
}

/// Where servers are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// In containers if Docker answers, else as processes.
    #[default]
    Anywhere,
    /// In Docker containers.
    Containers,
    /// As processes, of the PostgreSQL and NATS that are installed here.
    Processes,
}

/// A Postgres and a NATS. Dropping it stops and removes what was started for
/// it, and waits for that; so does the end of the process, by whatever cause.
pub struct Servers {
    postgres: Server,
    nats: Server,
    nats_accounts: usize,
    accounts_taken: AtomicUsize,
    /// The last field: the servers' own ends come before it.
    reaper: Option<Reaper>,
}

impl Servers {
    /// Starts what is not given, and waits until it answers. Where the images
    /// have to be built first, their progress goes to standard error.
    pub async fn start(options: ServerOptions) -> Result<Servers, ServersError> {
        let ServerOptions { database_url, nats_url, durable, nats_accounts, place } = options;
        if let (Some(database_url), Some(nats_url)) = (&database_url, &nats_url) {
            return Ok(Servers {
                postgres: Server::given(Kind::Postgres, database_url.clone()),
                nats: Server::given(Kind::Nats, nats_url.clone()),
                nats_accounts: 0,
                accounts_taken: AtomicUsize::new(0),
                reaper: None,
            });
        }
        let reaper = Reaper::start().map_err(ServersError::Reaper)?;
        let start_postgres = async |containers: bool| match database_url.clone() {
            Some(url) => Ok(Server::given(Kind::Postgres, url)),
            None if containers => postgres::in_container(&reaper, durable).await,
            None => postgres::as_process(&reaper, durable).await,
        };
        let start_nats = async |containers: bool| match nats_url.clone() {
            Some(url) => Ok(Server::given(Kind::Nats, url)),
            None if containers => nats::in_container(&reaper, nats_accounts).await,
            None => nats::as_process(&reaper, nats_accounts).await,
        };
        let docker = match place {
            Place::Processes => None,
            _ => Some(docker_can_run_them().await),
        };
        let (postgres, nats) = match docker {
            Some(Ok(())) => tokio::try_join!(start_postgres(true), start_nats(true))?,
            Some(Err(error)) if place == Place::Containers => return Err(error),
            docker => tokio::try_join!(start_postgres(false), start_nats(false)).map_err(|processes| {
                ServersError::Nowhere {
                    docker: docker.and_then(Result::err).map(Box::new),
                    processes: Box::new(processes),
                }
            })?,
        };
        Ok(Servers { postgres, nats, nats_accounts, accounts_taken: AtomicUsize::new(0), reaper: Some(reaper) })
    }

    /// The Postgres, to take it down and bring it up again.
    pub fn postgres(&self) -> &Server {
        &self.postgres
    }

    /// The NATS, to take it down and bring it up again.
    pub fn nats(&self) -> &Server {
        &self.nats
    }

    /// Of a database in which the user may do everything.
    pub fn database_url(&self) -> &str {
        self.postgres.url()
    }

    /// Of the first account, where there are several.
    pub fn nats_url(&self) -> &str {
        self.nats.url()
    }

    /// Of an account that shares nothing with the others. None beyond
    /// [`ServerOptions::nats_accounts`], and none of a NATS that was given.
    pub fn nats_account_url(&self, account: usize) -> Option<String> {
        let port = self.nats.port()?;
        (account < self.nats_accounts).then(|| nats::account_url(port, account))
    }

    /// The URL of an account that nobody has been given before. None if there is none left.
    pub fn take_nats_account(&self) -> Option<String> {
        self.nats_account_url(self.accounts_taken.fetch_add(1, Ordering::Relaxed))
    }

    /// One line on what runs where, without passwords.
    pub fn describe(&self) -> String {
        format!("{}; {}", self.postgres, self.nats)
    }

    /// Stops and removes what was started, without blocking the runtime.
    pub async fn stop(self) {
        // It ends with a panic only if a drop panics; none does.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Leaves running what was started, beyond the end of the process. Gives
    /// the shell command that stops and removes it.
    pub fn keep(self) -> Result<String, ServersError> {
        if let Some(reaper) = self.reaper {
            reaper.disarm().map_err(ServersError::Reaper)?;
        }
        let commands = [self.postgres, self.nats].map(Server::keep);
        Ok(commands.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

async fn docker_can_run_them() -> Result<(), ServersError> {
    container::docker_answers().await?;
    images::build().await
}
