//! The services outlive the servers: PostgreSQL and NATS are restarted, or away for a while, under
//! load, and nothing is lost.

use serde_json::json;
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};

use crate::harness::{eventually, new_run, run, runledger, size};

/// Servers of its own: they are taken down.
async fn own_stack() -> Stack {
    let options = ServerOptions { durable: true, nats_accounts: 1000, ..ServerOptions::default() };
    Stack::on(std::sync::Arc::new(Servers::start(options).await.unwrap())).await.unwrap()
}

/// Publishes runs one after another until told to stop; gives back how many were acknowledged.
fn load(stack: &Stack, org_id: events::id::OrgId) -> (tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<i64>) {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let emitter = stack.emitter("/outages");
    let task = tokio::spawn(async move {
        let mut acknowledged = 0;
        while stopped.try_recv().is_err() {
            emitter.run(org_id, new_run()).emit(&events::payload::RunStarted::default()).await.unwrap();
            acknowledged += 1;
        }
        acknowledged
    });
    (stop, task)
}

async fn nothing_is_lost_when(disturb: impl AsyncFnOnce(&Stack)) {
    let stack = own_stack().await;
    let org_id = stack.register_org("outages").await.unwrap();
    let mut up = runledger(&stack, ["up"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the org", async || (size(&stack, org_id).await == 1).then_some(())).await;
    let (stop, load) = load(&stack, org_id);
    eventually("some load", async || (size(&stack, org_id).await > 50).then_some(())).await;

    disturb(&stack).await;
    let before = eventually("the database", async || {
        sqlx::query_scalar::<_, i64>("SELECT size FROM ledger.head WHERE org_id = $1")
            .bind(org_id.uuid())
            .fetch_one(stack.pool())
            .await
            .ok()
    })
    .await;
    eventually("the ledger to go on", async || (size(&stack, org_id).await > before).then_some(())).await;
    stop.send(()).unwrap();
    let acknowledged = load.await.unwrap();
    eventually("every acknowledged event", async || (size(&stack, org_id).await == 1 + acknowledged).then_some(()))
        .await;
    eventually("every run", async || {
        let runs: i64 =
            sqlx::query_scalar("SELECT count(*) FROM user_workflow_run").fetch_one(stack.pool()).await.unwrap();
        (runs == acknowledged).then_some(())
    })
    .await;
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);

    up.kill().await.unwrap();
    let log = String::from_utf8(up.wait_with_output().await.unwrap().stderr).unwrap();
    for server in ["PostgreSQL", "NATS"] {
        let losses = log.lines().filter(|line| line.contains("lost the connection") && line.contains(server)).count();
        assert!(losses <= 1, "the loss of {server} was said {losses} times:\n{log}");
    }
}

#[tokio::test]
async fn nothing_is_lost_when_postgres_restarts_under_load() {
    nothing_is_lost_when(async |stack| stack.servers().postgres().restart().await.unwrap()).await;
}

#[tokio::test]
async fn nothing_is_lost_when_nats_restarts_under_load() {
    nothing_is_lost_when(async |stack| stack.servers().nats().restart().await.unwrap()).await;
}

#[tokio::test]
async fn services_that_start_before_their_servers_wait_for_them() {
    let stack = own_stack().await;
    stack.servers().postgres().stop().await.unwrap();
    stack.servers().nats().stop().await.unwrap();
    let _up = runledger(&stack, ["up"]).spawn().unwrap();
    stack.servers().nats().start().await.unwrap();
    stack.servers().postgres().start().await.unwrap();
    let org_id = eventually("an org to be taken", async || stack.register_org("late").await.ok()).await;
    let run_id = new_run();
    crate::harness::Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
}
