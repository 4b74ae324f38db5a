//! Screens: from the event to the row, the same by a rebuild, and found again.

mod embedding;
mod once;
mod pruning;
mod searching;
mod server;

use events::id::{MicroStateId, OrgId};
use ledger::connection::{Database, Role};
use projector::{
    Registration,
    rebuild::{Order, Progress, Rebuild},
};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::{
    catalogue::projected,
    harness::{Printed, Sent, dead_letter_code, run, stack},
};

/// A vector of so many dimensions along this axis, with a little of the next.
fn along(dimensions: usize, axis: usize) -> Vec<f64> {
    (0..dimensions)
        .map(|place| {
            if place == axis {
                1.0
            } else if place == axis + 1 {
                0.125
            } else {
                0.0
            }
        })
        .collect()
}

fn screen(title: &str, labels: &[&str]) -> Value {
    let controls: Vec<_> =
        labels.iter().map(|label| json!({ "role": "textbox", "label": label, "value": "Roe" })).collect();
    json!({
        "url": format!("https://portal.example/{}?member=17", title.to_lowercase().replace(' ', "/")),
        "title": title, "ui": { "headings": [title], "controls": controls }, "portal_type": "payer",
    })
}

async fn see(stack: &Stack, org_id: OrgId, id: Uuid, time: &str, data: Value) {
    Sent::valid(org_id, "micro_state.observed", id, data).with("ce-time", time).publish(stack).await;
}

fn of_id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn micro_state() -> Registration {
    *projector::registry().unwrap().iter().find(|projection| projection.name == "micro_state").unwrap()
}

