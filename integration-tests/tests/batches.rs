//! Batches from the stream to the terminal: totals that are those of the rows, whatever comes when.

use events::id::OrgId;
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, eventually, rebuild_same, run, size_reaches, stack};

/// The events of a batch in an order of their own: of every four rows, one is completed, one failed, one skipped,
/// one still pending.
fn batch_events(org_id: OrgId, batch_id: Uuid, rows: u32) -> Vec<Sent> {
    let mut events = vec![
        ("batch.submitted", json!({ "name": "Monday", "rows_expected": rows + 2, "external_id": "B-1" })),
        ("batch.started", json!({})),
    ];
    for number in 0..rows {
        let row_id = Uuid::new_v4();
        let added = json!({ "row_id": row_id, "row_number": number + 1, "external_id": format!("CLM-{number}") });
        events.push(("batch_row.added", added));
        if number % 4 < 2 {
            events.push(("batch_row.started", json!({ "row_id": row_id, "run_id": Uuid::new_v4() })));
        }
        match number % 4 {
            0 => events.push(("batch_row.completed", json!({ "row_id": row_id }))),
            1 => events.push(("batch_row.failed", json!({ "row_id": row_id, "error_message": "no such member" }))),
            2 => events.push(("batch_row.skipped", json!({ "row_id": row_id, "reason": "paid" }))),
            _ => {}
        }
    }
    let time = |place: usize| format!("2026-01-05T10:{:02}:{:02}Z", place / 60, place % 60);
    let sent = events.into_iter().enumerate().map(|(place, (event_type, data))| {
        Sent::valid(org_id, event_type, batch_id, data).with("ce-time", &time(place))
    });
    sent.collect()
}

/// Publishes the events in an order that has nothing to do with their own, and every third a second time.
async fn publish_shuffled(stack: &Stack, events: &[Sent]) {
    let places = (0..events.len()).map(|place| place * 7_919 % events.len());
    for (number, place) in places.enumerate() {
        events[place].publish(stack).await;
        if number % 3 == 0 {
            events[place].publish(stack).await;
        }
    }
}

/// The totals of the batch, and those counted from its rows.
async fn totals(stack: &Stack, batch_id: Uuid) -> Option<(Value, Value)> {
    sqlx::query_as(
        "SELECT jsonb_build_array(rows_total, rows_pending, rows_running, rows_completed, rows_failed, rows_skipped),
                (SELECT jsonb_build_array(count(*), count(*) FILTER (WHERE r.status = 'pending'),
                     count(*) FILTER (WHERE r.status = 'running'), count(*) FILTER (WHERE r.status = 'completed'),
                     count(*) FILTER (WHERE r.status = 'failed'), count(*) FILTER (WHERE r.status = 'skipped'))
                 FROM batch_row r WHERE r.org_id = b.org_id AND r.batch_id = b.batch_id)
         FROM batch_job b WHERE batch_id = $1",
    )
    .bind(batch_id)
    .fetch_optional(stack.pool())
    .await
    .unwrap()
}

/// An org with a batch of 40 rows that came in disorder.
async fn shuffled(stack: &Stack) -> (OrgId, Uuid) {
    let org_id = stack.register_org("batched").await.unwrap();
    size_reaches(stack, org_id, 1).await;
    let batch_id = Uuid::new_v4();
    let events = batch_events(org_id, batch_id, 40);
    publish_shuffled(stack, &events).await;
    let all = events.len() as i64 + 1;
    size_reaches(stack, org_id, all).await;
    eventually("all rows", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        let through = projector::projected_through(&mut conn, org_id).await.unwrap().get();
        // What is written together agrees at any time, also halfway.
        if let Some((totals, counted)) = totals(stack, batch_id).await {
            assert_eq!(totals, counted);
        }
        (through >= all).then_some(())
    })
    .await;
    (org_id, batch_id)
}

