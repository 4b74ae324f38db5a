//! How Postgres is run: user, password and database are all `runledger`. The
//! entry point of the image makes the cluster for a process of this machine too.

use std::fs;
use std::path::Path;

use sqlx::{Connection, PgConnection};

use super::container::{Container, ContainerSpec};
use super::images::{self, POSTGRES_ENTRYPOINT};
use super::process::{self, Process};
use super::reaper::Reaper;
use super::server::{Home, Kind, Server};
use super::{ServersError, binaries, command, port};

/// Only a power loss would show the difference; a killed server loses nothing.
const NOT_DURABLE: [&str; 4] = ["-c", "fsync=off", "-c", "full_page_writes=off"];

/// Many stacks on one server, each with a ledger that holds a connection a partition.
const CONNECTIONS: [&str; 2] = ["-c", "max_connections=500"];

fn arguments(durable: bool) -> Vec<String> {
    let not_durable: &[&str] = if durable { &[] } else { &NOT_DURABLE };
    CONNECTIONS.iter().chain(not_durable).map(ToString::to_string).collect()
}

pub(super) async fn in_container(reaper: &Reaper, durable: bool) -> Result<Server, ServersError> {
    let spec = ContainerSpec { image: images::POSTGRES, inner_port: 5432, arguments: arguments(durable), file: None };
    let container = Container::run(&spec, reaper).await?;
    let server = server(container.port, Home::Container(container));
    server.wait_until_ready().await?;
    Ok(server)
}

pub(super) async fn as_process(reaper: &Reaper, durable: bool) -> Result<Server, ServersError> {
    let binaries = binaries::postgres_directory().await?;
    let directory = process::private_directory(reaper)?;
    let entrypoint = directory.join("postgres-entrypoint.sh");
    fs::write(&entrypoint, POSTGRES_ENTRYPOINT).map_err(ServersError::PrivateDirectory)?;
    let port = port::free()?;

    let mut command = as_postgres_user(&directory).await?;
    command.extend([
        "env".to_owned(),
        format!("PGDATA={}", directory.join("data").display()),
        format!("PATH={}:/usr/bin:/bin", binaries.display()),
        "LANG=C.UTF-8".to_owned(),
        "sh".to_owned(),
        entrypoint.display().to_string(),
        "--listen_addresses=127.0.0.1".to_owned(),
        format!("--port={port}"),
        "--unix_socket_directories=".to_owned(),
    ]);
    command.extend(arguments(durable));
    let process = Process::run(directory, port, command)?;
    let server = server(port, Home::Process(process));
    server.wait_until_ready().await?;
    require_vector(&server, &binaries).await?;
    Ok(server)
}

/// Postgres refuses to run as root. Gives the words that run a command as
/// `postgres`, for whom the data directory is made.
async fn as_postgres_user(directory: &Path) -> Result<Vec<String>, ServersError> {
    if !process::owned_by_root(directory)? {
        return Ok(Vec::new());
    }
    let data = directory.join("data").display().to_string();
    command::output("install", ["-d", "-o", "postgres", "-m", "0700", &data]).await?;
    let words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"];
    Ok(words.map(str::to_owned).to_vec())
}

async fn require_vector(server: &Server, binaries: &Path) -> Result<(), ServersError> {
    let query = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'";
    let count = async {
        let mut connection = PgConnection::connect(&server.url).await?;
        sqlx::query_scalar::<_, i64>(query).fetch_one(&mut connection).await
    };
    match count.await {
        Ok(1) => Ok(()),
        Ok(_) => Err(ServersError::NoVector(binaries.to_owned())),
        Err(source) => Err(ServersError::LookForVector(source)),
    }
}

fn server(port: u16, home: Home) -> Server {
    Server { kind: Kind::Postgres, url: format!("postgres://runledger:runledger@127.0.0.1:{port}/runledger"), home }
}
