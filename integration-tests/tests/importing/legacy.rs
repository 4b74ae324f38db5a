//! The old tables, from a database of their own to the read models.

mod interrupted;
mod old_database;
mod refused;
mod requirements;

use std::path::PathBuf;

use events::id::OrgId;
use serde_json::{Value, json};
use stack::Stack;

use super::contents;
use crate::harness::{run, runledger, size_reaches, stack};
use old_database::OldDatabase;

/// An import's files, removed with it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn rejects(&self) -> PathBuf {
        self.0.path().join("rejects.csv")
    }

    fn differences(&self) -> PathBuf {
        self.0.path().join("differences.csv")
    }

    /// Table, key, part and code of each reject.
    fn rejected(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.rejects()).unwrap();
        let fields = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        fields.map(|fields| [fields[0], fields[1], fields[3], fields[4]].join(" ").trim().to_owned()).collect()
    }
}

/// An `import legacy` of these tables into this org.
fn import(stack: &Stack, old: &OldDatabase, files: &Files, org_id: OrgId, more: &[&str]) -> tokio::process::Command {
    let mut command = runledger(stack, ["import", "legacy", "--json", "--from", &old.url]);
    command.arg("--org-map").arg(format!("7={org_id}"));
    command.arg("--rejects").arg(files.rejects()).arg("--differences").arg(files.differences()).args(more);
    command
}