#[tokio::test]
async fn the_totals_of_a_batch_are_those_of_its_rows_after_any_arrival_and_a_rebuild() {
    let stack = stack().await;
    let (_, batch_id) = shuffled(&stack).await;
    let expected = json!([40, 10, 0, 10, 10, 10]);
    assert_eq!(totals(&stack, batch_id).await, Some((expected.clone(), expected.clone())));
    rebuild_same(&stack, "batch_job").await;
    assert_eq!(totals(&stack, batch_id).await, Some((expected.clone(), expected)));
}

#[tokio::test]
async fn batches_are_listed_and_shown_with_their_progress() {
    let stack = stack().await;
    let (org_id, batch_id) = shuffled(&stack).await;
    let (org, id) = (org_id.to_string(), batch_id.to_string());
    let listed = run(&stack, ["batches", "list", "--org", &org]).await.stdout;
    for expected in [&id, "Monday", "running", "71 %", "40"] {
        assert!(listed.contains(expected), "{expected:?} is not in:\n{listed}");
    }
    let shown = run(&stack, ["batches", "show", &id, "--rows", "failed", "--limit", "3"]).await.stdout;
    for expected in
        ["RUNNING", "30 of 42 done: 10 completed, 10 failed, 10 skipped, 10 pending", "CLM-1 ", "3 of 40 rows"]
    {
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
    }
    assert!(!shown.contains("paid") && shown.matches("no such member").count() == 3, "{shown}");
    let shown: Value = serde_json::from_str(&run(&stack, ["batches", "show", &id, "--json"]).await.stdout).unwrap();
    let numbers: Vec<i64> =
        shown["rows"].as_array().unwrap().iter().map(|row| row["row_number"].as_i64().unwrap()).collect();
    assert!(numbers.into_iter().eq(1..=40), "{shown}");
    assert!(shown["rows"][0]["run_id"].is_string() && shown["rows_expected"] == 42);

    let unfinished =
        Sent::valid(org_id, "batch.completed", batch_id, json!({})).with("ce-time", "2026-01-05T12:00:00Z");
    unfinished.publish(&stack).await;
    eventually("the end of the batch", async || {
        let listed = run(&stack, ["batches", "list", "--status", "completed", "--json"]).await.stdout;
        let batch: Value = serde_json::from_str(listed.lines().next()?).unwrap();
        assert_eq!(batch["flags"], json!(["rows_missing", "rows_unfinished"]));
        Some(())
    })
    .await;
}

#[tokio::test]
async fn pages_of_batches_follow_one_another() {
    let stack = stack().await;
    let org_id = stack.register_org("paged").await.unwrap();
    for number in 0..5 {
        Sent::valid(org_id, "batch.submitted", Uuid::new_v4(), json!({ "name": format!("batch {number}") }))
            .with("ce-time", &format!("2026-01-05T1{number}:00:00Z"))
            .publish(&stack)
            .await;
    }
    eventually("five batches", async || {
        let listed = run(&stack, ["batches", "list", "--json"]).await.stdout;
        (listed.lines().count() == 5).then_some(())
    })
    .await;
    let names = |printed: &str| -> Vec<String> {
        let batches = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        batches.map(|batch| batch["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = run(&stack, ["batches", "list", "--limit", "2"]).await.stdout;
    let after = first.lines().last().unwrap().strip_prefix("more: --after ").unwrap().to_owned();
    let next = run(&stack, ["batches", "list", "--after", &after, "--limit", "2", "--json"]).await.stdout;
    assert_eq!(names(&next), ["batch 2", "batch 1"]);
}

#[tokio::test]
async fn a_tenant_sees_its_own_batches_alone() {
    let stack = stack().await;
    let (org_id, batch_id) = shuffled(&stack).await;
    let other = stack.register_org("other").await.unwrap();
    size_reaches(&stack, other, 1).await;
    let (org, other, id) = (org_id.to_string(), other.to_string(), batch_id.to_string());
    assert_eq!(run(&stack, ["batches", "list", "--org", &org, "--json"]).await.stdout.lines().count(), 1);
    assert_eq!(run(&stack, ["batches", "list", "--org", &other, "--json"]).await.stdout, "");
    let refused = run(&stack, ["batches", "show", &id, "--org", &other]).await;
    assert!(!refused.success && refused.stderr.contains("there is no batch"), "{}", refused.stderr);
}
