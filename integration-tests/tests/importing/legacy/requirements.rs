//! The old flat table of field requirements, from a database of its own to three tiers.

use events::id::SHARED_ORG;

use super::*;

const TABLE: &str = r#"
CREATE TABLE field_requirement (
    field_requirement_id serial PRIMARY KEY, org_id int, payer_id text, task_type_id text, field_name varchar,
    requirement text, rule text, pattern text, allowed_values text[], min_value numeric, max_value numeric, help_text text,
    created_at timestamp DEFAULT '2018-05-01', updated_at timestamp, is_active boolean DEFAULT true);
INSERT INTO field_requirement (org_id, payer_id, task_type_id, field_name, requirement, rule, allowed_values, max_value) VALUES
    (NULL, NULL, 'eligibility', 'npi', 'REQUIRED', NULL, NULL, NULL),
    (NULL, NULL, 'eligibility', 'plan', 'conditional', '{"==":[{"var":"plan"},"HMO"]}', '{HMO,PPO}', NULL),
    (NULL, 'aetna', 'eligibility', 'npi', 'optional', NULL, NULL, 9.50),
    (7, NULL, 'eligibility', 'npi', 'forbidden', NULL, NULL, NULL),
    (7, 'aetna', 'eligibility', 'npi', 'not_applicable', NULL, NULL, NULL),
    (8, NULL, 'eligibility', 'npi', 'required', NULL, NULL, NULL),
    (NULL, NULL, 'eligibility', 'odd', 'whatever', NULL, NULL, NULL),
    (NULL, NULL, 'eligibility', 'gone', 'required', NULL, NULL, NULL),
    (NULL, NULL, 'eligibility', 'npi', 'optional', NULL, NULL, NULL);
UPDATE field_requirement SET is_active = false, updated_at = '2019-01-01' WHERE field_name = 'gone';
-- What is said of one field twice is said last.
UPDATE field_requirement SET updated_at = '2017-01-01' WHERE field_requirement_id = 9;
"#;

/// Tier, field, status, level and action of all requirements of an org.
async fn tiers(stack: &Stack, org_id: OrgId) -> Vec<Value> {
    let query = "SELECT to_jsonb(x) FROM (
                     SELECT 'global' AS tier, field, status, level, rule, validation FROM field_requirement WHERE org_id = $1
                     UNION ALL
                     SELECT 'payer', field, status, level, rule, validation FROM payer_requirement WHERE org_id = $1
                     UNION ALL
                     SELECT 'org ' || action, field, status, level, rule, validation FROM org_requirement_policy
                     WHERE org_id = $1
                 ) x ORDER BY tier, field, level";
    sqlx::query_scalar(query).bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

async fn imported(stack: &Stack, old: &OldDatabase, files: &Files, org_id: OrgId, more: &[&str]) -> (bool, Value) {
    let mut command = runledger(stack, ["import", "legacy-requirements", "--json", "--from", &old.url]);
    command.arg("--org-map").arg(format!("7={org_id}"));
    command.arg("--rejects").arg(files.rejects()).arg("--differences").arg(files.differences()).args(more);
    let output = command.output().await.unwrap();
    let said = serde_json::from_slice(&output.stdout);
    (output.status.success(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

#[tokio::test]
async fn the_flat_table_becomes_three_tiers_once_however_often_it_is_imported() {
    let ((stack, org_id), files) = (stack_with_org().await, Files::new());
    let old = OldDatabase::empty(&stack).await;
    old.execute(TABLE).await;
    let task_type = "eligibility=018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21";

    let (is_good, surveyed) = imported(&stack, &old, &files, org_id, &["--task-type-map", task_type]).await;
    assert!(is_good && surveyed["events_published"] == 0, "{surveyed}");
    assert_eq!(tiers(&stack, SHARED_ORG).await, Vec::<Value>::new());

    let execute = ["--execute", "--task-type-map", task_type];
    let (is_good, said) = imported(&stack, &old, &files, org_id, &execute).await;
    assert!(is_good, "{said}");
    assert_eq!(counts(&said, "field_requirement"), [9, 7, 2, 7]);
    assert_eq!(said["reconciliation"]["unexplained"], 0);
    let mut rejected = files.rejected();
    rejected.sort();
    assert_eq!(rejected, ["field_requirement 6  unmapped_org", "field_requirement 7  unknown_level"]);
    let import_id = said["imports"][org_id.to_string()].as_str().unwrap();
    let refused = run(&stack, ["import", "revert", import_id]).await;
    assert!(!refused.success && refused.stderr.contains("brought requirements"), "{}", refused.stderr);
    let row = |tier: &str, field: &str, level: Value| json!({ "tier": tier, "field": field, "status": "active", "level": level, "rule": null, "validation": null });
    let mut plan = row("global", "plan", json!("conditional"));
    plan["rule"] = json!({ "==": [{ "var": "plan" }, "HMO"] });
    plan["validation"] = json!({ "enum": ["HMO", "PPO"] });
    let mut payers = row("payer", "npi", json!("optional"));
    payers["validation"] = json!({ "range": { "max": 9.50 } });
    let mut gone = row("global", "gone", Value::Null);
    gone["status"] = json!("withdrawn");
    assert_eq!(tiers(&stack, SHARED_ORG).await, [gone, row("global", "npi", json!("required")), plan, payers]);
    let policies = [row("org override", "npi", json!("forbidden")), row("org waive", "npi", json!("waived"))];
    assert_eq!(tiers(&stack, org_id).await, policies);
    assert_eq!(contents(&stack).await[3], 0, "events were refused");

    let (is_good, again) = imported(&stack, &old, &files, org_id, &execute).await;
    assert!(is_good && again["events_published"] == 0, "{again}");
    old.execute("UPDATE field_requirement SET requirement = 'optional', updated_at = '2020-01-01' WHERE field_requirement_id = 4").await;
    let (is_good, compared) =
        imported(&stack, &old, &files, org_id, &["--reconcile", "--task-type-map", task_type]).await;
    assert!(!is_good && compared["reconciliation"]["unexplained"] == 2, "{compared}");
    assert!(imported(&stack, &old, &files, org_id, &execute).await.0);
    assert_eq!(tiers(&stack, org_id).await[0]["level"], "optional");
}
