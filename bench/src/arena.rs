//! What every case starts from: servers that wait for the disk, databases and streams of its own on them, the backlog,
//! and a database with the whole backlog in it.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use async_nats::{HeaderMap, jetstream::context::ContextBuilder};
use bytes::Bytes;
use events::{Event, wire};
use ledger::{
    connection::{Database, Outage, Role},
    migrate, nats,
    stream::EventStream,
};
use sqlx::{Connection, Executor, PgConnection};
use stack::servers::{ServerOptions, Servers};

use crate::{cases::visible, database::CaseDatabase, limits::copy::CopyFile, options::Size, workload::Workload};

/// More than cases ask for.
const ACCOUNTS: usize = 256;
const IN_FLIGHT_MAX: usize = 4_096;

/// A stream of one's own.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where, with credentials.
    pub url: String,
    /// A connection to it.
    pub client: async_nats::Client,
}

impl Account {
    /// Publishes the events, in their order; waits until the stream has all.
    pub async fn publish(&self, events: impl Iterator<Item = Result<Event>>) -> Result<()> {
        let context = ContextBuilder::new().max_ack_inflight(IN_FLIGHT_MAX * 2).build(self.client.clone());
        let mut in_flight = VecDeque::with_capacity(IN_FLIGHT_MAX);
        for event in events {
            if in_flight.len() == IN_FLIGHT_MAX {
                // Of half of them at once: waking up for each would take longer than sending it.
                for ack in in_flight.drain(..IN_FLIGHT_MAX / 2) {
                    ack.await?;
                }
            }
            let (subject, headers, payload) = message(&event?);
            in_flight.push_back(context.publish_with_headers(subject, headers, payload).await?);
        }
        for ack in in_flight {
            ack.await?;
        }
        Ok(())
    }
}

/// An event as NATS takes it.
pub fn message(event: &Event) -> (String, HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    wire::to_headers(event).into_iter().for_each(|(name, value)| headers.insert(name, value));
    (wire::subject(event), headers, event.data.as_bytes().clone())
}

/// The workload in a stream, waiting to be drained as often as one likes: each new database reads it from the start.
#[derive(Clone)]
pub struct Backlog {
    /// What waits.
    pub workload: Workload,
    /// Where.
    pub account: Account,
    /// The same events as rows.
    pub rows: Arc<CopyFile>,
}

/// Servers, and what cases share.
pub struct Arena {
    /// How much is to be measured.
    pub size: Size,
    servers: Servers,
    conn: PgConnection,
    backlog: Option<Backlog>,
    drained: Option<Arc<CaseDatabase>>,
}

impl Arena {
    /// Starts the servers and migrates the database that all others are copies of.
    pub async fn start(size: Size) -> Result<Self> {
        let options = ServerOptions { durable: true, nats_accounts: ACCOUNTS, ..ServerOptions::default() };
        let servers = Servers::start(options).await?;
        let template = Database::new(servers.database_url(), Role::Owner)?;
        migrate::migrate(&mut template.connect().await?).await?;
        // Nobody may be connected to a template while it is copied.
        let (elsewhere, _) = servers.database_url().rsplit_once('/').context("the database's URL has no path")?;
        let conn = PgConnection::connect(&format!("{elsewhere}/postgres")).await?;
        Ok(Self { size, servers, conn, backlog: None, drained: None })
    }

    /// Removes the servers and all that is on them.
    pub async fn stop(self) {
        let _ = self.conn.close().await;
        self.servers.stop().await;
    }

    /// What the servers are, for people.
    pub async fn versions(&mut self) -> Result<String> {
        let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut self.conn).await?;
        let nats = self.account().await?.client.server_info().version;
        Ok(format!("PostgreSQL {postgres}, nats-server {nats}"))
    }

    /// A migrated, empty database.
    pub async fn database(&mut self) -> Result<CaseDatabase> {
        CaseDatabase::create(&mut self.conn, self.servers.database_url()).await
    }

    /// Removes a database, and with it the work that it would make for others.
    pub async fn drop(&mut self, database: CaseDatabase) -> Result<()> {
        database.drop(&mut self.conn).await
    }

    /// An empty stream.
    pub async fn account(&self) -> Result<Account> {
        let url = self.servers.take_nats_account().context("the bench has used all of its NATS accounts")?;
        let client = nats::connect(&url, Arc::new(Outage::of("NATS"))).await?;
        EventStream::ensure(&client).await?;
        Ok(Account { url, client })
    }

    /// Writes what earlier work has left dirty, so that the next one does not pay for it.
    pub async fn settle(&mut self) -> Result<()> {
        self.conn.execute("CHECKPOINT").await?;
        Ok(())
    }

    /// The backlog; published when first asked for.
    pub async fn backlog(&mut self) -> Result<Backlog> {
        if let Some(backlog) = &self.backlog {
            return Ok(backlog.clone());
        }
        let workload = Workload::new(self.size.events)?;
        let account = self.account().await?;
        let began = Instant::now();
        account.publish(workload.registrations()?.into_iter().map(Ok)).await?;
        account.publish(workload.events()).await?;
        let rate = workload.len() as f64 / began.elapsed().as_secs_f64();
        eprintln!("  published a backlog of {} events, {rate:.0} a second", workload.len());
        let rows = Arc::new(CopyFile::write(&workload)?);
        Ok(self.backlog.insert(Backlog { workload, account, rows }).clone())
    }

    /// A database that has drained the backlog and made all runs and steps of it; nothing runs on it.
    pub async fn drained(&mut self) -> Result<Arc<CaseDatabase>> {
        if let Some(drained) = &self.drained {
            return Ok(drained.clone());
        }
        let backlog = self.backlog().await?;
        let database = self.database().await?;
        visible::drain(&database, &backlog).await?;
        database.connect().await?.execute("VACUUM (ANALYZE)").await?;
        self.settle().await?;
        Ok(self.drained.insert(Arc::new(database)).clone())
    }
}
