//! What is learnt from screens: kinds of them, what leads to what, and what comes next; the same by a rebuild.

mod steps;
mod supplied;
mod under_load;

use std::sync::Arc;

use events::id::OrgId;
use futures::future::BoxFuture;
use ledger::connection::{Database, Outage, Role};
use projector::{
    Projector, Registration,
    embedding::{AlikeFrom, Embedder, EmbedderError, Hashing, TextEmbedding},
    rebuild::{Order, Progress, Rebuild, RebuildError, Report},
};
use serde_json::{Value, json};
use stack::Stack;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{append, eventually, idle_stack, planted, run, stack};

const TABLES: [&str; 3] = ["macro_state", "macro_state_member", "rcm_transition"];

fn projections() -> Vec<Registration> {
    let names = ["micro_state", "macro_state", "rcm_transition"];
    let all = projector::registry().unwrap();
    names.map(|name| *all.iter().find(|projection| projection.name == name).unwrap()).into()
}

fn database(stack: &Stack) -> Database {
    Database::new(stack.database_url(), Role::Projector).unwrap()
}

/// Everything in the rows of a table, in order.
async fn rows(stack: &Stack, table: &str) -> Vec<String> {
    let select = format!("SELECT t::text FROM {table} t ORDER BY t::text");
    sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(stack.pool()).await.unwrap()
}

async fn all_rows(stack: &Stack) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for table in TABLES {
        all.push(rows(stack, table).await);
    }
    all
}

/// Waits until everything that is in the stream was appended and folded.
async fn all_is_done(stack: &Stack) {
    eventually("everything to be appended and folded", async || {
        let status = objects(stack, &["status", "--json"]).await.pop().unwrap();
        let lags = status["projections"].as_array().unwrap().iter().all(|projection| projection["lag_events"] == 0);
        (status["stream_lag"] == 0 && lags).then_some(())
    })
    .await;
}

