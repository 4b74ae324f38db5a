//! Where settings come from, and what is said when they are wrong.

use std::path::{Path, PathBuf};

use stack::Stack;
use tokio::process::Command;
use uuid::Uuid;

use super::Ended;
use crate::harness::{idle_stack, run, runledger, stack};

/// A working directory with a settings file, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn with(settings: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("runledger.toml"), settings).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command in this directory, without settings from the environment.
fn within<const N: usize>(stack: &Stack, directory: &Directory, arguments: [&str; N]) -> Command {
    let mut command = runledger(stack, arguments);
    command.current_dir(&directory.0).env_remove("RUNLEDGER_DATABASE_URL").env_remove("RUNLEDGER_NATS_URL");
    command
}

/// A stack with one org of this name.
async fn stack_with_org(name: &str) -> Stack {
    let stack = stack().await;
    assert!(run(&stack, ["org", "add", name]).await.success);
    stack
}

#[tokio::test]
async fn flags_go_before_the_environment_and_that_before_the_file() {
    let stacks = [
        stack_with_org("in the file").await,
        stack_with_org("in the environment").await,
        stack_with_org("by flag").await,
    ];
    let [file, environment, flag] = stacks.each_ref().map(Stack::database_url);
    let directory = Directory::with(&format!("database_url = \"{file}\"\n"));
    let list = || within(&stacks[0], &directory, ["org", "list"]);
    let from_file = Ended::of(&mut list()).await;
    let from_environment = Ended::of(list().env("RUNLEDGER_DATABASE_URL", environment)).await;
    let from_flag = Ended::of(list().env("RUNLEDGER_DATABASE_URL", environment).args(["--database-url", flag])).await;
    for (ended, name) in [(from_file, "in the file"), (from_environment, "in the environment"), (from_flag, "by flag")]
    {
        assert!(ended.stdout.contains(name), "{name}: {}{}", ended.stdout, ended.stderr);
    }
    let elsewhere = Directory::with("");
    std::fs::write(elsewhere.0.join("other.toml"), format!("database_url = \"{flag}\"\n")).unwrap();
    let from_named = Ended::of(&mut within(&stacks[0], &elsewhere, ["org", "list", "--config", "other.toml"])).await;
    assert!(from_named.stdout.contains("by flag"), "{}", from_named.stderr);
}

#[tokio::test]
async fn a_settings_file_that_is_not_understood_is_named_with_what_is_wrong() {
    let stack = idle_stack().await;
    for (settings, expected) in [
        ("databse_url = \"postgres://x\"\n", "databse_url"),
        ("log_format = \"yaml\"\n", "yaml"),
        ("metrics_addr = \"nowhere\"\n", "metrics_addr"),
        ("database_url = \n", "line 1"),
    ] {
        let directory = Directory::with(settings);
        let ended = Ended::of(&mut within(&stack, &directory, ["org", "list"])).await;
        let complaint = ended.complaint();
        assert!(complaint.contains("runledger.toml") && complaint.contains(expected), "{expected}: {complaint}");
    }
    let directory = Directory::with("");
    let ended = Ended::of(&mut within(&stack, &directory, ["org", "list", "--config", "not-there.toml"])).await;
    assert!(ended.complaint().contains("not-there.toml"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_server_that_is_not_given_or_not_there_is_one_line_that_says_what_to_do() {
    let stack = idle_stack().await;
    let directory = Directory::with("");
    let url = |text: &str| text.to_owned();
    let server = stack.database_url().split_once("://").unwrap().1;
    let server = server.split_once('@').map_or(server, |(_, server)| server);
    let wrong_password = format!("postgres://nobody:secret@{server}");
    let mut faults = Vec::new();
    let (database, nats) = (stack.database_url(), stack.nats_url());
    for (command, database_url, nats_url, expected) in [
        ("org list", None, None, "RUNLEDGER_DATABASE_URL"),
        ("simulate", None, None, "RUNLEDGER_NATS_URL"),
        ("org list", Some(url("postgres://u:secret@127.0.0.1:1/x")), None, "127.0.0.1:1"),
        ("org list", Some(url("no url")), None, "postgres://"),
        ("org list", Some(wrong_password), None, "RUNLEDGER_DATABASE_URL"),
        ("migrate", Some(format!("{database}_that_is_not_there")), None, "does not exist"),
        ("org add Nobody", Some(url(database)), Some(url("nats://u:secret@127.0.0.1:1")), "127.0.0.1:1"),
        ("simulate", None, Some(url("nats://u:secret@127.0.0.1:1")), "RUNLEDGER_NATS_URL"),
        ("simulate", None, Some(nats.replacen("://", "://not", 1)), "authorization"),
    ] {
        let mut asked = within(&stack, &directory, []);
        asked.args(command.split(' '));
        for (name, value) in [("RUNLEDGER_DATABASE_URL", &database_url), ("RUNLEDGER_NATS_URL", &nats_url)] {
            if let Some(value) = value {
                asked.env(name, value);
            }
        }
        let ended = Ended::of(&mut asked).await;
        let complaint = ended.complaint();
        let causes: Vec<_> = complaint.split(": ").collect();
        let says_twice = causes.iter().any(|cause| causes.iter().filter(|other| *other == cause).count() > 1);
        if !complaint.contains(expected) || complaint.contains("secret") || says_twice {
            faults.push(format!("{command}, {expected:?} expected: {complaint}"));
        }
    }
    assert!(faults.is_empty(), "not said, said twice, or a password:\n{}", faults.join("\n"));
}

#[tokio::test]
async fn status_shows_what_the_database_knows_also_when_nats_is_away() {
    let stack = idle_stack().await;
    let ended = Ended::of(&mut runledger(&stack, ["status", "--nats-url", "nats://127.0.0.1:1"])).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("user_workflow_run"), "{}", ended.stdout);
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_address_of_another_kind_of_database_is_told_apart() {
    let stack = idle_stack().await;
    let ended =
        Ended::of(&mut runledger(&stack, ["org", "list", "--database-url", "mysql://u:secret@127.0.0.1/x"])).await;
    let complaint = ended.complaint();
    assert!(
        complaint.contains("mysql") && complaint.contains("postgres://") && !complaint.contains("secret"),
        "{complaint}"
    );
}
