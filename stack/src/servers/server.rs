//! One server, wherever it runs, and what a fault test does to it.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::ServersError;
use super::container::Container;
use super::process::Process;

const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(25);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// To ask whether a container still runs takes longer than to connect.
const POLLS_PER_LOOK: usize = 40;

/// A Postgres or a NATS server that can be taken down and brought up again, on
/// the same port and with the same data.
pub struct Server {
    pub(super) kind: Kind,
    pub(super) url: String,
    pub(super) home: Home,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL with pgvector.
    Postgres,
    /// NATS with JetStream.
    Nats,
}

pub(super) enum Home {
    /// Somebody else's; we have its URL only.
    Given,
    Container(Container),
    Process(Process),
}

impl Server {
    pub(super) fn given(kind: Kind, url: String) -> Server {
        let home = Home::Given;
        Server { kind, url, home }
    }

    /// With user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&self) -> Result<(), ServersError> {
        match &self.home {
            Home::Given => Err(self.not_ours()),
            Home::Container(container) => container.kill().await,
            Home::Process(process) => process.kill(),
        }
    }

    /// Ends it in order: clients are disconnected, all is written.
    pub async fn stop(&self) -> Result<(), ServersError> {
        match &self.home {
            Home::Given => Err(self.not_ours()),
            Home::Container(container) => container.stop().await,
            Home::Process(process) => process.stop(),
        }
    }

    /// Brings it up after [`kill`](Server::kill) or [`stop`](Server::stop), and
    /// waits until it answers.
    pub async fn start(&self) -> Result<(), ServersError> {
        match &self.home {
            Home::Given => return Err(self.not_ours()),
            Home::Container(container) => container.start().await?,
            Home::Process(process) => process.start()?,
        }
        self.wait_until_ready().await
    }

    /// Kills it and starts it again.
    pub async fn restart(&self) -> Result<(), ServersError> {
        self.kill().await?;
        self.start().await
    }

    pub(super) async fn wait_until_ready(&self) -> Result<(), ServersError> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut polls = 0;
        loop {
            polls += 1;
            let refusal = match timeout(CONNECT_WITHIN, self.connect()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(refusal)) => refusal,
                Err(_) => "no answer".to_owned(),
            };
            let gone = polls % POLLS_PER_LOOK == 0 && !self.is_running().await;
            if gone || Instant::now() > deadline {
                return Err(ServersError::NotReady {
                    server: self.to_string(),
                    refusal,
                    log: self.last_log_lines().await,
                });
            }
            sleep(POLL_EVERY).await;
        }
    }

    async fn connect(&self) -> Result<(), String> {
        match self.kind {
            Kind::Postgres => {
                let connection = PgConnection::connect(&self.url).await;
                let closed = connection.map_err(|e| e.to_string())?.close().await;
                closed.map_err(|e| e.to_string())
            }
            Kind::Nats => {
                let port = self.port().unwrap_or_default();
                let greeting = nats_greeting(port).await.map_err(|e| e.to_string())?;
                (greeting == *b"INFO ")
                    .then_some(())
                    .ok_or_else(|| "it does not greet as a NATS server does".to_owned())
            }
        }
    }

    pub(super) fn port(&self) -> Option<u16> {
        match &self.home {
            Home::Given => None,
            Home::Container(container) => Some(container.port),
            Home::Process(process) => Some(process.port),
        }
    }

    async fn is_running(&self) -> bool {
        match &self.home {
            Home::Given => true,
            Home::Container(container) => container.is_running().await,
            Home::Process(process) => process.is_running(),
        }
    }

    async fn last_log_lines(&self) -> String {
        match &self.home {
            Home::Given => String::new(),
            Home::Container(container) => container.last_log_lines().await,
            Home::Process(process) => process.last_log_lines(),
        }
    }

    /// Lives on without us. Gives the command that removes it; none if given.
    pub(super) fn keep(self) -> Option<String> {
        match self.home {
            Home::Given => None,
            Home::Container(container) => Some(format!("docker rm --force --volumes {}", container.name)),
            Home::Process(process) => Some(process.keep()),
        }
    }

    fn not_ours(&self) -> ServersError {
        ServersError::NotOurs(self.kind)
    }
}

/// Behind Docker a connection alone proves nothing: Docker itself accepts it.
async fn nats_greeting(port: u16) -> std::io::Result<[u8; 5]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).await?;
    Ok(greeting)
}

/// What it is and where, without the password.
impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.home {
            Home::Given => write!(f, "{} as given", self.kind),
            Home::Container(Container { name, port }) => {
                write!(f, "{} in container {name} on port {port}", self.kind)
            }
            Home::Process(process) => {
                write!(f, "{} in {} on port {}", self.kind, process.directory.display(), process.port)
            }
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Postgres => "Postgres",
            Kind::Nats => "NATS",
        })
    }
}
