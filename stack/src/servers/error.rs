//! Why there are no servers.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitStatus;

use testcontainers::TestcontainersError;
use thiserror::Error;

use super::server::Kind;

/// Why servers could not be started, or not be handled as asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServersError {
    /// There is neither Docker nor what is needed without it.
    #[error(
        "cannot start Postgres and NATS on this machine\n\
         \x20 in containers: {}\n\
         \x20 as processes: {processes}\n\
         Start Docker; or install PostgreSQL 17 with pgvector and nats-server 2.10 or newer; \
         or give the URLs of servers that run already \
         (RUNLEDGER_DATABASE_URL, RUNLEDGER_NATS_URL)",
        .docker.as_ref().map_or("not asked for".to_owned(), ToString::to_string)
    )]
    Nowhere {
        /// Why not in containers; none if that was not asked for.
        docker: Option<Box<ServersError>>,
        /// Why not as processes.
        processes: Box<ServersError>,
    },
    /// The process that cleans up does not run.
    #[error("cannot run the process that removes the servers at the end")]
    Reaper(#[source] io::Error),
    /// The temporary files that Docker builds from could not be written.
    #[error("cannot write the files of the images to a temporary directory")]
    WriteImageFiles(#[source] io::Error),
    /// The script said why on standard error.
    #[error("cannot build the images of Postgres and NATS ({0}): see the lines above")]
    BuildImages(ExitStatus),
    /// Docker refused to make or to start a container.
    #[error("cannot run the container {name}: {source}")]
    RunContainer {
        /// Of the container.
        name: String,
        /// What Docker said.
        source: Box<TestcontainersError>,
    },
    /// The directory of a server's data, log and settings.
    #[error("cannot make the private directory of a server")]
    PrivateDirectory(#[source] io::Error),
    /// A program is not installed.
    #[error("there is no {0}")]
    NoBinary(&'static str),
    /// A program is installed, but lacks what we need.
    #[error("{path} is of version {found}; {needed} or newer is needed")]
    OldBinary {
        /// Of the program.
        path: PathBuf,
        /// The version it says it has.
        found: String,
        /// The oldest version that will do.
        needed: String,
    },
    /// pgvector is not installed for this Postgres.
    #[error(
        "the Postgres in {0} has no extension \"vector\": install pgvector for it \
         (on Debian postgresql-17-pgvector, for version 17)"
    )]
    NoVector(PathBuf),
    /// Postgres did not say which extensions it has.
    #[error("cannot ask Postgres for the extension \"vector\"")]
    LookForVector(#[source] sqlx::Error),
    /// All ports that were tried are taken.
    #[error("found no free port between {} and {}", .0.start, .0.end)]
    NoFreePort(Range<u16>),
    /// A command could not be run at all.
    #[error("cannot run `{command}`: {source}")]
    RunCommand {
        /// With its arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("`{command}` failed: {output}")]
    CommandFailed {
        /// With its arguments.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A server was started, but answers no client.
    #[error("{server} does not answer: {refusal}\nIts last log lines:\n{log}")]
    NotReady {
        /// Which, and where.
        server: String,
        /// What the last try to connect met.
        refusal: String,
        /// The end of its log.
        log: String,
    },
    /// Only a server that was started here is stopped and started here.
    #[error("{0} was given by its URL: only a server that this stack started can be taken down")]
    NotOurs(Kind),
}
