//! The images of the two servers. Their files are part of the crate, so that
//! they are there too where `stack` is a dependency of another repository.

use std::fs;
use std::process::Stdio;

use tokio::process::Command;

use super::ServersError;

/// Repository and tag.
pub(super) type Image = (&'static str, &'static str);
pub(super) const POSTGRES: Image = ("runledger-postgres", "17");
pub(super) const NATS: Image = ("runledger-nats", "2.10");

/// Also what runs Postgres without Docker.
pub(super) const POSTGRES_ENTRYPOINT: &str = include_str!("../../images/postgres-entrypoint.sh");

const FILES: [(&str, &str); 4] = [
    ("build.sh", include_str!("../../images/build.sh")),
    ("nats.Dockerfile", include_str!("../../images/nats.Dockerfile")),
    ("postgres.Dockerfile", include_str!("../../images/postgres.Dockerfile")),
    ("postgres-entrypoint.sh", POSTGRES_ENTRYPOINT),
];

/// Builds what is missing or was built from other files; the script's progress
/// goes to standard error. Takes a tenth of a second when all is there.
pub(super) async fn build() -> Result<(), ServersError> {
    let directory = tempfile::tempdir().map_err(ServersError::WriteImageFiles)?;
    for (name, content) in FILES {
        fs::write(directory.path().join(name), content).map_err(ServersError::WriteImageFiles)?;
    }
    let status = Command::new("sh")
        .arg(directory.path().join("build.sh"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|source| ServersError::RunCommand { command: "sh build.sh".to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(ServersError::BuildImages(status)) }
}
