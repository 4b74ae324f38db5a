//! Every command through the real binary: what it prints, for people and for programs, what it does,
//! and how it fails.

use serde_json::Value;
use tokio::process::Command;

mod checking;
mod emitting;
mod looking;
mod manners;
mod migrating;
mod paging;
mod seeding;
mod settings;
mod simulating;
mod tailing;

/// How a command ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    async fn of(command: &mut Command) -> Self {
        let output = command.output().await.unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its one JSON object a line, after it succeeded.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The line on stderr with which it failed, and nothing else.
    #[track_caller]
    fn complaint(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        let line = self.stderr.strip_suffix('\n').unwrap();
        assert!(line.starts_with("runledger: "), "{line}");
        assert!(!line.contains('\n') && !line.contains(r"\u{a}"), "not one line: {line}");
        line
    }
}
