//! Which events a replay takes.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Sent, replay, replayed, size_reaches, stack};
use crate::harness::{new_run, run};

fn seqs(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["ledgerseq"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn events_are_selected_by_org_run_type_seq_and_time() {
    let stack = stack().await;
    let org_id = super::org(&stack, 0).await;
    let other = super::org(&stack, 2).await;
    let run_id = new_run().uuid();
    for (n, (event_type, subject_id)) in [
        ("run.created", run_id),
        ("run.started", run_id),
        ("custom.billing.sent", Uuid::new_v4()),
        ("run.started", Uuid::new_v4()),
        ("run.completed", run_id),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = Sent::valid(org_id, event_type, subject_id, json!({}));
        sent.with("ce-time", &format!("2026-01-05T10:00:0{n}.000001Z")).publish(&stack).await;
        size_reaches(&stack, org_id, n as i64 + 2).await;
    }
    let org = org_id.to_string();
    let run_id = run_id.to_string();
    for (flags, expected) in [
        (&[][..], &[1, 2, 3, 4, 5, 6][..]),
        (&["--run", &run_id], &[2, 3, 6]),
        (&["--run", &org], &[1]),
        (&["--run", &run_id, "--from-seq", "3", "--to-seq", "5"], &[3]),
        (&["--type", "run.started"], &[3, 5]),
        (&["--type", "run.*"], &[2, 3, 5, 6]),
        (&["--type", "run.started", "--type", "custom.*"], &[3, 4, 5]),
        (&["--type", "run.vanished"], &[]),
        (&["--from-seq", "3"], &[3, 4, 5, 6]),
        (&["--to-seq", "2"], &[1, 2]),
        (&["--from-seq", "3", "--to-seq", "3"], &[3]),
        (&["--from-seq", "7"], &[]),
        (&["--to-seq", "70", "--from-seq", "6"], &[6]),
        (&["--before", "2026-01-05T10:00:02.000001Z"], &[2, 3]),
        (&["--since", "2026-01-05T10:00:03.000001Z", "--before", "2026-01-05T11:00:04.000001+01:00"], &[5]),
        (&["--since", "2026-01-05T10:00:03.000001Z", "--type", "run.*"], &[5, 6]),
    ] {
        let events = replayed(&stack, &[&["--org", &org], flags].concat()).await;
        assert_eq!(seqs(&events), expected, "{flags:?}");
        assert!(events.iter().all(|event| event["orgid"] == org), "{flags:?}");
        assert_eq!(events.iter().any(|event| event["ledgerroot"].is_string()), flags.is_empty(), "{flags:?}");
    }
    let both = replayed(&stack, &["--org", &org, "--org", &other.to_string(), "--org", &org]).await;
    assert_eq!(both.len(), 9);
    let all = replayed(&stack, &["--type", "org.registered"]).await;
    assert_eq!(all.len(), 3, "the shared org is one");
    assert!(all.is_sorted_by_key(|event| event["orgid"].as_str().unwrap()), "{all:?}");
}

#[tokio::test]
async fn events_are_selected_by_when_the_ledger_recorded_them() {
    let stack = stack().await;
    let org_id = super::org(&stack, 12).await;
    let org = org_id.to_string();
    let all = replayed(&stack, &["--org", &org]).await;
    let time = |event: &Value| event["recordedtime"].as_str().unwrap().to_owned();
    let parsed = |event: &Value| events::time::parse(&time(event)).unwrap();
    for bound in &all {
        let before = all.iter().filter(|event| parsed(event) < parsed(bound)).count();
        let events = replayed(&stack, &["--org", &org, "--recorded-before", &time(bound)]).await;
        assert_eq!(events.len(), before);
        let events = replayed(&stack, &["--org", &org, "--recorded-since", &time(bound)]).await;
        assert_eq!(events.len(), all.len() - before);
    }
    let none = replayed(&stack, &["--recorded-since", "2999-01-01T00:00:00Z"]).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_selection_that_makes_no_sense_is_refused() {
    let stack = stack().await;
    let nobody = Uuid::new_v4().to_string();
    let unknown = replay(&stack, "-", &["--org", &nobody]).await;
    assert!(!unknown.success && unknown.stderr.contains(&nobody), "{}", unknown.stderr);
    for flags in [
        &["--from-seq", "2"][..],
        &["--to-seq", "2"],
        &["--from-seq", "0", "--org", &nobody],
        &["--type", "run*"],
        &["--since", "yesterday"],
        &["--org", "acme"],
    ] {
        let refused = replay(&stack, "-", flags).await;
        assert!(!refused.success && refused.stdout.is_empty(), "{flags:?}: {}", refused.stdout);
    }
    assert!(!run(&stack, ["replay"]).await.success, "where to is not said");
}
