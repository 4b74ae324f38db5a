//! The demo and the deployment, as a new user meets them.

use std::{collections::BTreeSet, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::harness::{binary, eventually};

fn docker_containers() -> BTreeSet<String> {
    let listed = std::process::Command::new("docker").args(["ps", "--all", "--format", "{{.Names}}"]).output();
    listed
        .map(|listed| String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn demo() -> Command {
    let mut demo = Command::new(binary());
    demo.arg("demo").env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
    demo
}

#[tokio::test]
async fn the_demo_shows_the_whole_thing() {
    let shown = demo().args(["--runs", "200", "--seed", "7"]).output().await.unwrap();
    let (stdout, stderr) =
        (String::from_utf8(shown.stdout).unwrap(), String::from_utf8_lossy(&shown.stderr).into_owned());
    assert!(shown.status.success(), "{stdout}{stderr}");
    for expected in
        ["Runs by org and status", "completed", "failed", "What was refused, and why", "unknown_org", ": intact, "]
    {
        assert!(stdout.contains(expected), "{expected:?} is not in:\n{stdout}");
    }
}

#[tokio::test]
async fn the_demo_kept_goes_on_running_until_it_is_told_to_end() {
    let shown = demo().args(["--runs", "20", "--keep"]).output().await.unwrap();
    let stdout = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{stdout}");
    let exported = |name: &str| {
        let line = stdout.lines().find_map(|line| line.trim().strip_prefix(&format!("export {name}="))).unwrap();
        line.to_owned()
    };
    let with_urls = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("RUNLEDGER_DATABASE_URL", exported("RUNLEDGER_DATABASE_URL"))
            .env("RUNLEDGER_NATS_URL", exported("RUNLEDGER_NATS_URL"));
        command
    };
    let added = with_urls(&["org", "add", "Kept"]).output().await.unwrap();
    let stop = stdout.lines().last().unwrap().trim().to_owned();
    let stopped = std::process::Command::new("sh").args(["-c", &stop]).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(stopped.status.success(), "{stop}: {}", String::from_utf8_lossy(&stopped.stderr));
    let status = with_urls(&["status"]).output().await.unwrap();
    assert!(!status.status.success(), "something still runs");
}

#[tokio::test]
async fn an_interrupted_demo_leaves_nothing_behind() {
    let mut demo = demo().args(["--runs", "100000"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let containers: BTreeSet<String> = loop {
        let line = lines.next_line().await.unwrap().expect("the demo to say what it started");
        if line.starts_with("Postgres in") {
            break line.split_whitespace().filter(|word| word.starts_with("runledger-")).map(str::to_owned).collect();
        }
    };
    if containers.is_empty() {
        println!("skipped: the demo runs no containers here");
        return;
    }
    assert!(containers.is_subset(&docker_containers()), "{containers:?}");
    let pid = demo.id().unwrap().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), demo.wait()).await.unwrap().unwrap();
    assert!(!ended.success());
    eventually("the demo's containers to go", async || containers.is_disjoint(&docker_containers()).then_some(()))
        .await;
}

/// `docker compose`, or `docker-compose` where the plugin is missing.
fn compose(project: &str, arguments: &[&str]) -> std::process::Command {
    let plugin = std::process::Command::new("docker")
        .args(["compose", "version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let mut command = match plugin {
        true => {
            let mut command = std::process::Command::new("docker");
            command.arg("compose");
            command
        }
        false => std::process::Command::new("docker-compose"),
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let binary = binary().strip_prefix(workspace).unwrap();
    command
        .current_dir(workspace)
        .args(["--project-name", project])
        .args(arguments)
        .env("RUNLEDGER_BINARY", binary)
        .env("RUNLEDGER_POSTGRES_PORT", "0")
        .env("RUNLEDGER_NATS_PORT", "0");
    command
}

fn published_port(project: &str, service: &str, port: &str) -> String {
    let output = compose(project, &["port", service, port]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Takes the project down, whatever becomes of the test.
struct Project(String);

impl Drop for Project {
    fn drop(&mut self) {
        let _ = compose(&self.0, &["down", "--volumes", "--remove-orphans"]).output();
    }
}

#[tokio::test]
async fn the_compose_file_brings_up_the_same_system() {
    if !std::process::Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: Docker does not answer");
        return;
    }
    let project = Project(format!("runledgertest{}", std::process::id()));
    let up = compose(&project.0, &["up", "--build", "--detach"]).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let database_url =
        format!("postgres://runledger:runledger@{}/runledger", published_port(&project.0, "postgres", "5432"));
    let nats_url = format!("nats://{}", published_port(&project.0, "nats", "4222"));
    let command = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).env("RUNLEDGER_DATABASE_URL", &database_url).env("RUNLEDGER_NATS_URL", &nats_url);
        command
    };
    eventually("the services of the compose file to take an org", async || {
        command(&["org", "add", "Composed"]).output().await.unwrap().status.success().then_some(())
    })
    .await;
    let simulated = command(&["simulate", "--runs", "20", "--orgs", "1"]).output().await.unwrap();
    assert!(simulated.status.success(), "{}", String::from_utf8_lossy(&simulated.stderr));
    eventually("runs", async || {
        let listed = command(&["runs", "list", "--json"]).output().await.unwrap();
        (String::from_utf8(listed.stdout).unwrap().lines().count() == 20).then_some(())
    })
    .await;
}
