//! A new version of a fold: rebuilt by itself while the old tables serve, side by side with the old binary.

use std::sync::Arc;

use ledger::connection::Outage;
use projector::{
    Projector, Registration,
    copy::Copy,
    projection::{FoldEvent, Lookups, Projection, Subject},
    rebuild::{Order, Progress, Rebuild, RebuildError},
    user_workflow_run::UserWorkflowRun,
};
use serde_json::json;
use sqlx::PgConnection;
use stack::Stack;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{database, event, projection, publish, rebuild};
use crate::harness::{eventually, idle_stack, new_run, runledger, size_reaches};

type Rows = <UserWorkflowRun as Projection>::Rows;

/// The fold of runs with a mistake mended: channels are written in capitals.
#[derive(Default)]
struct Capitals(UserWorkflowRun);

fn capitals(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    for run in &mut rows.runs {
        run.channel = run.channel.as_ref().map(|channel| channel.to_uppercase());
    }
    rows
}

impl Projection for Capitals {
    const NAME: &'static str = UserWorkflowRun::NAME;
    const VERSION: i32 = UserWorkflowRun::VERSION + 1;
    const TABLES: &'static [&'static str] = UserWorkflowRun::TABLES;
    const TYPES: &'static [&'static str] = UserWorkflowRun::TYPES;
    const FAMILIES: &'static [&'static str] = UserWorkflowRun::FAMILIES;
    type Rows = Rows;

    fn apply(&mut self, event: FoldEvent<'_>) {
        self.0.apply(event);
    }

    fn take_rows(&mut self, subject: Subject, lookups: &Lookups, rows: &mut Rows) -> usize {
        self.0.take_rows(subject, lookups, rows)
    }

    fn forget_changes(&mut self) {
        self.0.forget_changes();
    }

    fn weight(&self) -> usize {
        self.0.weight()
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        UserWorkflowRun::copy(&capitals(rows))
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        UserWorkflowRun::write(&capitals(rows), conn).await
    }
}

/// A projector of some version of the fold, as if of another binary.
struct Binary {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Binary {
    fn start(stack: &Stack, projection: Registration, rebuilds: bool) -> Self {
        let projector = Projector::of(&[projection], database(stack), Arc::new(Outage::of("PostgreSQL"))).unwrap();
        let shutdown = CancellationToken::new();
        let running = projector.rebuilds_outdated(rebuilds).run(shutdown.clone());
        Self { shutdown, task: tokio::spawn(async move { running.await.unwrap() }) }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn channel(stack: &Stack, schema: &str, run_id: events::id::RunId) -> Option<String> {
    let select = format!("SELECT channel FROM {schema}.user_workflow_run WHERE run_id = $1");
    let channel = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).bind(run_id);
    channel.fetch_optional(stack.pool()).await.unwrap().flatten()
}

async fn channel_becomes(stack: &Stack, schema: &str, run_id: events::id::RunId, expected: &str) {
    eventually(&format!("{schema} to say {expected}"), async || {
        (channel(stack, schema, run_id).await.as_deref() == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_fold_is_rebuilt_by_itself_while_the_old_binary_keeps_the_old_tables_current() {
    let stack = idle_stack().await;
    let _ledger = runledger(&stack, ["ledger"]).spawn().unwrap();
    let org_id = stack.register_org("versions").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let begin = |run_id| [event(org_id, run_id, "run.started", json!({ "channel": "web" }))];
    let [first, second, third, fourth] = [(); 4].map(|()| new_run());
    let old = projection("user_workflow_run");
    let new = Registration::of::<Capitals>();

    let old_binary = Binary::start(&stack, old, true);
    publish(&stack, begin(first)).await;
    channel_becomes(&stack, "public", first, "web").await;

    // A new binary that is told to wait neither rebuilds nor writes what its fold has not made.
    let waiting = Binary::start(&stack, new, false);
    publish(&stack, begin(second)).await;
    channel_becomes(&stack, "public", second, "web").await;
    waiting.stop().await;
    let generations: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ledger.generation WHERE projection = 'user_workflow_run'")
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert_eq!(generations, 1);

    let new_binary = Binary::start(&stack, new, true);
    channel_becomes(&stack, "public", first, "WEB").await;
    // Both go on, each with its own tables.
    publish(&stack, begin(third)).await;
    channel_becomes(&stack, "public", third, "WEB").await;
    channel_becomes(&stack, "replaced", third, "web").await;

    // Back to the old fold, by the old binary only.
    let undo = |registration| Rebuild::of(vec![registration], database(&stack));
    let refused = undo(new).undo(&Order::default(), &Progress::default()).await;
    assert!(matches!(refused, Err(RebuildError::OtherFold { version: 1, .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("use runledger 0.1.0"));
    undo(old).undo(&Order::default(), &Progress::default()).await.unwrap();
    channel_becomes(&stack, "public", third, "web").await;
    publish(&stack, begin(fourth)).await;
    channel_becomes(&stack, "public", fourth, "web").await;
    channel_becomes(&stack, "replaced", fourth, "WEB").await;

    // The new binary was sent back and does not try again by itself, also when its tables are gone.
    new_binary.stop().await;
    rebuild(&stack, &[old], Order::default()).await.unwrap();
    let new_binary = Binary::start(&stack, new, true);
    publish(&stack, [event(org_id, fourth, "run.completed", json!({}))]).await;
    stack.wait_for_run(org_id, fourth, "completed").await.unwrap();
    assert_eq!(channel(&stack, "public", fourth).await.as_deref(), Some("web"));
    new_binary.stop().await;
    old_binary.stop().await;

    let refused = rebuild(&stack, &[new], Order { only_org: Some(org_id), ..Order::default() }).await;
    assert!(matches!(refused, Err(RebuildError::OneOrgOfAnotherVersion { .. })), "{refused:?}");
    let (report, differences) = rebuild(&stack, &[new], Order::default()).await.unwrap();
    assert_eq!((report.projections[0].version_before, report.projections[0].version), (1, 2));
    assert_eq!(differences.len(), 4);
    let refused = rebuild(&stack, &[old], Order::default()).await;
    assert!(matches!(refused, Err(RebuildError::OlderFold { serving: 2, .. })), "{refused:?}");
}
