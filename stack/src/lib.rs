//! A throw-away Postgres and NATS: for a demo, for a benchmark, and for the test
//! suites of services that emit events.
//!
//! They start in about a second and leave nothing behind, even when the process
//! that holds them is killed. Any number of them run side by side.
//!
//! ```no_run
//! use stack::servers::{ServerOptions, Servers};
//!
//! # async fn example() -> Result<(), stack::servers::ServersError> {
//! let servers = Servers::start(ServerOptions::default()).await?;
//! println!("{} {}", servers.database_url(), servers.nats_url());
//! servers.nats().restart().await?;
//! servers.stop().await;
//! # Ok(())
//! # }
//! ```

mod kit;
pub mod servers;

pub use kit::{Stack, StackError};
