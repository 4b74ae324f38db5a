//! Runs a short command and gives what it printed, both streams together.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::Command;

use super::ServersError;

pub(super) async fn output<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<String, ServersError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let result = command.output().await;
    let words = command.as_std().get_args().map(OsStr::to_string_lossy);
    let shown = words.fold(program.to_owned(), |line, word| line + " " + &word);
    let output = result.map_err(|source| ServersError::RunCommand { command: shown.clone(), source })?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        Ok(text)
    } else {
        Err(ServersError::CommandFailed { command: shown, output: text.trim().to_owned() })
    }
}
