//! The one thing that removes what a stack has started.
//!
//! It is a process of its own that waits for the end of ours: its standard
//! input is a pipe of which only we hold the other end, and the kernel closes
//! that however we end, `kill -9` included. A name is announced *before* the
//! thing is made, so nothing is ever without an owner. Dropping a stack takes
//! the same way: it closes the pipe and waits.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

pub(super) struct Reaper {
    process: Mutex<Child>,
}

impl Reaper {
    pub fn start() -> io::Result<Reaper> {
        let process = Command::new("sh")
            .args(["-c", include_str!("reaper.sh"), "runledger-reaper"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to a whole group; this one has work to do then.
            .process_group(0)
            .spawn()?;
        Ok(Reaper { process: Mutex::new(process) })
    }

    pub fn announce_container(&self, name: &str) -> io::Result<()> {
        self.write_line(format_args!("container {name}"))
    }

    /// The processes whose ids stand in the directory's `*.pid` files go with it.
    pub fn announce_directory(&self, path: &Path) -> io::Result<()> {
        self.write_line(format_args!("directory {}", path.display()))
    }

    /// Leaves everything running.
    pub fn disarm(self) -> io::Result<()> {
        self.write_line("keep")
    }

    fn write_line(&self, line: impl Display) -> io::Result<()> {
        let mut process = self.process.lock().unwrap_or_else(|e| e.into_inner());
        match &mut process.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(|e| e.into_inner());
        // `wait` closes the pipe first. There is nobody to tell of a failure.
        let _ = process.wait();
    }
}
