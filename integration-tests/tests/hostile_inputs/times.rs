//! Times: what is none, what lies ahead, what is odd and kept.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::cases::{Cases, Structured};
use crate::harness::{Sent, new_run, run};

#[tokio::test]
async fn what_is_no_time_or_lies_ahead_is_refused_in_both_modes() {
    let mut cases = Cases::start().await;
    let tomorrow = events::time::format(Utc::now() + TimeDelta::hours(24) + TimeDelta::minutes(10));
    let list = [
        ("nothing", "", "invalid_time"),
        ("infinity", "infinity", "invalid_time"),
        ("now", "now", "invalid_time"),
        ("a number", "1767607200", "invalid_time"),
        ("30 February", "2026-02-30T00:00:00Z", "invalid_time"),
        ("29 February of a common year", "2025-02-29T00:00:00Z", "invalid_time"),
        ("month 13", "2026-13-01T00:00:00Z", "invalid_time"),
        ("hour 24", "2026-01-05T24:00:00Z", "invalid_time"),
        ("second 61", "2026-01-05T10:00:61Z", "invalid_time"),
        ("an offset of a day", "2026-01-05T10:00:00+24:00", "invalid_time"),
        ("no offset", "2026-01-05T10:00:00", "invalid_time"),
        ("no time of day", "2026-01-05", "invalid_time"),
        ("a space for the T", "2026-01-05 10:00:00Z", "invalid_time"),
        ("year 10000", "10000-01-01T00:00:00Z", "invalid_time"),
        ("year 294277", "294277-01-01T00:00:00Z", "invalid_time"),
        ("year 0", "0000-12-31T23:59:59Z", "invalid_time"),
        ("year 0 by its offset", "0001-01-01T00:00:00+00:01", "invalid_time"),
        ("a year before the first", "-0001-01-01T00:00:00Z", "invalid_time"),
        ("digits that are not ASCII", "٢٠٢٦-01-05T10:00:00Z", "invalid_time"),
        ("more than a day ahead", tomorrow.as_str(), "time_in_future"),
        ("year 9999", "9999-12-31T23:59:59Z", "time_in_future"),
    ];
    for (name, time, code) in list {
        let binary = cases.valid().with("ce-time", time);
        cases.refused(&format!("binary: {name}"), binary, code).await;
        let members = json!({ "time": time });
        let structured = Structured::with_members(cases.org_id, "custom.probed", Uuid::new_v4(), members, "{}");
        cases.refused(&format!("structured: {name}"), structured.sent, code).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn odd_times_are_stored_as_the_instant_they_name() {
    let mut cases = Cases::start().await;
    let ahead = events::time::format(Utc::now() + TimeDelta::hours(23));
    let list = [
        ("a leap second", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("a leap second in another zone", "2017-01-01T00:59:60.5+01:00", "2017-01-01T00:00:00.500Z"),
        ("nanoseconds are cut off", "2026-01-05T10:00:00.123456999Z", "2026-01-05T10:00:00.123456Z"),
        ("before 1970 they are cut off downwards", "1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ("an offset", "2026-01-05T10:00:00+13:45", "2026-01-04T20:15:00Z"),
        ("small letters", "2026-01-05t10:00:00z", "2026-01-05T10:00:00Z"),
        ("29 February of a leap year", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("year 1", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("less than a day ahead", ahead.as_str(), ahead.as_str()),
    ];
    let mut sent_ids = Vec::new();
    for (name, time, instant) in list {
        let sent = cases.valid().with("ce-time", time);
        let event_id: Uuid = sent.header("ce-id").parse().unwrap();
        sent_ids.push((name, event_id, instant.parse::<DateTime<Utc>>().unwrap()));
        cases.appended(name, sent).await;
    }
    cases.all_hold().await;
    let mut faults = Vec::new();
    for (name, event_id, instant) in sent_ids {
        let stored: DateTime<Utc> = sqlx::query_scalar("SELECT occurred_at FROM ledger.event WHERE event_id = $1")
            .bind(event_id)
            .fetch_one(cases.stack.pool())
            .await
            .unwrap();
        if stored != instant {
            faults.push(format!("{name}: {stored}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // They are read back to the microsecond too, or the leaf would not agree.
    let verified = run(&cases.stack, ["verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test]
async fn a_run_before_2000_is_flagged_and_shown() {
    let cases = Cases::start().await;
    let run_id = new_run();
    for (event_type, time) in [("run.started", "0001-01-01T00:00:00Z"), ("run.completed", "1999-12-31T23:59:59Z")] {
        let sent = Sent::valid(cases.org_id, event_type, run_id.uuid(), json!({}));
        sent.with("ce-time", time).publish(&cases.stack).await;
    }
    let shown = cases.stack.wait_for_run(cases.org_id, run_id, "completed").await.unwrap();
    assert_eq!(shown["flags"], json!(["implausible_time"]));
    assert_eq!(shown["duration_ms"], json!(63_082_281_599_000_i64));
    let run_id = run_id.to_string();
    for printed in [run(&cases.stack, ["runs", "list"]).await, run(&cases.stack, ["runs", "show", &run_id]).await] {
        assert!(printed.success && printed.stdout.contains("implausible_time"), "{}{}", printed.stdout, printed.stderr);
    }
}
