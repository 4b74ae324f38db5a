//! An embedder behind HTTP: each text once, and its faults are nobody else's.

use std::sync::{Arc, atomic::Ordering};

use events::id::OrgId;
use ledger::connection::{Database, Outage, Role};
use projector::{
    Projector,
    embedding::{Embedder, Hashing, Http, HttpOptions},
    rebuild::{Order, Progress, Rebuild},
};
use stack::Stack;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{micro_state, of_id, once::folded, rows, screen, server::Server};
use crate::harness::{append, eventually, idle_stack, planted, run, runledger, size_reaches};

pub fn project(stack: &Stack, embedder: Arc<dyn Embedder>) -> (JoinHandle<()>, CancellationToken) {
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let projector = Projector::new(database, Arc::new(Outage::of("PostgreSQL"))).unwrap().embeds_with(embedder);
    let shutdown = CancellationToken::new();
    let running = projector.run(shutdown.clone());
    (tokio::spawn(async move { running.await.unwrap() }), shutdown)
}

pub async fn registered(stack: &Stack) -> OrgId {
    let _ledger = runledger(stack, ["ledger"]).spawn().unwrap();
    let org_id = stack.register_org("one").await.unwrap();
    size_reaches(stack, org_id, 1).await;
    org_id
}

pub async fn see(stack: &Stack, org_id: OrgId, number: u128, title: &str) {
    let event = planted(org_id, "micro_state.observed", of_id(number), &screen(title, &["Name"]).to_string());
    append(stack, &event).await;
}

/// What the status says of screens: `paused`.
async fn paused(stack: &Stack) -> Option<String> {
    let mut conn = stack.pool().acquire().await.unwrap();
    let status = projector::status(&mut conn).await.unwrap();
    status.into_iter().find(|lag| lag.projection == "micro_state").unwrap().paused
}

