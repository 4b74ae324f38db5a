//! What starting, breaking and leaving the two servers does, with real ones.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::{Connection, PgConnection};
use stack::servers::{Place, ServerOptions, Servers, ServersError};

async fn start() -> Servers {
    let options = ServerOptions { place: Place::Containers, ..ServerOptions::default() };
    Servers::start(options).await.unwrap()
}

/// The client itself ignores the user and the password in a URL.
async fn jetstream(url: &str) -> async_nats::jetstream::Context {
    let address: async_nats::ServerAddr = url.parse().unwrap();
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => {
            async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        _ => async_nats::ConnectOptions::new(),
    };
    async_nats::jetstream::new(options.connect(address).await.unwrap())
}

fn notes_stream(subject: &str) -> async_nats::jetstream::stream::Config {
    async_nats::jetstream::stream::Config {
        name: "NOTES".to_owned(),
        subjects: vec![subject.to_owned()],
        ..Default::default()
    }
}

async fn execute(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

async fn notes(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM note");
    count.fetch_one(&mut connection).await.unwrap()
}

/// Names of the containers of a stack, from its description.
fn containers(description: &str) -> Vec<String> {
    let words = description.split([' ', ';']);
    words.filter(|word| word.starts_with("runledger-")).map(str::to_owned).collect()
}

fn exists(container: &str) -> bool {
    let inspect = Command::new("docker").args(["inspect", container]).output();
    inspect.unwrap().status.success()
}

async fn wait_until_gone(containers: &[String]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while containers.iter().any(|name| exists(name)) {
        assert!(Instant::now() < deadline, "{containers:?} are left behind");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn postgres_has_pgvector_and_nats_has_jetstream() {
    let servers = start().await;
    execute(servers.database_url(), "CREATE EXTENSION vector").await;
    let jetstream = jetstream(servers.nats_url()).await;
    jetstream.query_account().await.unwrap();
    servers.stop().await;
}

#[tokio::test]
async fn two_stacks_run_side_by_side() {
    let (one, other) = tokio::join!(start(), start());
    execute(one.database_url(), "CREATE TABLE note (text text)").await;
    execute(other.database_url(), "CREATE TABLE note (text text)").await;
    assert_ne!(one.nats_url(), other.nats_url());
}

#[tokio::test]
async fn a_killed_server_comes_back_on_the_same_port_with_its_data() {
    let servers = start().await;
    let url = servers.database_url().to_owned();
    execute(&url, "CREATE TABLE note (text text); INSERT INTO note VALUES ('a')").await;
    servers.postgres().restart().await.unwrap();
    assert_eq!(notes(&url).await, 1);

    let before = jetstream(servers.nats_url()).await;
    before.create_stream(notes_stream("notes")).await.unwrap();
    let ack = before.publish("notes", "a".into()).await.unwrap();
    ack.await.unwrap();
    servers.nats().restart().await.unwrap();
    let after = jetstream(servers.nats_url()).await;
    let stream = after.get_stream("NOTES").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

#[tokio::test]
async fn a_server_stays_down_until_it_is_started() {
    let servers = start().await;
    servers.postgres().stop().await.unwrap();
    PgConnection::connect(servers.database_url()).await.unwrap_err();
    servers.postgres().start().await.unwrap();
    PgConnection::connect(servers.database_url()).await.unwrap();
}

#[tokio::test]
async fn accounts_do_not_see_each_others_streams() {
    let options = ServerOptions { nats_accounts: 2, ..ServerOptions::default() };
    let servers = Servers::start(options).await.unwrap();
    for account in 0..2 {
        let url = servers.nats_account_url(account).unwrap();
        let jetstream = jetstream(&url).await;
        let mut streams = jetstream.stream_names();
        assert_eq!(streams.try_next().await.unwrap(), None);
        let stream = notes_stream(&format!("notes.{account}"));
        jetstream.create_stream(stream).await.unwrap();
    }
    assert_eq!(servers.nats_account_url(2), None);
}

#[tokio::test]
async fn dropping_a_stack_removes_its_containers() {
    let servers = start().await;
    let containers = containers(&servers.describe());
    assert_eq!(containers.len(), 2);
    assert!(containers.iter().all(|name| exists(name)));
    drop(servers);
    assert!(!containers.iter().any(|name| exists(name)));
}

/// A process of its own that holds a stack, and what it says of it.
fn spawn_holder() -> (Child, Vec<String>) {
    // `cargo test` builds the examples beside the tests.
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/servers");
    let mut holder = Command::new(&example)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("build it first: cargo build --package stack --examples");
    let output = BufReader::new(holder.stdout.take().unwrap());
    let lines = output.lines().map(Result::unwrap).take(3).collect();
    (holder, lines)
}

#[tokio::test]
async fn a_killed_process_leaves_no_container_behind() {
    let (mut holder, lines) = spawn_holder();
    let containers = containers(&lines[0]);
    assert_eq!(containers.len(), 2, "{lines:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until_gone(&containers).await;
}

#[tokio::test]
async fn what_is_kept_lives_on_until_the_command_is_run() {
    let servers = start().await;
    let url = servers.database_url().to_owned();
    let stop = servers.keep().unwrap();
    PgConnection::connect(&url).await.unwrap();
    let status = Command::new("sh").args(["-c", &stop]).output().unwrap().status;
    assert!(status.success());
    PgConnection::connect(&url).await.unwrap_err();
}

#[tokio::test]
async fn given_servers_are_used_as_they_are_and_never_taken_down() {
    let options = ServerOptions {
        database_url: Some("postgres://somewhere/runledger".to_owned()),
        nats_url: Some("nats://somewhere".to_owned()),
        ..ServerOptions::default()
    };
    let servers = Servers::start(options).await.unwrap();
    assert_eq!(servers.database_url(), "postgres://somewhere/runledger");
    let refused = servers.nats().kill().await;
    assert!(matches!(refused, Err(ServersError::NotOurs(_))));
}

#[tokio::test]
async fn servers_run_as_processes_where_they_are_installed() {
    let options = ServerOptions { place: Place::Processes, ..ServerOptions::default() };
    let servers = match Servers::start(options).await {
        Ok(servers) => servers,
        Err(ServersError::Nowhere { processes, .. }) => {
            eprintln!("skipped: {processes}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let url = servers.database_url().to_owned();
    execute(&url, "CREATE TABLE note (text text); INSERT INTO note VALUES ('a')").await;
    servers.postgres().restart().await.unwrap();
    servers.nats().restart().await.unwrap();
    assert_eq!(notes(&url).await, 1);
    servers.stop().await;
    PgConnection::connect(&url).await.unwrap_err();
}
