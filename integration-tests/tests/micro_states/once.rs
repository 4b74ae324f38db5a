//! No text is embedded twice, and nobody waits for an embedder, whoever asks it and whatever dies.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use events::id::OrgId;
use futures::FutureExt;
use ledger::connection::{Database, Role};
use projector::{
    embedding::{Embedder, Hashing, Http, HttpOptions},
    rebuild::{Order, Progress, Rebuild},
};
use stack::Stack;

use super::{
    embedding::{project, rebuild, registered, see},
    rows,
    server::Server,
};
use crate::harness::{eventually, idle_stack, runledger};

const TITLES: [&str; 3] = ["Sign in", "Member search", "Claim status"];
/// As `projector::generation::PAUSE`, which a step shares and a swap has alone.
const PAUSE: i32 = 0x726C_7031;
const BOTH: [&str; 2] = ["micro_state", "macro_state"];

/// An embedder that takes its time.
async fn slow(server: &Server, model: &str) -> impl Fn() -> Arc<dyn Embedder> {
    server.delay_ms.store(150, Ordering::Relaxed);
    let options = HttpOptions::new(server.start().await, model);
    move || Arc::new(Http::new(options.clone()).unwrap())
}

pub async fn count(stack: &Stack, select: &'static str) -> i64 {
    sqlx::query_scalar(select).fetch_one(stack.pool()).await.unwrap()
}

