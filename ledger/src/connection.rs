//! Connections to PostgreSQL in one of the product's roles, and the manners of a service that
//! outlives the loss of a server: wait longer each time, say so once.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use events::id::OrgId;
use sqlx::{
    ConnectOptions, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// In whose name a connection speaks. Every role but the owner has only the grants it needs, also
/// when the URL's user could do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The URL's own user: migrates.
    Owner,
    /// Appends events.
    Ledger,
    /// Writes the read models.
    Projector,
    /// Reads one org's rows, under row-level security.
    Reader,
    /// Reads across orgs.
    Admin,
}

impl Role {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Owner => None,
            Self::Ledger => Some("runledger_ledger"),
            Self::Projector => Some("runledger_projector"),
            Self::Reader => Some("runledger_reader"),
            Self::Admin => Some("runledger_admin"),
        }
    }
}

/// A URL that is no PostgreSQL URL.
#[derive(Debug, thiserror::Error)]
#[error("the database URL begins with {scheme:?}; give one like postgres://user:password@host:5432/database")]
pub struct InvalidUrl {
    scheme: String,
}

/// Where the database is and in which role to speak to it.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
}

impl Database {
    /// The database at `url`, spoken to in `role`.
    ///
    /// # Errors
    /// When `url` is no PostgreSQL URL. Nothing is connected yet.
    pub fn new(url: &str, role: Role) -> Result<Self, InvalidUrl> {
        // No more of it than this: the rest may hold a password.
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let invalid = || InvalidUrl { scheme: scheme.to_owned() };
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(invalid());
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| invalid())?
            .application_name("runledger")
            .disable_statement_logging()
            // A plan made for one org opens that org's partition alone; a generic one locks them all.
            .options([("plan_cache_mode", "force_custom_plan")])
            // A client that died without a word is noticed within seconds, and its leases are free.
            .options([("tcp_keepalives_idle", "2"), ("tcp_keepalives_interval", "1"), ("tcp_keepalives_count", "3")])
            .options([("client_connection_check_interval", "1s")])
            .options([("TimeZone", "UTC")]);
        let options = match role.name() {
            Some(name) => options.options([("role", name)]),
            None => options,
        };
        Ok(Self { options })
    }

    /// The database as a tenant sees it: every transaction reads this org's rows and no others.
    #[must_use]
    pub fn of_org(self, org_id: OrgId) -> Self {
        Self { options: self.options.options([("runledger.org_id", org_id.to_string())]) }
    }

    /// Where it is, without credentials: for messages.
    pub fn place(&self) -> String {
        let database = self.options.get_database().unwrap_or("the default database");
        format!("{database} at {}:{}", self.options.get_host(), self.options.get_port())
    }

    /// One connection, for those who hold a lease by it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the role.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    /// A pool that connects when it is first used.
    pub fn pool(&self, connections_max: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(self.options.clone())
    }
}

/// Whether the server is away, shutting down or starting, rather than at odds with what was asked.
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        None => true,
        Some(error) => error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P")),
    }
}

/// Whether the database refused the data, rather than failed: SQLSTATE class 22 or 23.
pub fn refuses_data(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// A server that died without a word never answers; what takes so long is taken for that.
///
/// # Errors
/// Those of the work, and an outage when it takes longer than `time_max`.
pub async fn within<T, E: From<sqlx::Error>>(
    time_max: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(time_max, work).await {
        Ok(result) => result,
        Err(elapsed) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)).into()),
    }
}

/// How long to wait before the next attempt: doubled from 50 ms up to 2 s.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Backoff {
    /// Waits, and will wait longer the next time.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
    }
}

/// A server that many tasks use: its loss and its return are logged once, not by each of them.
#[derive(Debug)]
pub struct Outage {
    server: &'static str,
    state: AtomicU8,
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

impl Outage {
    /// Of a server with this name, of which nothing is known yet.
    pub const fn of(server: &'static str) -> Self {
        Self { server, state: AtomicU8::new(UNKNOWN) }
    }

    /// The server failed; logged if it was not known to be down.
    pub fn began(&self, error: &dyn fmt::Display) {
        if self.state.swap(DOWN, Ordering::Relaxed) != DOWN {
            tracing::warn!(server = self.server, %error, "lost the connection; trying again until it is back");
        }
    }

    /// The server answered; logged if it was down.
    pub fn ended(&self) {
        if self.state.swap(UP, Ordering::Relaxed) == DOWN {
            tracing::info!(server = self.server, "connected again");
        }
    }

    /// Whether the server answered when it was asked last.
    pub fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UP
    }
}
