//! What it was measured on.

use std::process::Command;

use anyhow::Result;
use chrono::{DateTime, Utc};

/// The machine and the day.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How many cores, which, and how much memory.
    pub hardware: String,
    /// PostgreSQL's version and that of NATS.
    pub servers: String,
    /// The compiler's version.
    pub rustc: String,
    /// When the bench began.
    pub at: DateTime<Utc>,
}

impl Machine {
    /// Asks the operating system; the servers have said what they are.
    pub fn look(servers: String) -> Result<Self> {
        let cores = std::thread::available_parallelism()?;
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        let model = model.map_or("unknown", |(_, model)| model.trim());
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
        let hardware = format!("{cores} cores ({model}), {} GiB", (kib + (1 << 19)) >> 20);
        Ok(Self { hardware, servers, rustc: rustc(), at: Utc::now() })
    }
}

fn rustc() -> String {
    let version = Command::new("rustc").arg("--version").output();
    version.map_or_else(|_| "rustc unknown".to_owned(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}
