//! Connections to NATS: they come back by themselves, and say so once.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_nats::Client;
use events::emitter::connect_options;
use tokio::sync::Mutex;

use crate::{connection::Outage, stream::StreamError};

/// Connects to NATS; the connection then comes back by itself for ever, and says so once.
///
/// # Errors
/// When the first attempt fails.
pub async fn connect(url: &str, outage: Arc<Outage>) -> Result<Client, StreamError> {
    connect_options(url)
        .name("runledger")
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| Duration::from_millis(50 << attempt.min(5)))
        .event_callback(move |event| {
            let outage = outage.clone();
            async move {
                match event {
                    async_nats::Event::Disconnected => outage.began(&"disconnected"),
                    async_nats::Event::Connected => outage.ended(),
                    _ => {}
                }
            }
        })
        .connect(url)
        .await
        .map_err(|source| StreamError::Connect { url: without_credentials(url), source })
}

/// A connection for a service, which must outlive whatever is in the stream. The client's own task can
/// die of a message, such as one with a bare carriage return in a header; then it is made anew.
#[derive(Clone)]
pub struct Nats {
    url: Arc<str>,
    outage: Arc<Outage>,
    client: Arc<RwLock<Client>>,
    /// Held while somebody looks whether the client is dead: many find out at once, one makes a new one.
    reviving: Arc<Mutex<()>>,
}

impl Nats {
    /// Connects.
    ///
    /// # Errors
    /// When the first attempt fails.
    pub async fn connect(url: &str, outage: Arc<Outage>) -> Result<Self, StreamError> {
        let client = connect(url, outage.clone()).await?;
        Ok(Self { url: url.into(), outage, client: Arc::new(RwLock::new(client)), reviving: Arc::default() })
    }

    /// The client of the moment.
    pub fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a new client if the one of the moment is dead, and not just waiting for the server.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn revive(&self) -> Result<(), StreamError> {
        let _reviving = self.reviving.lock().await;
        // A dead client refuses at once; a living one flushes, or waits to be connected again.
        let flushed = tokio::time::timeout(Duration::from_secs(1), self.client().flush()).await;
        if matches!(flushed, Ok(Err(_))) {
            tracing::warn!("the connection to NATS died of a message; made a new one and stepping past the message");
            let client = connect(&self.url, self.outage.clone()).await?;
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        }
        Ok(())
    }
}

fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => url.to_owned(),
    }
}
