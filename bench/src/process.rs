//! Real processes of the `runledger` binary, built beside this one.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Child;

use crate::{arena::Account, database::CaseDatabase};

/// A process that serves until it is stopped.
pub struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `runledger` with this command on this database and stream.
    pub fn start(command: &'static str, database: &CaseDatabase, account: &Account) -> Result<Self> {
        let child = runledger(&[command], database, account)?.stdout(Stdio::null()).spawn();
        Ok(Self { name: command, child: child.with_context(|| format!("runledger {command} cannot be started"))? })
    }

    /// The most memory that it has held so far, in MiB.
    pub fn peak_mib(&self) -> Result<f64> {
        let id = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")).context("the kernel tells no VmHWM")?;
        Ok(kib.trim().parse::<f64>()? / 1024.0)
    }

    /// Fails if it has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("runledger {} ended: {status}", self.name),
        }
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("runledger {} cannot be ended", self.name))
    }
}

/// Runs `runledger` to its end; gives how long that took, and the most memory that it held, in MiB.
pub async fn run_watched(
    command: &'static str,
    arguments: &[&str],
    database: &CaseDatabase,
    account: &Account,
) -> Result<(Duration, f64)> {
    let all: Vec<&str> = [command].iter().chain(arguments).copied().collect();
    let began = Instant::now();
    let child = runledger(&all, database, account)?.stdout(Stdio::null()).spawn()?;
    let (mut process, mut peak) = (Process { name: command, child }, 0.0);
    loop {
        if let Some(status) = process.child.try_wait()? {
            ensure!(status.success(), "runledger {command} ended: {status}");
            return Ok((began.elapsed(), peak));
        }
        // Of a process that is ending, the kernel tells nothing any more.
        peak = process.peak_mib().unwrap_or(peak);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs `runledger` to its end; gives how long that took, and what it printed.
pub async fn run(arguments: &[&str], database: &CaseDatabase, account: &Account) -> Result<(Duration, String)> {
    let mut command = runledger(arguments, database, account)?;
    let began = Instant::now();
    let output = command.stdout(Stdio::piped()).output().await?;
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "runledger {} ended: {}\n{}", arguments.join(" "), output.status, said.trim());
    Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn runledger(arguments: &[&str], database: &CaseDatabase, account: &Account) -> Result<tokio::process::Command> {
    let mut command = tokio::process::Command::new(binary()?);
    command
        .args(arguments)
        .env("RUNLEDGER_DATABASE_URL", &database.url)
        .env("RUNLEDGER_NATS_URL", &account.url)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

fn binary() -> Result<&'static PathBuf> {
    BINARY.get().context("the binary is not built yet")
}

/// Finds the binary; builds it first when cargo is at hand, so that it is the one of this checkout. Before anything
/// is timed.
pub fn build() -> Result<()> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "runledger", "--bin", "runledger"]);
        build.args((!cfg!(debug_assertions)).then_some("--release"));
        // What cargo has told this process of its package would make build scripts run again.
        for (name, _) in std::env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
                build.env_remove(name);
            }
        }
        ensure!(build.status()?.success(), "runledger does not build");
    }
    let binary = std::env::current_exe()?.with_file_name("runledger");
    ensure!(binary.exists(), "{} is not there; run `cargo build --release` first", binary.display());
    BINARY.get_or_init(|| binary);
    Ok(())
}
