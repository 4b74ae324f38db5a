//! Runs a Postgres and a NATS until its standard input ends, for scripts:
//!
//! ```sh
//! sleep infinity | cargo run --package stack --example servers
//! ```
//!
//! It prints a comment on what runs where, then `RUNLEDGER_DATABASE_URL=…` and
//! `RUNLEDGER_NATS_URL=…`.

use std::io::{self, Write};
use std::process::ExitCode;

use stack::servers::{ServerOptions, Servers};

#[tokio::main]
async fn main() -> ExitCode {
    let servers = match Servers::start(ServerOptions::default()).await {
        Ok(servers) => servers,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("# {}", servers.describe());
    println!("RUNLEDGER_DATABASE_URL={}", servers.database_url());
    println!("RUNLEDGER_NATS_URL={}", servers.nats_url());
    let _ = io::stdout().flush();
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    servers.stop().await;
    ExitCode::SUCCESS
}
