//! One server as a process of this machine, in a private directory that holds
//! its data, log and process id. The directory belongs to the reaper.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::ServersError;
use super::reaper::Reaper;

/// The shell writes its own process id, which is then the server's.
const WRITE_PID_AND_RUN: &str = r#"echo $$ >"$1"; shift; exec "$@""#;

pub(super) struct Process {
    pub directory: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    /// Program and arguments.
    command: Vec<String>,
    child: Mutex<Option<Child>>,
}

/// A new directory that goes away with our process.
pub(super) fn private_directory(reaper: &Reaper) -> Result<PathBuf, ServersError> {
    use std::os::unix::fs::PermissionsExt;
    let make = || -> io::Result<PathBuf> {
        let directory = tempfile::Builder::new()
            .prefix("runledger-")
            // Postgres, as its own user, has to pass through.
            .permissions(fs::Permissions::from_mode(0o711))
            .tempdir()?
            .keep();
        reaper.announce_directory(&directory)?;
        Ok(directory)
    };
    make().map_err(ServersError::PrivateDirectory)
}

/// Whether we are root, which owns what it makes.
pub(super) fn owned_by_root(path: &Path) -> Result<bool, ServersError> {
    let metadata = fs::metadata(path).map_err(ServersError::PrivateDirectory)?;
    Ok(metadata.uid() == 0)
}

impl Process {
    pub fn run(directory: PathBuf, port: u16, command: Vec<String>) -> Result<Process, ServersError> {
        let process = Process { directory, port, command, child: Mutex::new(None) };
        process.start()?;
        Ok(process)
    }

    pub fn start(&self) -> Result<(), ServersError> {
        let spawn = || -> io::Result<Child> {
            let log = File::options().create(true).append(true).open(self.log_path())?;
            Command::new("sh")
                .args(["-c", WRITE_PID_AND_RUN, "sh"])
                .arg(self.pid_path())
                .args(&self.command)
                .current_dir(&self.directory)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                // Ctrl-C in a terminal goes to a whole group; a server ends with its owner.
                .process_group(0)
                .spawn()
        };
        let child = spawn().map_err(|source| ServersError::RunCommand { command: self.command.join(" "), source })?;
        *self.child() = Some(child);
        Ok(())
    }

    pub fn kill(&self) -> Result<(), ServersError> {
        self.end("KILL")
    }

    pub fn stop(&self) -> Result<(), ServersError> {
        self.end("INT")
    }

    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Lives on without us. Gives the command that ends and removes it.
    pub fn keep(self) -> String {
        let pid = self.child().take().map(|child| child.id().to_string());
        format!("kill -QUIT {}; rm -rf {}", pid.unwrap_or_default(), self.directory.display())
    }

    pub fn last_log_lines(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn end(&self, signal: &str) -> Result<(), ServersError> {
        let Some(mut child) = self.child().take() else {
            return Ok(());
        };
        let pid = child.id().to_string();
        let mut end = || -> io::Result<()> {
            Command::new("kill").args([&format!("-{signal}"), &pid]).stderr(Stdio::null()).status()?;
            child.wait()?;
            fs::remove_file(self.pid_path())
        };
        end().map_err(|source| ServersError::RunCommand { command: format!("kill -{signal} {pid}"), source })
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn pid_path(&self) -> PathBuf {
        self.directory.join("server.pid")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // QUIT makes Postgres stop at once, but free its shared memory. What is
        // left of the process after a failure is the reaper's.
        let _ = self.end("QUIT");
    }
}
