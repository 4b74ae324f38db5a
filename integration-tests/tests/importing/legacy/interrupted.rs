//! Imports that are killed, and imports at one time.

use super::*;
use crate::harness::size;

const TRACES: u32 = 3_000;

/// A stack with an org of this id.
async fn stack_with(org_id: OrgId) -> Stack {
    let stack = stack().await;
    let added = run(&stack, ["org", "add", "St. Mary", "--id", &org_id.to_string()]).await;
    assert!(added.success, "{}", added.stderr);
    stack
}

#[tokio::test]
async fn an_import_that_is_killed_half_way_is_run_again_and_is_as_if_nothing_had_happened() {
    let org_id = OrgId::generate();
    let (whole, broken) = (stack_with(org_id).await, stack_with(org_id).await);
    let (old, files) = (OldDatabase::of(&whole, 1..=TRACES).await, Files::new());
    let (is_good, said) = imported(&whole, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good, "{said}");
    let events = said["events_published"].as_i64().unwrap();

    let mut importing = import(&broken, &old, &files, org_id, &["--execute"]).spawn().unwrap();
    size_reaches(&broken, org_id, events / 4).await;
    importing.start_kill().unwrap();
    importing.wait().await.unwrap();
    let half = size(&broken, org_id).await;
    assert!(half < events, "it was done before it could be killed");

    let (is_good, again) = imported(&broken, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good, "{again}");
    assert!(again["events_known"].as_i64().unwrap() >= half - 1, "what is there is not sent again: {again}");
    assert_eq!(size(&broken, org_id).await, events + 1);
    assert_eq!(all_rows(&broken, org_id).await, all_rows(&whole, org_id).await);
    assert_eq!(contents(&broken).await[3], 0, "events were refused");
}

#[tokio::test]
async fn two_imports_at_one_time_are_as_one() {
    let ((stack, org_id), files, other) = (stack_with_org().await, Files::new(), Files::new());
    let old = OldDatabase::of(&stack, 1..=TRACES / 3).await;
    old.execute("INSERT INTO workflow_steps VALUES (1, NULL, 1, 'success')").await;
    let execute: &[&str] = &["--execute"];
    let (one, two) =
        tokio::join!(imported(&stack, &old, &files, org_id, execute), imported(&stack, &old, &other, org_id, execute));
    assert!(one.0 && two.0, "{} {}", one.1, two.1);
    assert_eq!(counts(&one.1, "workflow_trace"), counts(&two.1, "workflow_trace"));
    assert_eq!(size(&stack, org_id).await, one.1["events"].as_i64().unwrap() + 1);
    assert_eq!(contents(&stack).await[3], 0, "events were refused");
    assert_eq!((files.rejected(), other.rejected().len()), (vec!["workflow_steps 1  orphan".to_owned()], 1));
}