/// What the command says, and whether it is content.
async fn imported(stack: &Stack, old: &OldDatabase, files: &Files, org_id: OrgId, more: &[&str]) -> (bool, Value) {
    let output = import(stack, old, files, org_id, more).output().await.unwrap();
    let said = serde_json::from_slice(&output.stdout);
    (output.status.success(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// The rows of an org's runs and steps as text.
async fn all_rows(stack: &Stack, org_id: OrgId) -> Vec<String> {
    let query = "(SELECT row_to_json(run)::text FROM user_workflow_run run WHERE org_id = $1 ORDER BY run_id)
                 UNION ALL
                 (SELECT row_to_json(step)::text FROM user_workflow_run_step step WHERE org_id = $1 ORDER BY run_id, step_id)";
    sqlx::query_scalar(query).bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

/// A stack with an org that is registered.
async fn stack_with_org() -> (Stack, OrgId) {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    (stack, org_id)
}

/// Counts of a table: read, taken, rejected and found again.
fn counts(said: &Value, table: &str) -> Vec<Value> {
    ["rows", "taken", "rejected", "found"].iter().map(|count| said["tables"][table][count].clone()).collect()
}

#[tokio::test]
async fn awkward_old_tables_become_runs_and_every_row_is_accounted_for() {
    let ((stack, org_id), files) = (stack_with_org().await, Files::new());
    let old = OldDatabase::awkward(&stack).await;
    let before = contents(&stack).await;

    let (_, surveyed) = imported(&stack, &old, &files, org_id, &["--samples", "1"]).await;
    assert_eq!(contents(&stack).await[..2], before[..2], "a dry run changes nothing");
    assert_eq!((&surveyed["mode"], &surveyed["events_published"]), (&json!("dry_run"), &json!(0)));
    assert_eq!(surveyed["samples"].as_array().unwrap().len(), 1);
    assert_eq!((&surveyed["unmapped_orgs"], &surveyed["without_org"]), (&json!({ "9": 1 }), &json!(1)));

    let (is_good, said) = imported(&stack, &old, &files, org_id, &["--execute", "--status", "Aborted=cancelled"]).await;
    assert!(is_good, "{said}");
    assert_eq!(said["reconciliation"]["unexplained"], 0, "{said}");
    assert_eq!(counts(&said, "workflow_trace"), [10, 7, 3, 7]);
    assert_eq!(counts(&said, "workflow_steps"), [9, 6, 3, 6]);
    assert_eq!(counts(&said, "workflow_events"), [6, 3, 3, 3]);
    assert_eq!(counts(&said, "workflow_trace_screenshot"), [2, 2, 0, 2]);
    assert_eq!(counts(&said, "workflow_trace_context"), [4, 3, 1, 3]);
    assert_eq!(counts(&said, "workflow_trace_endpoint"), [1, 1, 0, 1]);
    assert_eq!(counts(&said, "workflow_data_bindings"), [2, 2, 0, 2]);
    let mut rejected = files.rejected();
    rejected.sort();
    assert_eq!(
        rejected,
        [
            "workflow_events 3  orphan",
            "workflow_events 4  orphan",
            "workflow_events 5  no_time",
            "workflow_steps 104 retry_count number_out_of_range",
            "workflow_steps 105  orphan",
            "workflow_steps 106  unknown_status",
            "workflow_steps 107  orphan",
            "workflow_steps 108 input_data unstorable_text",
            "workflow_steps 109 end_time invalid_time",
            "workflow_trace 6  unmapped_org",
            "workflow_trace 7  unmapped_org",
            "workflow_trace 8  unknown_status",
            "workflow_trace 9 config_snapshot duplicate_key",
            "workflow_trace_context 4  unstorable_text",
        ]
    );
    let rows = all_rows(&stack, org_id).await;
    let find = |key: &str, id: i64| -> Value {
        let row = rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap()).find(|row| row[key] == id);
        row.unwrap_or_else(|| panic!("no {key} {id}"))
    };
    let first = find("legacy_trace_id", 1);
    assert_eq!((&first["status"], &first["started_at"]), (&json!("completed"), &json!("2016-03-01T09:00:00+00:00")));
    assert_eq!(first["context"]["payer"], "Blue Harbor");
    assert_eq!(first["context"]["bindings.claim"], json!({ "n": 1.10 }));
    assert_eq!(first["context"]["legacy"]["tenant_note"], "=cmd()", "columns that nobody knows go along");
    assert_eq!(first["endpoints_used"][0]["legacy_endpoint_id"], "Portal 4");
    assert_eq!(first["flags"], json!([]), "{first}");
    let backwards = find("legacy_trace_id", 2);
    let flags = json!(["event_after_end", "negative_duration", "step_number_reused"]);
    assert_eq!((&backwards["duration_ms"], &backwards["flags"]), (&Value::Null, &flags));
    assert_eq!(contents(&stack).await[3], 0, "events were refused");
}

#[tokio::test]
async fn importing_again_changes_nothing_and_a_revert_is_undone_by_it() {
    let ((stack, org_id), files) = (stack_with_org().await, Files::new());
    let old = OldDatabase::of(&stack, 1..=30).await;
    let (is_good, said) = imported(&stack, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good, "{said}");
    let (rows, once) = (all_rows(&stack, org_id).await, contents(&stack).await);

    let (is_good, again) = imported(&stack, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good && again["events_published"] == 0 && again["events_known"] == said["events_published"], "{again}");
    assert_eq!(contents(&stack).await, once);

    let import_id = said["imports"][org_id.to_string()].as_str().unwrap().to_owned();
    let listed: Value = serde_json::from_str(&run(&stack, ["import", "list", "--json"]).await.stdout).unwrap();
    let expected = (json!(import_id), said["events_published"].clone(), json!(30));
    assert_eq!((listed["import_id"].clone(), listed["events"].clone(), listed["runs"].clone()), expected);
    assert!(run(&stack, ["import", "revert", &import_id]).await.success);
    assert_eq!(all_rows(&stack, org_id).await, Vec::<String>::new());

    let (is_good, compared) = imported(&stack, &old, &files, org_id, &["--reconcile"]).await;
    let explained = compared["reconciliation"]["explained"].as_object().unwrap();
    assert!(is_good && explained.keys().any(|reason| reason.contains("retracted")), "{compared}");
    assert_eq!(counts(&compared, "workflow_trace")[3], 0);

    let (is_good, back) = imported(&stack, &old, &files, org_id, &["--execute"]).await;
    assert_eq!((is_good, &back["reinstated"], &back["events_published"]), (true, &json!(30), &json!(0)));
    assert_eq!(all_rows(&stack, org_id).await, rows);
}

#[tokio::test]
async fn while_the_old_system_goes_on_an_import_brings_the_difference() {
    let ((stack, org_id), files) = (stack_with_org().await, Files::new());
    let old = OldDatabase::of(&stack, 1..=12).await;
    old.execute(
        "UPDATE workflow_trace SET status = 'in_progress', end_time = NULL, updated_at = start_time WHERE trace_id = 5;
         UPDATE workflow_steps SET status = 'running', end_time = NULL, output_data = NULL, updated_at = start_time
             WHERE trace_id = 5",
    )
    .await;
    assert!(imported(&stack, &old, &files, org_id, &["--execute"]).await.0);
    old.execute(
        "UPDATE workflow_trace SET status = 'failed', workflow_id = 'another', error_message = 'no answer', end_time = start_time + interval '9 minutes',
             updated_at = start_time + interval '9 minutes' WHERE trace_id = 5;
         UPDATE workflow_steps SET status = 'completed', end_time = start_time + interval '1 minute',
             updated_at = start_time + interval '1 minute' WHERE trace_id = 5;
         INSERT INTO workflow_trace (trace_id, org_id, workflow_id, status, start_time, end_time, created_at, updated_at)
             SELECT 500, org_id, workflow_id, status, start_time, end_time, created_at, updated_at
             FROM workflow_trace WHERE trace_id = 1",
    )
    .await;

    let (is_good, compared) = imported(&stack, &old, &files, org_id, &["--reconcile"]).await;
    assert!(!is_good && compared["reconciliation"]["unexplained"].as_u64().unwrap() > 3, "{compared}");
    let differences = std::fs::read_to_string(files.differences()).unwrap();
    assert!(differences.contains("workflow_trace,5,status,failed,running,\"unexplained"), "{differences}");
    assert!(differences.contains("workflow_trace,500,,a row,none,\"unexplained"), "{differences}");

    let (is_good, said) = imported(&stack, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good, "{said}");
    let rows = all_rows(&stack, org_id).await;
    let failed =
        rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap()).find(|row| row["legacy_trace_id"] == 5);
    let failed = failed.unwrap();
    assert_eq!(
        (&failed["status"], &failed["error_message"], &failed["flags"]),
        (&json!("failed"), &json!("no answer"), &json!([]))
    );
    assert_eq!(failed["context"]["legacy"], json!({ "status": "failed", "workflow_id": "another" }));
    assert_eq!(contents(&stack).await[3], 0, "no conflicts");
}

#[tokio::test]
async fn rows_that_share_a_key_or_have_none_are_named_and_long_lists_are_explained() {
    let ((stack, org_id), files) = (stack_with_org().await, Files::new());
    let old = OldDatabase::of(&stack, 1..=5).await;
    old.execute(
        "ALTER TABLE workflow_trace DROP CONSTRAINT workflow_trace_pkey, ALTER trace_id DROP NOT NULL;
         ALTER TABLE workflow_steps DROP CONSTRAINT workflow_steps_pkey;
         INSERT INTO workflow_trace SELECT * FROM workflow_trace WHERE trace_id IN (2, 3);
         INSERT INTO workflow_trace (org_id, status, created_at) VALUES (7, 'completed', '2020-01-01');
         INSERT INTO workflow_steps SELECT * FROM workflow_steps WHERE step_id = 41;
         INSERT INTO workflow_events
             SELECT 1000 + n, 1, 11, 'click', NULL, timestamptz '2020-01-01 00:01' + n * interval '1 ms'
             FROM generate_series(1, 1200) n",
    )
    .await;
    let (is_good, said) = imported(&stack, &old, &files, org_id, &["--execute"]).await;
    assert!(is_good, "{said}");
    assert_eq!(counts(&said, "workflow_trace"), [8, 5, 3, 5]);
    assert_eq!(counts(&said, "workflow_steps"), [11, 10, 1, 10]);
    assert_eq!(counts(&said, "workflow_events"), [1_210, 1_210, 0, 1_210]);
    let expected = [
        "workflow_trace 2  duplicate_key",
        "workflow_trace 3  duplicate_key",
        "workflow_steps 41  duplicate_key",
        "workflow_trace   no_key",
    ];
    let expected: Vec<_> = expected.iter().map(|reject| reject.trim().to_owned()).collect();
    assert_eq!(files.rejected(), expected);
    let cut_off = said["reconciliation"]["explained"]
        .as_object()
        .unwrap()
        .iter()
        .find(|(reason, _)| reason.contains("latest 1,000"));
    assert_eq!(cut_off.map(|(_, count)| count), Some(&json!(201)), "{said}");
}