/// What a command prints as JSON.
async fn objects(stack: &Stack, arguments: &[&str]) -> Vec<Value> {
    let output = crate::harness::runledger(stack, []).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn dry_run(stack: &Stack, projections: Vec<Registration>) -> Result<Report, RebuildError> {
    let order = Order { dry_run: true, ..Order::default() };
    let mut differences = Vec::new();
    let rebuild = Rebuild::of(projections, database(stack));
    let report = rebuild.run(&order, &Progress::default(), |difference| differences.push(difference)).await?;
    assert!(differences.is_empty(), "{differences:#?}");
    Ok(report)
}

#[tokio::test]
async fn what_is_learnt_live_is_what_a_rebuild_learns_and_says_what_comes_next() {
    let stack = stack().await;
    let simulate =
        ["simulate", "--portal", "--runs", "150", "--orgs", "2", "--seed", "7", "--start", "2026-01-05T08:00:00Z"];
    assert!(run(&stack, simulate).await.success);
    all_is_done(&stack).await;
    let before = all_rows(&stack).await;
    assert!(before.iter().all(|rows| rows.len() > 20), "{:?}", before.iter().map(Vec::len).collect::<Vec<_>>());
    dry_run(&stack, projections()).await.unwrap();

    let rebuild = Rebuild::of(projections(), database(&stack));
    rebuild.run(&Order::default(), &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap();
    assert_eq!(all_rows(&stack).await, before);

    // It goes on from there.
    let again =
        ["simulate", "--portal", "--runs", "40", "--orgs", "2", "--seed", "8", "--start", "2026-01-05T08:00:00Z"];
    assert!(run(&stack, again).await.success);
    all_is_done(&stack).await;
    dry_run(&stack, projections()).await.unwrap();

    let origins: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT origin FROM macro_state ORDER BY 1").fetch_all(stack.pool()).await.unwrap();
    assert_eq!(origins, ["cluster", "defined", "label"]);
    predictions(&stack).await;
}

async fn predictions(stack: &Stack) {
    let find = "SELECT from_state, org_id FROM rcm_transition GROUP BY 1, 2 ORDER BY sum(count) DESC LIMIT 1";
    let (from, org_id): (Uuid, OrgId) = sqlx::query_as(find).fetch_one(stack.pool()).await.unwrap();
    let (from, org_id) = (from.to_string(), org_id.to_string());
    let predict = ["micro-states", "predict", "--from", &from, "--json", "-k", "1000"];
    let next = objects(stack, &predict).await;
    let total: f64 = next.iter().map(|one| one["probability"].as_f64().unwrap()).sum();
    assert!((total - 1.0).abs() < 1e-6, "{total}");
    assert!(next.is_sorted_by(|one, other| one["probability"].as_f64() >= other["probability"].as_f64()));
    let supported: i64 = next.iter().map(|one| one["micro_support"].as_i64().unwrap()).sum();
    let counted: i64 = sqlx::query_scalar("SELECT sum(count)::bigint FROM rcm_transition WHERE from_state = $1")
        .bind(from.parse::<Uuid>().unwrap())
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(supported, counted);
    assert_eq!((&next[0]["level"], next[0]["title"].is_string()), (&json!("micro"), true));
    assert!(next.iter().any(|one| one["micro_support"] == 0), "screens of the kind lead elsewhere too");

    // A tenant gets the same answer, and another none.
    let as_tenant = objects(stack, &[&predict[..], &["--org", &org_id]].concat()).await;
    assert_eq!(as_tenant, next);
    let stranger = Uuid::new_v4().to_string();
    let refused = run(stack, ["micro-states", "predict", "--from", &from, "--org", &stranger]).await;
    assert!(!refused.success && refused.stderr.contains("there is no micro-state"), "{}", refused.stderr);

    let kinds = objects(stack, &[&predict[..], &["--level", "macro"]].concat()).await;
    assert!(kinds.len() < next.len() && kinds[0]["level"] == "macro", "{kinds:?}");
    let action = next[0]["action"].as_str().unwrap();
    let by_action = objects(stack, &[&predict[..], &["--action", action]].concat()).await;
    assert!(!by_action.is_empty() && by_action.iter().all(|one| one["action"] == action));
    let shown = run(stack, ["micro-states", "predict", "--from", &from]).await;
    assert!(shown.success && shown.stdout.contains("probability"), "{}", shown.stdout);
    let nothing = run(stack, ["micro-states", "predict", "--from", &from, "--action", "\u{1b}[31mfly"]).await;
    assert!(nothing.stdout.contains("nothing is known to come after it") && !nothing.stdout.contains('\u{1b}'));
}

/// A projector with nothing in its cache, until it has caught up.
async fn project(stack: &Stack, org_id: OrgId) {
    project_with(stack, &projections(), &[org_id], Arc::new(Hashing)).await;
}

async fn project_with(stack: &Stack, projections: &[Registration], orgs: &[OrgId], embedder: Arc<dyn Embedder>) {
    let outage = Arc::new(Outage::of("PostgreSQL"));
    let projector = Projector::of(projections, database(stack), outage).unwrap().embeds_with(embedder);
    let names: Vec<_> = projections.iter().map(|projection| projection.name.to_owned()).collect();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(projector.rebuilds_outdated(false).run(shutdown.clone()));
    eventually("the screens to be folded", async || {
        let behind: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM unnest($2::text[]) AS it (projection)
             CROSS JOIN ledger.head h LEFT JOIN ledger.checkpoint c ON c.projection = it.projection AND c.org_id = h.org_id
             WHERE h.org_id = ANY($1) AND coalesce(c.seq, 0) < h.size",
        )
        .bind(orgs.iter().map(|org_id| org_id.uuid()).collect::<Vec<_>>())
        .bind(&names)
        .fetch_one(stack.pool())
        .await
        .unwrap();
        (behind == 0).then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// An org whose events are appended by hand.
async fn org(stack: &Stack) -> OrgId {
    let org_id = OrgId::try_from(Uuid::new_v4()).unwrap();
    sqlx::query("SELECT ledger.make_partition($1)").bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
    append(stack, &planted(org_id, "org.registered", org_id.uuid(), r#"{"name":"one"}"#)).await;
    org_id
}

async fn see(stack: &Stack, org_id: OrgId, screen: u128, title: &str) {
    let data = json!({ "url": "https://portal.example/", "title": title, "ui": { "headings": [title] } });
    append(stack, &planted(org_id, "micro_state.observed", Uuid::from_u128(screen), &data.to_string())).await;
}

#[tokio::test]
async fn a_projector_that_knows_nothing_goes_on_as_if_it_had_been_there_from_the_start() {
    let stack = idle_stack().await;
    let org_id = org(&stack).await;
    see(&stack, org_id, 1, "Search for a member by name").await;
    see(&stack, org_id, 2, "Sign in to the portal").await;
    project(&stack, org_id).await;
    // A label for a screen of an earlier step, screens like those, and a definition.
    see(&stack, org_id, 3, "Search for a member by names").await;
    append(&stack, &planted(org_id, "micro_state.labelled", Uuid::from_u128(1), r#"{"label":"search"}"#)).await;
    project(&stack, org_id).await;
    append(&stack, &planted(org_id, "micro_state.labelled", Uuid::from_u128(2), r#"{"label":7}"#)).await;
    let defined = r#"{"name":"Search","label":"search"}"#;
    append(&stack, &planted(org_id, "macro_state.defined", Uuid::from_u128(9), defined)).await;
    see(&stack, org_id, 4, "Sign in to the portal").await;
    project(&stack, org_id).await;

    let kinds: Vec<(String, Option<String>, i32)> =
        sqlx::query_as("SELECT origin, name, micro_states FROM macro_state ORDER BY origin")
            .fetch_all(stack.pool())
            .await
            .unwrap();
    assert_eq!(kinds, [("cluster".to_owned(), None, 2), ("defined".to_owned(), Some("Search".to_owned()), 2)]);
    let members: Vec<(Uuid, String, Vec<String>)> =
        sqlx::query_as("SELECT micro_state_id, via, flags FROM macro_state_member ORDER BY micro_state_id")
            .fetch_all(stack.pool())
            .await
            .unwrap();
    let via: Vec<_> = members.iter().map(|(_, via, _)| via.as_str()).collect();
    assert_eq!(via, ["label", "cluster", "cluster_label", "cluster"]);
    assert_eq!(members[1].2, ["unfoldable_event"]);
    dry_run(&stack, projections()).await.unwrap();
}

#[tokio::test]
async fn another_threshold_makes_other_kinds_by_a_rebuild_and_nobody_mixes_the_two() {
    let stack = idle_stack().await;
    let org_id = org(&stack).await;
    see(&stack, org_id, 1, "Search for a member by name").await;
    see(&stack, org_id, 2, "Search for a member by names").await;
    project(&stack, org_id).await;
    assert_eq!(rows(&stack, "macro_state").await.len(), 1);

    let kinds: Vec<_> = projections().into_iter().filter(|projection| projection.name == "macro_state").collect();
    let strict = Arc::new(AlikeFrom { embedder: Arc::new(Hashing), similarity: 0.999 });
    let rebuild = Rebuild::of(kinds.clone(), database(&stack)).embeds_with(strict.clone());
    rebuild.run(&Order::default(), &Progress::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&stack, "macro_state").await.len(), 2);

    // To whoever has the old threshold they are others, and stay as they are.
    see(&stack, org_id, 3, "Search for a member by name").await;
    let dry_run = Order { dry_run: true, ..Order::default() };
    let old = Rebuild::of(kinds.clone(), database(&stack));
    let report = old.run(&dry_run, &Progress::default(), |_| {}).await.unwrap();
    assert!(report.projections[0].tables.iter().any(|table| table.differences() > 0), "{report:?}");
    assert_eq!(rows(&stack, "macro_state").await.len(), 2);
    // Whoever has the new one folds what is new into them.
    let rebuild = Rebuild::of(kinds, database(&stack)).embeds_with(strict);
    rebuild.run(&dry_run, &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap();
    assert_eq!(rows(&stack, "macro_state_member").await.len(), 3);
}

#[tokio::test]
async fn another_embedder_is_a_rebuild_that_says_how_neighbours_moved_and_can_be_undone() {
    let stack = stack().await;
    let simulate =
        ["simulate", "--portal", "--runs", "40", "--orgs", "1", "--seed", "7", "--start", "2026-01-05T08:00:00Z"];
    assert!(run(&stack, simulate).await.success);
    all_is_done(&stack).await;
    let screens: Vec<_> = projections().into_iter().filter(|projection| projection.name == "micro_state").collect();
    let distances = "SELECT sum(a.text_embedding <=> b.text_embedding) FROM micro_state a, micro_state b";
    let before: f64 = sqlx::query_scalar(distances).fetch_one(stack.pool()).await.unwrap();

    let of_org = sqlx::query_scalar("SELECT org_id FROM micro_state LIMIT 1").fetch_one(stack.pool()).await.unwrap();
    let rebuild = Rebuild::of(screens.clone(), database(&stack)).embeds_with(Arc::new(Flat));
    let order = Order { only_org: Some(of_org), ..Order::default() };
    let refused = rebuild.run(&order, &Progress::default(), |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("leave --org out"), "{refused}");

    let report = rebuild.run(&Order::default(), &Progress::default(), |_| {}).await.unwrap();
    let moved = report.projections[0].neighbours.clone().unwrap();
    assert_eq!((moved.before.as_str(), moved.after.as_str()), ("hashing-1", "flat"));
    let overlap = moved.overlap_at_10.unwrap();
    assert!(moved.screens > 20 && overlap > 0.0 && overlap < 0.9, "{moved:?}");
    let models: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT embedding_model FROM micro_state").fetch_all(stack.pool()).await.unwrap();
    assert_eq!(models, ["flat"]);

    Rebuild::of(screens, database(&stack)).undo(&Order::default(), &Progress::default()).await.unwrap();
    let after: f64 = sqlx::query_scalar(distances).fetch_one(stack.pool()).await.unwrap();
    assert!((before - after).abs() < 1e-6, "{before} {after}");
}

/// Embeds by the length of a text and its first letters.
struct Flat;

impl Embedder for Flat {
    fn model(&self) -> &str {
        "flat"
    }

    fn texts_max(&self) -> usize {
        8
    }

    fn calls_max(&self) -> usize {
        1
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        let embed = |text: &&str| {
            let mut numbers = vec![0.0; 768];
            numbers[0] = text.len() as f32 / 100.0;
            text.bytes()
                .skip(6)
                .take(40)
                .zip(&mut numbers[1..])
                .for_each(|(byte, number)| *number = f32::from(byte) / 100.0);
            TextEmbedding::try_from(numbers).unwrap()
        };
        Box::pin(std::future::ready(Ok(texts.iter().map(embed).collect())))
    }
}