fn objects(printed: &Printed) -> Vec<Value> {
    assert!(printed.success, "{}", printed.stderr);
    printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(rows: &[Value]) -> Vec<Uuid> {
    rows.iter().map(|row| row["micro_state_id"].as_str().unwrap().parse().unwrap()).collect()
}

/// Everything in the rows, in order.
async fn rows(stack: &Stack) -> Vec<String> {
    sqlx::query_scalar("SELECT m::text FROM micro_state m ORDER BY m::text").fetch_all(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn screens_are_remembered_found_again_and_the_same_after_a_rebuild() {
    let stack = stack().await;
    let (org_id, other) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    let [search, again, login, picture] = [1, 2, 3, 4].map(of_id);
    let fields = ["Member ID", "Date of birth"];
    see(&stack, org_id, search, "2026-01-05T10:00:02Z", screen("Eligibility search", &fields)).await;
    see(&stack, org_id, search, "2026-01-05T10:00:00Z", screen("Eligibility", &[])).await;
    see(&stack, org_id, again, "2026-01-05T10:00:00Z", screen("Eligibility search", &fields)).await;
    see(&stack, org_id, login, "2026-01-05T10:00:00Z", screen("Sign in", &["User", "Password"])).await;
    let mut with_picture = screen("Claim status", &["Claim"]);
    with_picture["image_embedding"] = json!(along(512, 0));
    with_picture["screenshot"] = json!({ "uri": "s3://screens/1" });
    see(&stack, org_id, picture, "2026-01-05T10:00:00Z", with_picture.clone()).await;
    with_picture["image_embedding"] = json!(along(512, 1));
    see(&stack, org_id, of_id(5), "2026-01-05T10:00:00Z", with_picture).await;
    see(&stack, other, search, "2026-01-05T10:00:00Z", screen("Eligibility search", &fields)).await;
    let label = json!({ "label": "search", "labelled_by": Uuid::new_v4() });
    Sent::valid(org_id, "micro_state.labelled", search, label).publish(&stack).await;
    projected(&stack, org_id, 8).await;
    projected(&stack, other, 2).await;

    let org = org_id.to_string();
    let shown = objects(&run(&stack, ["micro-states", "show", &search.to_string(), "--org", &org, "--json"]).await);
    let shown = &shown[0];
    assert_eq!((&shown["observed_count"], &shown["label"]), (&json!(2), &json!("search")));
    assert_eq!(shown["same_content"], json!([again]));
    assert_eq!(shown["embedding_model"], "hashing-1");
    assert!(!shown["rendition"].as_str().unwrap().contains("Roe"), "{shown}");
    let table = run(&stack, ["micro-states", "show", &search.to_string(), "--org", &org]).await;
    assert!(table.success && table.stdout.contains("textbox Date of birth"), "{}{}", table.stdout, table.stderr);
    let which = run(&stack, ["micro-states", "show", &search.to_string()]).await;
    assert!(!which.success && which.stderr.contains("--org"), "{}", which.stderr);

    let nearest =
        run(&stack, ["micro-states", "nearest", "--id", &search.to_string(), "-k", "2", "--org", &org, "--json"]).await;
    let nearest = objects(&nearest);
    assert_eq!(ids(&nearest)[0], again);
    assert!(nearest[0]["distance"].as_f64().unwrap() < 1e-3 && nearest[1]["distance"].as_f64().unwrap() > 0.1);
    assert!(nearest[0].get("text_embedding").is_none());
    let text =
        run(&stack, ["micro-states", "nearest", "--text", "sign in password", "-k", "1", "--org", &org, "--json"])
            .await;
    assert_eq!(ids(&objects(&text)), [login]);
    let image = ["micro-states", "nearest", "--image-id", &picture.to_string(), "--org", &org, "--json"];
    assert_eq!(ids(&objects(&run(&stack, image).await)), [of_id(5)]);
    let vector = json!(along(512, 1)).to_string();
    let image = run(&stack, ["micro-states", "nearest", "--image-vector", &vector, "--org", &org, "--json"]).await;
    assert_eq!(ids(&objects(&image)), [of_id(5), picture]);
    let labelled = ["micro-states", "nearest", "--text", "anything", "--org", &org, "--label", "search", "--json"];
    assert_eq!(ids(&objects(&run(&stack, labelled).await)), [search]);
    let portal = ["micro-states", "nearest", "--text", "anything", "--org", &org, "--portal", "provider", "--json"];
    assert_eq!(objects(&run(&stack, portal).await).len(), 0);
    let since =
        ["micro-states", "nearest", "--text", "anything", "--org", &org, "--since", "2026-01-05T10:00:01Z", "--json"];
    assert_eq!(ids(&objects(&run(&stack, since).await)), [search]);
    let listed = run(&stack, ["micro-states", "list", "--org", &org, "--json"]).await;
    assert_eq!(objects(&listed).len(), 5);
    let across = run(&stack, ["micro-states", "list", "--json"]).await;
    assert_eq!(objects(&across).len(), 6);

    let before = rows(&stack).await;
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    for order in [Order { dry_run: true, ..Order::default() }, Order::default()] {
        let mut differences = Vec::new();
        let rebuild = Rebuild::of(vec![micro_state()], database.clone());
        rebuild.run(&order, &Progress::default(), |difference| differences.push(difference)).await.unwrap();
        assert!(differences.is_empty(), "{differences:?}");
    }
    assert_eq!(rows(&stack).await, before);
    see(&stack, org_id, login, "2026-01-05T11:00:00Z", screen("Sign in", &["User", "Password"])).await;
    projected(&stack, org_id, 9).await;
    let text =
        run(&stack, ["micro-states", "nearest", "--text", "sign in password", "-k", "1", "--org", &org, "--json"])
            .await;
    assert_eq!(objects(&text)[0]["observed_count"], 2);
}

#[tokio::test]
async fn an_embedding_that_is_none_is_a_dead_letter_and_the_next_event_goes_on() {
    let stack = stack().await;
    let org_id = stack.register_org("one").await.unwrap();
    let mut wrong = Vec::new();
    for embedding in [json!(along(767, 0)), json!(vec![0.0; 768]), json!(vec!["NaN"; 768]), json!(vec![1e39; 768])] {
        let mut data = screen("Sign in", &[]);
        data["text_embedding"] = embedding;
        wrong.push(Sent::valid(org_id, "micro_state.observed", Uuid::new_v4(), data).publish(&stack).await);
    }
    see(&stack, org_id, of_id(1), "2026-01-05T10:00:00Z", screen("Sign in", &[])).await;
    projected(&stack, org_id, 2).await;
    for stream_seq in wrong {
        assert_eq!(dead_letter_code(&stack, stream_seq).await, "invalid_embedding");
    }
    assert_eq!(rows(&stack).await.len(), 1);
}

#[tokio::test]
async fn what_nearest_cannot_look_for_is_said() {
    let stack = stack().await;
    let org = stack.register_org("one").await.unwrap().to_string();
    let id = MicroStateId::try_from(of_id(9)).unwrap().to_string();
    for (arguments, why) in [
        (["--vector", "[1,2]"], "it has 2 numbers; send 768"),
        (["--image-vector", "nowhere.json"], "nowhere.json cannot be read"),
        (["--id", &id], "there is no micro-state"),
        (["--screen", "/dev/null"], "no data of a micro_state.observed"),
    ] {
        let [option, value] = arguments;
        let refused = run(&stack, ["micro-states", "nearest", option, value, "--org", &org]).await;
        assert!(!refused.success && refused.stderr.contains(why), "{}", refused.stderr);
    }
    let nothing = run(&stack, ["micro-states", "nearest", "--org", &org]).await;
    assert!(!nothing.success && nothing.stderr.contains("--text"), "{}", nothing.stderr);
    let supplied = ["micro-states", "nearest", "--text", "x", "--org", &org, "--embedder", "supplied"];
    let refused = run(&stack, supplied).await;
    assert!(!refused.success && refused.stderr.contains("--id or --vector"), "{}", refused.stderr);
    let http = run(&stack, ["micro-states", "nearest", "--text", "x", "--embedder", "http"]).await;
    assert!(!http.success && http.stderr.contains("RUNLEDGER_EMBEDDER_URL"), "{}", http.stderr);
}
