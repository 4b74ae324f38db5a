//! The servers' programs on this machine, for where there is no Docker.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ServersError, command};

const POSTGRES_MAJOR_MIN: u32 = 16;
const NATS_VERSION_MIN: (u32, u32) = (2, 10);
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// The directory of `postgres` and `initdb`, of the newest version there is.
pub(super) async fn postgres_directory() -> Result<PathBuf, ServersError> {
    let mut newest: Option<(u32, PathBuf)> = None;
    for directory in debian_directories().into_iter().chain(search_path()) {
        if !directory.join("initdb").is_file() {
            continue;
        }
        let Some((major, _)) = version_of(&directory.join("postgres")).await else {
            continue;
        };
        if newest.as_ref().is_none_or(|(known, _)| *known < major) {
            newest = Some((major, directory));
        }
    }
    match newest {
        Some((major, directory)) if major >= POSTGRES_MAJOR_MIN => Ok(directory),
        Some((major, directory)) => Err(ServersError::OldBinary {
            path: directory.join("postgres"),
            found: major.to_string(),
            needed: POSTGRES_MAJOR_MIN.to_string(),
        }),
        None => {
            Err(ServersError::NoBinary("postgres and initdb, neither on the PATH nor in /usr/lib/postgresql/*/bin"))
        }
    }
}

pub(super) async fn nats_server() -> Result<PathBuf, ServersError> {
    let mut old = None;
    for directory in search_path() {
        let path = directory.join("nats-server");
        match version_of(&path).await {
            Some(version) if version >= NATS_VERSION_MIN => return Ok(path),
            Some(version) => old = Some((version, path)),
            None => {}
        }
    }
    Err(match old {
        Some(((major, minor), path)) => ServersError::OldBinary {
            path,
            found: format!("{major}.{minor}"),
            needed: format!("{}.{}", NATS_VERSION_MIN.0, NATS_VERSION_MIN.1),
        },
        None => ServersError::NoBinary("nats-server, not on the PATH"),
    })
}

/// Both print it as the last or the only word with digits, such as
/// `postgres (PostgreSQL) 17.11 (Debian 17.11-0)`, `nats-server: v2.10.27`.
async fn version_of(program: &Path) -> Option<(u32, u32)> {
    if !program.is_file() {
        return None;
    }
    let printed = command::output(program.to_str()?, ["--version"]).await.ok()?;
    printed.split_whitespace().find_map(parse_version)
}

fn parse_version(word: &str) -> Option<(u32, u32)> {
    let mut numbers = word.trim_start_matches('v').split('.');
    let major = numbers.next()?.parse().ok()?;
    // A version in the making reads "18beta1"; it is none of ours.
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

fn debian_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIAN_POSTGRES).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin")).collect()
}

fn search_path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn the_version_is_the_word_that_is_one() {
        let found = |printed: &str| printed.split_whitespace().find_map(parse_version);
        assert_eq!(found("postgres (PostgreSQL) 17.11 (Debian 17.11-0+deb13u1)"), Some((17, 11)));
        assert_eq!(found("nats-server: v2.10.27"), Some((2, 10)));
        assert_eq!(found("nats-server: dev"), None);
    }
}
