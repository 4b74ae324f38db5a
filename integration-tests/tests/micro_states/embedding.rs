//! An embedder behind HTTP: each text once, and its faults are nobody else's.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use events::id::OrgId;
use ledger::connection::{Database, Outage, Role};
use projector::{
    Projector,
    embedding::{Embedder, Hashing, Http, HttpOptions},
    rebuild::{Order, Progress, Rebuild},
};
use serde_json::Value;
use stack::Stack;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{micro_state, of_id, rows, screen};
use crate::harness::{append, eventually, idle_stack, planted, run, runledger, size_reaches};

/// An embedder that can be switched off, and how often it was asked for each text.
#[derive(Clone, Default)]
struct Server {
    is_off: Arc<AtomicBool>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Server {
    async fn start(&self) -> String {
        async fn embed(State(server): State<Server>, body: String) -> (StatusCode, String) {
            if server.is_off.load(Ordering::Relaxed) {
                return (StatusCode::SERVICE_UNAVAILABLE, "warming up".to_owned());
            }
            let request: Value = serde_json::from_str(&body).unwrap();
            let mut embeddings = Vec::new();
            for text in request["inputs"].as_array().unwrap() {
                let text = text.as_str().unwrap();
                *server.asked.lock().unwrap().entry(text.to_owned()).or_default() += 1;
                let axis = text.bytes().map(usize::from).sum::<usize>() % 700;
                embeddings.push(super::along(768, axis));
            }
            (StatusCode::OK, serde_json::to_string(&embeddings).unwrap())
        }
        let app = Router::new().route("/embed", post(embed)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/embed", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn asked(&self) -> HashMap<String, usize> {
        self.asked.lock().unwrap().clone()
    }
}

fn project(stack: &Stack, embedder: Arc<dyn Embedder>) -> (JoinHandle<()>, CancellationToken) {
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let projector = Projector::new(database, Arc::new(Outage::of("PostgreSQL"))).unwrap().embeds_with(embedder);
    let shutdown = CancellationToken::new();
    let running = projector.run(shutdown.clone());
    (tokio::spawn(async move { running.await.unwrap() }), shutdown)
}

async fn registered(stack: &Stack) -> OrgId {
    let _ledger = runledger(stack, ["ledger"]).spawn().unwrap();
    let org_id = stack.register_org("one").await.unwrap();
    size_reaches(stack, org_id, 1).await;
    org_id
}

async fn see(stack: &Stack, org_id: OrgId, number: u128, title: &str) {
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
    assert_eq!(paused(&stack).await, None);
    see(&stack, org_id, 4, "Member search").await;
    eventually("the fourth screen", async || (rows(&stack).await.len() == 4).then_some(())).await;
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
    assert!(!one.success && one.stderr.contains("embeddings of test-model"), "{}{}", one.stdout, one.stderr);
    assert_eq!(rows(&stack).await, before);

    // A rebuild brings the new model, and the projector goes on with it.
    let rebuilt = run(&stack, ["rebuild", "micro_state"]).await;
    assert!(rebuilt.success, "{}{}", rebuilt.stdout, rebuilt.stderr);
    eventually("the fifth screen", async || {
        let models: Vec<String> =
            sqlx::query_scalar("SELECT embedding_model FROM micro_state").fetch_all(stack.pool()).await.unwrap();
        (models.len() == 5 && models.iter().all(|model| model == "hashing-1")).then_some(())
    })
    .await;
    shutdown.cancel();
    task.await.unwrap();
}