/// Waits until so many screens are rows and have a kind.
pub async fn folded(stack: &Stack, screens: i64) {
    eventually(&format!("{screens} screens and their kinds"), async || {
        let seen = count(stack, "SELECT count(*) FROM micro_state").await;
        let members = count(stack, "SELECT count(*) FROM macro_state_member").await;
        (seen == screens && members == screens).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_projectors_and_the_jobs_of_a_rebuild_ask_for_a_text_of_many_orgs_once() {
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for _ in 0..3 {
        orgs.push(registered(&stack).await);
    }
    let (one, other) = (Server::default(), Server::default());
    let (first, second) = (slow(&one, "one").await, slow(&other, "other").await);
    for (org_id, (number, title)) in
        orgs.iter().flat_map(|org_id| TITLES.iter().enumerate().map(move |it| (org_id, it)))
    {
        see(&stack, *org_id, number as u128 + 1, title).await;
    }
    let projectors = [project(&stack, first()), project(&stack, first())];
    folded(&stack, 9).await;
    assert_eq!((one.asked().len(), one.asked().values().max()), (3, Some(&1)), "{:?}", one.asked());

    let order = Order { jobs: 4, ..Order::default() };
    rebuild(&stack, second(), &BOTH, order).await;
    assert_eq!((other.asked().len(), other.asked().values().max()), (3, Some(&1)), "{:?}", other.asked());
    assert_eq!((one.asked().len(), one.asked().values().max()), (3, Some(&1)), "{:?}", one.asked());
    for (task, shutdown) in projectors {
        shutdown.cancel();
        task.await.unwrap();
    }
}

/// Sessions of the database that hold something while they do nothing, or keep a projection still.
async fn idle_holders(stack: &Stack) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT format('%s in a transaction since %s after %s', pid, xact_start, query) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'idle in transaction'
         UNION ALL
         SELECT format('%s keeps a projection still', pid) FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = $1 AND mode = 'ExclusiveLock' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(i64::from(PAUSE))
    .fetch_all(stack.pool())
    .await
    .unwrap()
}

/// As long as the embedder is asked, nothing is held.
async fn nothing_is_held_meanwhile(stack: &Stack, server: &Server) {
    eventually("the embedder to be asked", async || server.is_busy().then_some(())).await;
    let mut looked = 0;
    while server.is_busy() {
        let holders = idle_holders(stack).await;
        if server.is_busy() {
            assert!(holders.is_empty(), "{holders:?}");
            looked += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(looked > 0);
}

/// Waits until somebody waits for a lock in a statement like this.
async fn waits(stack: &Stack, statement: &str) {
    eventually(&format!("{statement} to wait"), async || {
        let waiting: Option<i32> =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1")
                .bind(statement)
                .fetch_optional(stack.pool())
                .await
                .unwrap();
        waiting.map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_holds_nothing_while_it_waits_for_the_embedder() {
    let (stack, server) = (idle_stack().await, Server::default());
    let org_id = registered(&stack).await;
    see(&stack, org_id, 1, "Sign in").await;
    let (task, shutdown) = project(&stack, Arc::new(Hashing));
    folded(&stack, 1).await;
    shutdown.cancel();
    task.await.unwrap();

    // Somebody makes a step with the org, and another with the projection.
    let mut step = stack.pool().begin().await.unwrap();
    let claim =
        "SELECT FROM ledger.checkpoint WHERE projection = 'micro_state' AND generation = 1 AND org_id = $1 FOR UPDATE";
    sqlx::query(claim).bind(org_id.uuid()).execute(&mut *step).await.unwrap();
    let mut other = stack.pool().acquire().await.unwrap();
    let share = "SELECT pg_advisory_lock_shared($1, hashtext('micro_state'))";
    sqlx::query(share).bind(PAUSE).execute(&mut *other).await.unwrap();
    let (embedder, url) = (slow(&server, "slow").await, stack.database_url().to_owned());
    let embedder = embedder();
    let rebuilding = tokio::spawn(async move {
        let projection = *projector::registration("micro_state").unwrap();
        let rebuild = Rebuild::of(vec![projection], Database::new(&url, Role::Projector).unwrap());
        rebuild.embeds_with(embedder).run(&Order::default(), &Progress::default(), |_| {}).await.unwrap()
    });

    // The comparison waits for the org, which has a new text when it comes free.
    waits(&stack, "%FROM ledger.checkpoint%FOR UPDATE%").await;
    server.delay_ms.store(1_000, Ordering::Relaxed);
    see(&stack, org_id, 2, "Member search").await;
    let move_on = "UPDATE ledger.checkpoint SET seq = seq + 1 WHERE projection = 'micro_state' AND generation = 1 AND org_id = $1";
    sqlx::query(move_on).bind(org_id.uuid()).execute(&mut *step).await.unwrap();
    step.commit().await.unwrap();
    nothing_is_held_meanwhile(&stack, &server).await;

    // And so does the swap, for the projection.
    waits(&stack, "SELECT pg_advisory_lock(%").await;
    see(&stack, org_id, 3, "Claim status").await;
    sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *other).await.unwrap();
    nothing_is_held_meanwhile(&stack, &server).await;
    let report = rebuilding.await.unwrap();
    assert!(report.projections[0].paused_ms.is_some(), "{report:?}");
    assert_eq!((rows(&stack).await.len(), server.asked().values().max()), (3, Some(&1)));
}

#[tokio::test]
async fn a_projector_killed_while_it_waits_for_the_embedder_leaves_nothing_behind() {
    let (stack, server) = (idle_stack().await, Server::default());
    let org_id: OrgId = registered(&stack).await;
    server.delay_ms.store(5_000, Ordering::Relaxed);
    let url = server.start().await;
    for (number, title) in TITLES.into_iter().enumerate() {
        see(&stack, org_id, number as u128 + 1, title).await;
    }
    let arguments = ["projector", "--embedder", "http", "--embedder-url", &url, "--embedder-model", "test-model"];
    let mut killed = runledger(&stack, arguments).spawn().unwrap();
    eventually("the server to be asked", async || server.is_busy().then_some(())).await;
    assert!(killed.wait().now_or_never().is_none());
    killed.kill().await.unwrap();
    assert!(rows(&stack).await.is_empty());

    server.delay_ms.store(0, Ordering::Relaxed);
    let _next = runledger(&stack, arguments).spawn().unwrap();
    folded(&stack, 3).await;
    // Nobody knows whether the first one was answered.
    assert!(server.asked().values().all(|times| *times <= 2), "{:?}", server.asked());
}