#[tokio::test]
async fn a_fault_of_the_embedder_pauses_screens_alone_and_says_so_and_no_text_is_embedded_twice() {
    let (stack, server) = (idle_stack().await, Server::default());
    let org_id = registered(&stack).await;
    server.is_off.store(true, Ordering::Relaxed);
    let url = server.start().await;
    let embedder = || Arc::new(Http::new(HttpOptions::new(&url, "test-model")).unwrap());
    see(&stack, org_id, 1, "Sign in").await;
    see(&stack, org_id, 2, "Sign in").await;
    see(&stack, org_id, 3, "Member search").await;
    append(&stack, &planted(org_id, "user.registered", of_id(9), r#"{"email":"a@example.org"}"#)).await;
    let (task, shutdown) = project(&stack, embedder());

    let told = eventually("the pause to be told", async || paused(&stack).await).await;
    assert!(told.contains("503") && told.contains("warming up"), "{told}");
    let shown = runledger(&stack, ["status"]).output().await.unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("warming up"));
    eventually("the user, who waits for no embedder", async || {
        let users: i64 = sqlx::query_scalar("SELECT count(*) FROM app_user").fetch_one(stack.pool()).await.unwrap();
        (users == 1).then_some(())
    })
    .await;
    assert!(rows(&stack).await.is_empty());

    server.is_off.store(false, Ordering::Relaxed);
    eventually("the screens", async || (rows(&stack).await.len() == 3).then_some(())).await;
    eventually("the pauses to be over", async || {
        let pauses: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ledger.projection_pause").fetch_one(stack.pool()).await.unwrap();
        (pauses == 0 && paused(&stack).await.is_none()).then_some(())
    })
    .await;
    see(&stack, org_id, 4, "Member search").await;
    folded(&stack, 4).await;
    let asked = server.asked();
    assert_eq!((asked.len(), asked.values().max()), (2, Some(&1)), "{asked:?}");

    // A rebuild makes the same rows of what is kept, and needs nobody for it.
    server.is_off.store(true, Ordering::Relaxed);
    let (before, mut differences) = (rows(&stack).await, Vec::new());
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let rebuild = Rebuild::of(vec![micro_state()], database.clone()).embeds_with(embedder());
    rebuild.run(&Order::default(), &Progress::default(), |difference| differences.push(difference)).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(rows(&stack).await, before);

    // Rows of two models cannot be compared, so a projector with another embedder leaves them alone.
    shutdown.cancel();
    task.await.unwrap();
    let (task, shutdown) = project(&stack, Arc::new(Hashing));
    see(&stack, org_id, 5, "Claim status").await;
    let told = eventually("the pause to be told", async || paused(&stack).await).await;
    assert!(told.contains("embeddings of test-model") && told.contains("hashing-1"), "{told}");
    assert_eq!(rows(&stack).await, before);

    let org = org_id.to_string();
    let one = run(&stack, ["rebuild", "micro_state", "--org", &org]).await;
    assert!(!one.success && one.stderr.contains("made with test-model"), "{}{}", one.stdout, one.stderr);
    assert_eq!(rows(&stack).await, before);

    // A rebuild brings the new model, and the projector goes on with it.
    let rebuilt = run(&stack, ["rebuild", "micro_state"]).await;
    assert!(rebuilt.success, "{}{}", rebuilt.stdout, rebuilt.stderr);
    assert!(rebuilt.stdout.contains("now set the projectors and the searches to hashing-1"), "{}", rebuilt.stdout);
    assert!(rebuilt.stdout.contains("macro_state is still made with test-model, alike from 0.8"), "{}", rebuilt.stdout);
    let again = run(&stack, ["rebuild", "micro_state"]).await;
    assert!(again.success && !again.stdout.contains("now set"), "{}", again.stdout);
    eventually("the fifth screen", async || {
        let models: Vec<String> =
            sqlx::query_scalar("SELECT embedding_model FROM micro_state").fetch_all(stack.pool()).await.unwrap();
        (models.len() == 5 && models.iter().all(|model| model == "hashing-1")).then_some(())
    })
    .await;
    shutdown.cancel();
    task.await.unwrap();
}

/// Titles of screens, whether they have an embedding, and their flags.
async fn embedded(stack: &Stack) -> Vec<(String, bool, Vec<String>)> {
    let rows = "SELECT title, text_embedding IS NOT NULL, flags FROM micro_state ORDER BY title";
    sqlx::query_as(rows).fetch_all(stack.pool()).await.unwrap()
}

pub async fn rebuild(stack: &Stack, embedder: Arc<dyn Embedder>, projections: &[&str], order: Order) -> u64 {
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let projections = projections.iter().map(|name| *projector::registration(name).unwrap()).collect();
    let rebuild = Rebuild::of(projections, database).embeds_with(embedder);
    let report = rebuild.run(&order, &Progress::default(), |_| {}).await.unwrap();
    report.projections.iter().flat_map(|rebuilt| &rebuilt.tables).map(|table| table.differences()).sum()
}

#[tokio::test]
async fn a_text_that_the_embedder_refuses_has_no_embedding_and_holds_nobody_up() {
    let (stack, server) = (idle_stack().await, Server::default());
    let org_id = registered(&stack).await;
    *server.refuses.lock().unwrap() = Some("Endless");
    let embedder = Arc::new(Http::new(HttpOptions::new(server.start().await, "test-model")).unwrap());
    for (number, title) in ["Sign in", "Endless", "Member search", "Claim status"].into_iter().enumerate() {
        see(&stack, org_id, number as u128 + 1, title).await;
    }
    let (task, shutdown) = project(&stack, embedder.clone());
    eventually("the screens", async || (rows(&stack).await.len() == 4).then_some(())).await;
    let of = |title: &str, is_embedded: bool| {
        (title.to_owned(), is_embedded, if is_embedded { vec![] } else { vec!["not_embedded".to_owned()] })
    };
    let with_refusal = [of("Claim status", true), of("Endless", false), of("Member search", true), of("Sign in", true)];
    assert_eq!(embedded(&stack).await, with_refusal);
    assert_eq!(paused(&stack).await, None);

    // The refusal is kept: nobody asks again, and a rebuild of some of the tables makes the same rows.
    eventually("the kinds of those with an embedding", async || {
        let members = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM macro_state_member");
        (members.fetch_one(stack.pool()).await.unwrap() == 3).then_some(())
    })
    .await;
    let asked = server.asked();
    see(&stack, org_id, 5, "Endless").await;
    eventually("the fifth screen", async || (rows(&stack).await.len() == 5).then_some(())).await;
    *server.refuses.lock().unwrap() = None;
    assert_eq!(rebuild(&stack, embedder.clone(), &["micro_state"], Order::default()).await, 0);
    assert_eq!(server.asked(), asked);

    // A rebuild of all of them asks again.
    assert!(rebuild(&stack, embedder.clone(), &["micro_state", "macro_state"], Order::default()).await > 0);
    assert!(embedded(&stack).await.iter().all(|(_, is_embedded, flags)| *is_embedded && flags.is_empty()));
    let dry_run = Order { dry_run: true, ..Order::default() };
    assert_eq!(rebuild(&stack, embedder, &["micro_state", "macro_state"], dry_run).await, 0);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn an_embedder_that_refuses_every_text_pauses_screens_and_no_text_is_held_against() {
    let (stack, server) = (idle_stack().await, Server::default());
    let org_id = registered(&stack).await;
    *server.refuses.lock().unwrap() = Some("");
    let embedder = Arc::new(Http::new(HttpOptions::new(server.start().await, "test-model")).unwrap());
    see(&stack, org_id, 1, "Sign in").await;
    let (task, shutdown) = project(&stack, embedder);
    let told = eventually("the pause to be told", async || paused(&stack).await).await;
    assert!(told.contains("413") && told.contains("too long"), "{told}");
    *server.refuses.lock().unwrap() = None;
    eventually("the screen", async || (rows(&stack).await.len() == 1).then_some(())).await;
    assert_eq!(embedded(&stack).await, [("Sign in".to_owned(), true, vec![])]);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_text_on_which_the_embedder_breaks_down_has_no_embedding_and_holds_nobody_up() {
    let (stack, server) = (idle_stack().await, Server::default());
    let (broken, sound) = (registered(&stack).await, registered(&stack).await);
    *server.breaks_on.lock().unwrap() = Some("Crash");
    let embedder = Arc::new(Http::new(HttpOptions::new(server.start().await, "test-model")).unwrap());
    see(&stack, broken, 1, "Crash").await;
    see(&stack, sound, 2, "Sign in").await;
    let (task, shutdown) = project(&stack, embedder);
    eventually("both screens", async || (rows(&stack).await.len() == 2).then_some(())).await;
    for (number, title) in ["Member search", "Claim status"].into_iter().enumerate() {
        see(&stack, sound, number as u128 + 3, title).await;
        eventually("another screen", async || (rows(&stack).await.len() == number + 3).then_some(())).await;
    }
    let none = "SELECT count(*) FROM micro_state WHERE text_embedding IS NULL AND flags = '{not_embedded}' AND title = 'Crash'";
    assert_eq!(sqlx::query_scalar::<_, i64>(none).fetch_one(stack.pool()).await.unwrap(), 1);
    assert_eq!(paused(&stack).await, None);
    shutdown.cancel();
    task.await.unwrap();
}
