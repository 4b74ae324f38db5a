//! What cannot be imported from, and what is said then.

use super::*;

async fn refusal(stack: &Stack, old: &OldDatabase, org_id: OrgId, more: &[&str]) -> String {
    let output = import(stack, old, &Files::new(), org_id, more).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_column_that_is_needed_and_lacking_is_named_with_its_table() {
    let (stack, org_id) = stack_with_org().await;
    let old = OldDatabase::of(&stack, 1..=3).await;
    let said = refusal(&stack, &OldDatabase::empty(&stack).await, org_id, &[]).await;
    assert!(said.contains("workflow_trace") && said.contains("--schema"), "{said}");

    old.execute("ALTER TABLE workflow_steps RENAME status TO state").await;
    let said = refusal(&stack, &old, org_id, &[]).await;
    assert!(said.contains("public.workflow_steps has no column status"), "{said}");

    let typed =
        "ALTER TABLE workflow_steps RENAME state TO status; ALTER TABLE workflow_trace ALTER trace_id TYPE text";
    old.execute(typed).await;
    let said = refusal(&stack, &old, org_id, &[]).await;
    assert!(said.contains("column trace_id of table public.workflow_trace is of type text"), "{said}");

    // A view in another schema mends it, and a table that is not there is not missed.
    let mended = "CREATE SCHEMA mended;
                  CREATE VIEW mended.workflow_trace AS
                      SELECT trace_id::bigint, org_id, status, created_at FROM workflow_trace";
    old.execute(mended).await;
    let (is_good, said) = imported(&stack, &old, &Files::new(), org_id, &["--schema", "mended"]).await;
    assert!(is_good && said["tables"]["workflow_steps"]["absent"] == true, "{said}");
    assert_eq!(counts(&said, "workflow_trace")[..3], [3, 3, 0]);
}

#[tokio::test]
async fn runledgers_own_views_in_the_old_shape_are_not_imported() {
    let (stack, org_id) = stack_with_org().await;
    let own = OldDatabase { url: stack.database_url().to_owned() };
    let said = refusal(&stack, &own, org_id, &[]).await;
    assert!(said.contains("public.workflow_trace is runledger's own view"), "{said}");
}

#[tokio::test]
async fn an_org_that_is_not_registered_is_refused_before_anything_is_read() {
    let stack = stack().await;
    let (org_id, old) = (OrgId::generate(), OldDatabase::empty(&stack).await);
    let said = refusal(&stack, &old, org_id, &["--execute"]).await;
    assert!(said.contains(&format!("runledger org add NAME --id {org_id}")), "{said}");
}

#[tokio::test]
async fn where_the_old_database_is_wrong_no_password_is_printed() {
    let (stack, org_id) = stack_with_org().await;
    for url in ["mysql://user:hush@127.0.0.1/x", "postgres://user:hush@127.0.0.1:1/x", "hush"] {
        let said = refusal(&stack, &OldDatabase { url: url.to_owned() }, org_id, &[]).await;
        assert!(said.contains("--from") && !said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn whoever_may_only_read_the_old_tables_can_import_them() {
    let (stack, org_id) = stack_with_org().await;
    let old = OldDatabase::of(&stack, 1..=3).await;
    let reader = format!("old_reader_{}", uuid::Uuid::new_v4().simple());
    let grant = format!(
        "CREATE ROLE {reader} LOGIN PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"
    );
    old.execute(&grant).await;
    let (scheme, place) = old.url.split_once("://").unwrap();
    let (_, place) = place.split_once('@').unwrap();
    let as_reader = OldDatabase { url: format!("{scheme}://{reader}:reader@{place}") };
    let (is_good, said) = imported(&stack, &as_reader, &Files::new(), org_id, &["--execute"]).await;
    assert!(is_good, "{said}");
    old.execute(&format!("REVOKE SELECT ON workflow_steps FROM {reader}")).await;
    let said = refusal(&stack, &as_reader, org_id, &[]).await;
    assert!(said.contains("workflow_steps") && said.contains("SELECT"), "{said}");
    old.execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await;
}
