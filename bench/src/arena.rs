//! What every case starts from: servers that wait for the disk, databases and streams of its own on them, the backlog,
//! and a database with the whole backlog in it.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use events::{
    Event,
    emitter::{Emitter, EmitterOptions},
};
use futures::{Stream, StreamExt, stream};
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
    pub async fn publish(&self, events: impl Stream<Item = Event>) -> Result<u64> {
        let options = EmitterOptions { in_flight_max: IN_FLIGHT_MAX, ..EmitterOptions::new("/bench") };
        Ok(Emitter::new(self.client.clone(), options).emit_all(events).await?)
    }
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
        account.publish(stream::iter(workload.registrations()?)).await?;
        let events = stream::iter(workload.events());
        // A workload that cannot be told is a fault of the bench: it shows as events that are missing.
        account.publish(events.filter_map(async |event: Result<Event>| event.ok())).await?;
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
