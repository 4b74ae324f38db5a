//! What every test starts from: a stack of its own on servers that all tests share, the binary under
//! test, and waiting that is bounded.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use events::id::{OrgId, RunId, SHARED_ORG};
use ledger::connection::{Database, Role};
use projector::rebuild::{Order, Progress, Rebuild, Report};
use serde_json::Value;
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How long [`eventually`] waits.
const WAIT_MAX: Duration = Duration::from_secs(60);

static SERVERS: OnceCell<Arc<Servers>> = OnceCell::const_new();

async fn servers() -> Arc<Servers> {
    let start = async || {
        let options = ServerOptions { nats_accounts: 512, ..ServerOptions::default() };
        Arc::new(Servers::start(options).await.expect("servers to test with"))
    };
    SERVERS.get_or_init(start).await.clone()
}

/// A stack whose ledger and projector run in this process.
pub async fn stack() -> Stack {
    let mut stack = idle_stack().await;
    stack.start_services().unwrap();
    // The ledger publishes these itself; tests that count must not come before them.
    size_reaches(&stack, SHARED_ORG, shared_events()).await;
    stack
}

/// How many events the shared org has by itself.
pub fn shared_events() -> i64 {
    ledger::shared_org::events().unwrap().len() as i64
}

/// A stack without services.
pub async fn idle_stack() -> Stack {
    Stack::on(servers().await).await.unwrap()
}

/// The `runledger` binary, built from this checkout.
pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        // With the tests, so that features, and with them the artefacts, are those of `cargo test --workspace`.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--workspace", "--bin", "runledger", "--tests"]);
        // What cargo has told this process of its package would make build scripts run again, here and in the next build.
        for (name, _) in std::env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of_package| name.to_string_lossy().starts_with(of_package))
            {
                build.env_remove(name);
            }
        }
        let build = build.status().unwrap();
        assert!(build.success(), "runledger does not build");
        // target/debug/deps/integration-… → target/debug/runledger
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("runledger")
    });
    &BINARY
}

/// A `runledger` command that speaks to this stack.
pub fn runledger<const N: usize>(stack: &Stack, arguments: [&str; N]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(binary());
    command
        .args(arguments)
        .env("RUNLEDGER_DATABASE_URL", stack.database_url())
        .env("RUNLEDGER_NATS_URL", stack.nats_url())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What a command printed.
pub struct Printed {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub async fn run<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Printed {
    let output = runledger(stack, arguments).output().await.unwrap();
    Printed {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Rebuilds a projection, which gives the rows that were there.
pub async fn rebuild_same(stack: &Stack, projection: &str) -> Report {
    let projection = *projector::registration(projection).unwrap();
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let rebuild = Rebuild::of(vec![projection], database);
    rebuild.run(&Order::default(), &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap()
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(WAIT_MAX, what, ask).await
}

/// Asks for so long until there is an answer.
pub async fn eventually_within<T>(wait_max: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + wait_max;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", wait_max.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks until there is nothing left to find fault with, and names all that is.
pub async fn all_hold(what: &str, mut faults: impl AsyncFnMut() -> Vec<String>) {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let found = faults().await;
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {} do not hold\n- {}", found.len(), found.join("\n- "));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An id that nothing else has.
pub fn new_run() -> RunId {
    RunId::try_from(Uuid::new_v4()).unwrap()
}

/// A message as any NATS client would send it, to be spoiled by a test before it is published.
pub struct Sent {
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

impl Sent {
    /// A valid event in binary mode.
    pub fn valid(org_id: OrgId, event_type: &str, subject_id: Uuid, data: Value) -> Self {
        let headers = [
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", Uuid::new_v4().to_string()),
            ("ce-source", "/tests".to_owned()),
            ("ce-type", event_type.to_owned()),
            ("ce-subject", subject_id.to_string()),
            ("ce-orgid", org_id.to_string()),
            ("ce-time", "2026-01-05T10:00:00Z".to_owned()),
        ];
        Self {
            subject: format!("runledger.events.{org_id}.{event_type}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            payload: data.to_string().into_bytes(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(named, _)| named == name).unwrap().1
    }

    /// With a header set, or replaced.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(named, _)| named != name);
        self
    }

    /// With another payload.
    pub fn carrying(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// On another subject.
    pub fn to(mut self, subject: &str) -> Self {
        self.subject = subject.to_owned();
        self
    }

    /// Publishes it and waits for the stream's acknowledgement: its place in the stream.
    pub async fn publish(&self, stack: &Stack) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.as_str(), value.as_str());
        }
        let jetstream = async_nats::jetstream::new(stack.client().clone());
        let published =
            jetstream.publish_with_headers(self.subject.clone(), headers, self.payload.clone().into()).await.unwrap();
        published.await.unwrap().sequence
    }
}

/// The code of the dead letter that a message at this place in the stream became.
pub async fn dead_letter_code(stack: &Stack, stream_seq: u64) -> String {
    eventually("the dead letter", async || {
        sqlx::query_scalar("SELECT code FROM ledger.dead_letter WHERE stream_seq = $1")
            .bind(stream_seq as i64)
            .fetch_optional(stack.pool())
            .await
            .unwrap()
    })
    .await
}

/// An event that no door has checked.
pub fn planted(org_id: OrgId, event_type: &str, subject_id: Uuid, data: &str) -> events::Event {
    events::Event {
        org_id,
        event_id: Uuid::new_v4().try_into().unwrap(),
        event_type: event_type.to_owned(),
        schema_version: 1,
        subject_id: subject_id.try_into().unwrap(),
        source: "/planted".to_owned(),
        occurred_at: ledger::now(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: data.to_owned().into(),
    }
}

/// Appends an event past the stream and the door, as an older version of the ledger might have. Its seq.
pub async fn append(stack: &Stack, event: &events::Event) -> i64 {
    let mut tx = stack.pool().begin().await.unwrap();
    let outcomes =
        ledger::append::append(&mut tx, &[event], ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    tx.commit().await.unwrap();
    match outcomes[..] {
        [ledger::append::Outcome::Appended(seq)] => seq.get(),
        ref other => panic!("{other:?}"),
    }
}

/// How many events an org's ledger holds.
pub async fn size(stack: &Stack, org_id: OrgId) -> i64 {
    sqlx::query_scalar("SELECT size FROM ledger.head WHERE org_id = $1")
        .bind(org_id.uuid())
        .fetch_optional(stack.pool())
        .await
        .unwrap()
        .unwrap_or(0)
}

/// Waits until an org's ledger holds so many events.
pub async fn size_reaches(stack: &Stack, org_id: OrgId, expected: i64) {
    eventually(&format!("{expected} events of org {org_id}"), async || {
        (size(stack, org_id).await >= expected).then_some(())
    })
    .await;
}
