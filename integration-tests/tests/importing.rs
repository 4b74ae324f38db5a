//! Imports, from the source to the read models: a real event log here, the old tables below.

mod legacy;

use std::path::Path;

use serde_json::Value;
use stack::Stack;

use crate::harness::{run, runledger, stack};

/// 49,951 lines of 9,999 named cases; one line has no case id. Not part of the repository.
const HOSPITAL_BILLING: &str = "../../shared/data/hospital-billing.csv.gz";

/// Everything that an import could change.
async fn contents(stack: &Stack) -> Vec<i64> {
    let query = "SELECT (SELECT count(*) FROM user_workflow_run), (SELECT count(*) FROM user_workflow_run_step),
                        (SELECT sum(size)::bigint FROM ledger.head), (SELECT count(*) FROM ledger.dead_letter)";
    let (runs, steps, events, refused) =
        sqlx::query_as::<_, (i64, i64, i64, i64)>(query).fetch_one(stack.pool()).await.unwrap();
    vec![runs, steps, events, refused]
}

async fn import(stack: &Stack, file: &Path, rejects: &Path) -> Value {
    let output = runledger(stack, ["import", "event-log", "--json"])
        .arg("--rejects")
        .arg(rejects)
        .arg(file)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_hospitals_log_is_imported_once_however_often_it_is_imported() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(HOSPITAL_BILLING);
    if !file.exists() {
        println!("skipped: {} is not there", file.display());
        return;
    }
    let stack = stack().await;
    let rejects = std::env::temp_dir().join(format!("rejects-{}.csv", std::process::id()));
    let imported = import(&stack, &file, &rejects).await;
    assert_eq!((&imported["cases"], &imported["rejected"]), (&Value::from(9_999), &Value::from(1)));
    let once = contents(&stack).await;
    assert_eq!(once[..2], [9_999, 49_950]);
    assert_eq!(once[3], 0, "events were refused");
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    assert_eq!(rejected.lines().count(), 2, "{rejected}");
    assert!(rejected.lines().nth(1).unwrap().starts_with("214,"), "{rejected}");

    import(&stack, &file, &rejects).await;
    assert_eq!(contents(&stack).await, once, "the second import changed something");
    std::fs::remove_file(&rejects).unwrap();

    let org_id = imported["org_id"].as_str().unwrap();
    let listed = run(&stack, ["runs", "list", "--org", org_id, "--external-id", "A"]).await;
    assert!(listed.stdout.contains("completed"), "{}{}", listed.stdout, listed.stderr);
    let listed = run(&stack, ["runs", "list", "--org", org_id, "--external-id", "A", "--json"]).await;
    let case: Value = serde_json::from_str(&listed.stdout).unwrap();
    let shown = run(&stack, ["runs", "show", case["run_id"].as_str().unwrap(), "--org", org_id]).await;
    assert!(shown.stdout.contains("BILLED"), "{}", shown.stdout);
}
