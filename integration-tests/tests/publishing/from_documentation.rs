//! What `docs/emitting.md` tells people to run and to write is what is run here.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use events::{
    emitter::{Emitter, EmitterOptions, RunEmitter, outbox},
    id::{OrgId, RunId},
    payload::{RunAttributes, RunCompleted, RunStarted},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use stack::Stack;

use crate::harness::{eventually, stack};

const DOCUMENTATION: &str = include_str!("../../../docs/emitting.md");
/// The org id that stands in the documentation's examples.
const ORG_ID: &str = "8f1c2b1e-0c55-4f0e-9d7a-3f6f0d7f2b10";
/// The plain Python client.
const CLIENT: &str = "nats-py==2.16.0";

/// `nats request SUBJECT BODY -H NAME:VALUE …` and `uuidgen`, for machines without them.
const NATS: &str = r#"#!/usr/bin/env python3
import asyncio, os, sys, nats

async def main():
    command, subject, body, *flags = sys.argv[1:]
    assert command == "request" and flags[::2] == ["-H"] * (len(flags) // 2), sys.argv
    connection = await nats.connect(os.environ["NATS_URL"])
    headers = dict(header.split(":", 1) for header in flags[1::2])
    print((await connection.request(subject, body.encode(), headers=headers, timeout=5)).data.decode())
    await connection.close()

asyncio.run(main())
"#;
const UUIDGEN: &str = "#!/usr/bin/env python3\nimport uuid\nprint(uuid.uuid4())\n";

/// The code blocks of a language, in the order of the page.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    DOCUMENTATION.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A virtual environment with the client, made once and then used again; or why there is none.
fn python() -> Result<PathBuf, String> {
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(CLIENT);
    let bin = directory.join("bin");
    let version = CLIENT.split("==").last().unwrap();
    let check = format!("import nats, importlib.metadata as m; assert m.version('nats-py') == '{version}'");
    if said(Command::new(bin.join("python3")).args(["-c", &check])).is_err() {
        said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
        said(Command::new(bin.join("python3")).args(["-m", "pip", "install", "--quiet", CLIENT]))?;
    }
    for (name, text) in [("nats", NATS), ("uuidgen", UUIDGEN)] {
        let program = bin.join(name);
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    Ok(bin)
}

/// What a command printed, or why it failed.
fn said(command: &mut Command) -> Result<String, String> {
    let output: Output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Runs a shell block of the documentation for an org of this stack.
fn run_block(bin: &Path, block: &str, stack: &Stack, org_id: OrgId) -> String {
    assert!(block.contains(ORG_ID), "the block names another org: {block}");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &block.replace(ORG_ID, &org_id.to_string())])
        .current_dir(workspace())
        .env("PATH", path)
        .env("NATS_URL", stack.nats_url())
        .env("RUNLEDGER_NATS_URL", stack.nats_url());
    said(&mut shell).unwrap_or_else(|fault| panic!("{fault}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_python_client_emits_a_run() {
    let bin = match tokio::task::spawn_blocking(python).await.unwrap() {
        Ok(bin) => bin,
        Err(why) => return println!("skipped, as there is no Python with {CLIENT}: {why}"),
    };
    let stack = stack().await;
    let org_id = stack.register_org("By Python").await.unwrap();
    let block = blocks("sh").into_iter().find(|block| block.contains("docs/examples/emit.py")).unwrap();
    let printed = run_block(&bin, block, &stack, org_id);
    let (run_id, rest) = printed.trim().strip_prefix("run ").unwrap().split_once(':').unwrap();
    assert_eq!(rest, " 7 events are on the stream");

    let run = stack.wait_for_run(org_id, run_id.parse().unwrap(), "completed").await.unwrap();
    assert_eq!(run["flags"], json!([]));
    assert_eq!((&run["channel"], &run["external_id"]), (&json!("web"), &json!("claim-20931")));
    assert_eq!(run["context"], json!({ "payer": "Blue Harbor", "eligible": true }));
    let steps: Vec<_> = run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["step_number"], step["status"], step["metadata"]["label"], step["output_data"]]))
        .collect();
    let expected = [
        json!([1, "completed", "Sign in", { "ok": true }]),
        json!([2, "completed", "Look up the member", { "ok": true }]),
    ];
    assert_eq!(steps, expected);
    assert_eq!(crate::harness::size(&stack, org_id).await, 1 + 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_from_a_shell_is_taken() {
    let bin = match tokio::task::spawn_blocking(python).await.unwrap() {
        Ok(bin) => bin,
        Err(why) => return println!("skipped, as there is no Python with {CLIENT}: {why}"),
    };
    let stack = stack().await;
    let org_id = stack.register_org("By shell").await.unwrap();
    let block = blocks("sh").into_iter().find(|block| block.contains("nats request")).unwrap();
    let acknowledged: Value = serde_json::from_str(&run_block(&bin, block, &stack, org_id)).unwrap();
    assert_eq!(acknowledged["stream"], "RUNLEDGER", "{acknowledged}");
    let run = eventually("the run", async || {
        let query = "SELECT to_jsonb(r) FROM user_workflow_run r WHERE org_id = $1";
        sqlx::query_scalar::<_, Value>(query).bind(org_id.uuid()).fetch_optional(stack.pool()).await.unwrap()
    })
    .await;
    assert_eq!((&run["status"], &run["channel"]), (&json!("running"), &json!("web")));
}

/// The documentation's first block in Rust.
async fn emit(nats_url: &str, org_id: OrgId) -> Result<(RunId, i64), Box<dyn std::error::Error>> {
    let emitter = Emitter::connect(nats_url, EmitterOptions::new("/eligibility")).await?;
    let run = emitter.run(org_id, RunId::generate());
    run.emit(&RunStarted(RunAttributes { channel: Some("web".try_into()?), ..Default::default() })).await?;
    run.emit(&RunCompleted::default()).await?;
    let run_id = RunId::try_from(run.event(&RunCompleted::default())?.subject_id.uuid())?;
    Ok((run_id, run.sequence()))
}

/// The second one.
#[allow(clippy::collapsible_if)] // As the documentation has it.
async fn complete(run: &RunEmitter) -> Result<(), Box<dyn std::error::Error>> {
    if let Err(error) = run.emit(&RunCompleted::default()).await {
        if error.is_passing()
            && let Some(event) = error.into_event()
        {
            run.send(event).await?;
        }
    }
    Ok(())
}

/// The third one.
async fn add(pool: &PgPool, event: events::Event) -> Result<(), Box<dyn std::error::Error>> {
    let mut transaction = pool.begin().await?;
    // … the service's own changes …
    outbox::add(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(())
}

#[tokio::test]
async fn the_rust_of_the_documentation_emits_a_run() {
    let stack = stack().await;
    let org_id = stack.register_org("By Rust").await.unwrap();
    let (run_id, sequence) = emit(stack.nats_url(), org_id).await.unwrap();
    let run = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!((&run["channel"], sequence), (&json!("web"), 2));

    let completed = RunId::generate();
    complete(&stack.emitter("/eligibility").run(org_id, completed)).await.unwrap();
    stack.wait_for_run(org_id, completed, "completed").await.unwrap();

    sqlx::raw_sql(outbox::TABLES).execute(stack.pool()).await.unwrap();
    let added =
        events::Event::new(org_id, RunId::generate().subject(), "/eligibility", &RunStarted::default()).unwrap();
    let added_run = RunId::try_from(added.subject_id.uuid()).unwrap();
    add(stack.pool(), added).await.unwrap();
    let idle = std::time::Duration::from_millis(20);
    let relay = outbox::Relay::new(stack.emitter("/eligibility"), stack.pool().clone(), idle);
    let relaying = tokio::spawn(async move { relay.run().await });
    stack.wait_for_run(org_id, added_run, "running").await.unwrap();
    relaying.abort();
}

#[test]
fn the_rust_of_the_documentation_is_what_the_tests_run() {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let tested = squeeze(include_str!("from_documentation.rs"));
    let blocks = blocks("rust");
    assert_eq!(blocks.len(), 3, "a block is not tested");
    for block in blocks {
        let block = block.replace(r#""nats://127.0.0.1:4222""#, "nats_url");
        assert!(tested.contains(&squeeze(&block)), "not what a test runs:\n{block}");
    }
}

#[test]
fn every_example_of_the_documentation_is_run() {
    let openings = DOCUMENTATION.lines().filter(|line| line.starts_with("```") && line.len() > 3).count();
    assert_eq!(openings, blocks("sh").len() + blocks("rust").len(), "a block in a language that no test runs");
    assert_eq!(blocks("sh").len(), 2, "a shell block is not tested");
}
