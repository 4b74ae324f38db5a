//! Who may write what: nobody changes an event, only the ledger appends one, only the projector writes
//! read models.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{DENIED, ROLES, sqlstate, two_orgs};
use crate::harness::idle_stack;

const CHANGES: [&str; 3] = ["UPDATE $t SET source = source", "DELETE FROM $t", "TRUNCATE $t"];

/// The event table and its partitions.
async fn event_tables(conn: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT 'ledger.event' UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    // Two orgs and the shared one.
    assert_eq!(tables.len(), 4, "{tables:?}");
    tables
}

#[tokio::test]
async fn no_service_role_can_change_an_event() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let mut faults = Vec::new();
    for table in event_tables(&mut conn).await {
        for role in ROLES {
            for change in CHANGES {
                let change = change.replace("$t", &table);
                let outcome = sqlstate(&mut conn, Some(role), &change).await;
                if outcome.as_deref() != Some(DENIED) {
                    faults.push(format!("{role}: {change} gives {outcome:?}"));
                }
            }
            // The trigger answers with the same SQLSTATE, so the grant is looked at by itself.
            let granted: bool = sqlx::query_scalar(
                "SELECT has_table_privilege($1, $2, 'UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES') OR has_any_column_privilege($1, $2, 'UPDATE')",
            )
            .bind(role)
            .bind(&table)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
            if granted {
                faults.push(format!("{role} is granted a change of {table}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn the_owner_is_refused_by_trigger_also_as_a_replica() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let count = "SELECT count(*) FROM ledger.event";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *conn).await.unwrap();
    let mut faults = Vec::new();
    for table in event_tables(&mut conn).await {
        for prefix in ["", "SET LOCAL session_replication_role = replica; "] {
            for change in CHANGES {
                let change = format!("{prefix}{}", change.replace("$t", &table));
                let outcome = sqlstate(&mut conn, None, &change).await;
                if outcome.as_deref() != Some(DENIED) {
                    faults.push(format!("{change} gives {outcome:?}"));
                }
            }
        }
    }
    // A row of archived_event is there; the other is guarded against TRUNCATE, which needs none.
    for change in [
        "UPDATE ledger.archived_event SET seq = seq",
        "DELETE FROM ledger.archived_event",
        "TRUNCATE ledger.archived_event",
        "TRUNCATE ledger.archived_provenance",
    ] {
        let outcome = sqlstate(&mut conn, None, change).await;
        if outcome.as_deref() != Some(DENIED) {
            faults.push(format!("{change} gives {outcome:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *conn).await.unwrap();
    assert_eq!(after, before);
}

/// Whatever one of our roles may write among tables and views, as `role privilege table`.
async fn writes(conn: &mut PgConnection, condition: &'static str) -> Vec<String> {
    let query = format!(
        "SELECT r.rolname || ' ' || p.privilege || ' ' || n.nspname || '.' || c.relname
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN unnest($1::text[]) AS r (rolname)
         CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
         WHERE n.nspname IN ('public', 'ledger') AND c.relkind IN ('r', 'p', 'v', 'm') AND ({condition})
           AND (has_table_privilege(r.rolname, c.oid, p.privilege)
                OR p.privilege IN ('INSERT', 'UPDATE') AND has_any_column_privilege(r.rolname, c.oid, p.privilege))
         ORDER BY 1"
    );
    let roles: Vec<&str> = ROLES.into_iter().chain(["public"]).collect();
    sqlx::query_scalar(AssertSqlSafe(query)).bind(roles).fetch_all(conn).await.unwrap()
}

#[tokio::test]
async fn only_the_ledger_appends_events() {
    let (stack, one, _) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let of_events = writes(&mut conn, "c.oid = 'ledger.event'::regclass OR c.relispartition").await;
    assert_eq!(of_events, ["runledger_ledger INSERT ledger.event"]);
    let copy = format!(
        "INSERT INTO ledger.event SELECT org_id, gen_random_uuid(), subject_id, 90, occurred_at, recorded_at, schema_version,
             leaf_hash, event_type, source, correlation_id, causation_id, traceparent, extensions, data
         FROM ledger.event WHERE org_id = '{one}' AND seq = 1"
    );
    for role in ROLES {
        let expected = (role != "runledger_ledger").then_some(DENIED);
        assert_eq!(sqlstate(&mut conn, Some(role), &copy).await.as_deref(), expected, "{role}");
    }
}

#[tokio::test]
async fn nobody_but_the_owner_archives_or_drops() {
    let (stack, one, _) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let of_archives =
        writes(&mut conn, "n.nspname = 'ledger' AND (c.relname LIKE 'archive%' OR c.relname = 'provenance')").await;
    assert_eq!(of_archives, [""; 0]);
    for role in ROLES {
        for call in [
            format!("ledger.create_partition('event_{}_rest')", one.uuid().simple()),
            format!("ledger.attach_partition('event_{}_rest', '{one}')", one.uuid().simple()),
            format!("ledger.prepare_rest('{one}')"),
            format!("ledger.copy_rest('{one}', 0, 1)"),
            format!("ledger.lock_for_drop('{one}')"),
            format!("ledger.swap_partition('{one}', 1)"),
        ] {
            let outcome = sqlstate(&mut conn, Some(role), &format!("SELECT {call}")).await;
            assert_eq!(outcome.as_deref(), Some(DENIED), "{role}: {call}");
        }
    }
}

#[tokio::test]
async fn only_the_projector_writes_read_models() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let of_read_models = writes(&mut conn, "n.nspname = 'public'").await;
    let mut expected: Vec<String> = projector::registry()
        .unwrap()
        .iter()
        .flat_map(|projection| projection.tables)
        .flat_map(|table| {
            ["INSERT", "UPDATE", "DELETE"].map(|privilege| format!("runledger_projector {privilege} public.{table}"))
        })
        .collect();
    expected.sort();
    // The owner's own bookkeeping of migrations is written by nobody.
    assert_eq!(of_read_models, expected);
    for role in ROLES {
        let expected = (role != "runledger_projector").then_some(DENIED);
        let delete = "DELETE FROM public.user_workflow_run";
        assert_eq!(sqlstate(&mut conn, Some(role), delete).await.as_deref(), expected, "{role}");
    }
}

#[tokio::test]
async fn service_roles_own_nothing_create_nothing_and_become_nobody_else() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let faults: Vec<String> = sqlx::query_scalar(
        "SELECT r.rolname || ' is more than a plain role' FROM pg_roles r
         WHERE r.rolname = ANY($1) AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolcanlogin)
         UNION ALL
         SELECT r.rolname || ' is a member of ' || g.rolname FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
         WHERE r.rolname = ANY($1)
         UNION ALL
         SELECT r.rolname || ' owns ' || c.relname FROM pg_roles r JOIN pg_class c ON c.relowner = r.oid WHERE r.rolname = ANY($1)
         UNION ALL
         SELECT r.rolname || ' creates in ' || n.nspname FROM pg_roles r CROSS JOIN pg_namespace n
         WHERE r.rolname = ANY($1) AND n.nspname IN ('public', 'ledger') AND has_schema_privilege(r.rolname, n.oid, 'CREATE')",
    )
    .bind(&ROLES[..])
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    assert_eq!(faults, [""; 0]);
}

#[tokio::test]
async fn functions_that_run_as_the_owner_fix_their_search_path_and_are_not_for_everybody() {
    let stack = idle_stack().await;
    let functions: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT p.oid::regprocedure::text, p.proconfig::text LIKE '%search_path=%', has_function_privilege('public', p.oid, 'EXECUTE')
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname IN ('public', 'ledger') AND p.prosecdef",
    )
    .fetch_all(stack.pool())
    .await
    .unwrap();
    assert!(functions.iter().any(|(name, ..)| name.contains("make_partition")), "{functions:?}");
    for (name, fixes_search_path, for_everybody) in functions {
        assert!(fixes_search_path && !for_everybody, "{name}");
    }
    let mut conn = stack.pool().acquire().await.unwrap();
    for role in ROLES {
        let expected = (role != "runledger_ledger").then_some(DENIED);
        let make = format!("SELECT ledger.make_partition('{}')", Uuid::new_v4());
        assert_eq!(sqlstate(&mut conn, Some(role), &make).await.as_deref(), expected, "{role}");
        let protect = "SELECT ledger.protect_by_org('ledger.head', 'runledger_reader', true)";
        assert_eq!(sqlstate(&mut conn, Some(role), protect).await.as_deref(), Some(DENIED), "{role}");
    }
}

#[tokio::test]
async fn making_a_partition_again_changes_nothing() {
    let stack = idle_stack().await;
    let org_id = Uuid::new_v4();
    let mut made = Vec::new();
    for _ in 0..3 {
        sqlx::query("SELECT ledger.make_partition($1)").bind(org_id).execute(stack.pool()).await.unwrap();
        let partition: (String, i64, i64) = sqlx::query_as(
            "SELECT inhrelid::regclass::text, inhrelid::bigint, (SELECT count(*) FROM pg_trigger WHERE tgrelid = inhrelid)
             FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass",
        )
        .fetch_one(stack.pool())
        .await
        .unwrap();
        made.push(partition);
    }
    assert_eq!(made[0].0, format!("ledger.event_{}", org_id.simple()));
    assert_eq!((&made[1], &made[2]), (&made[0], &made[0]));
}

#[tokio::test]
async fn the_same_partition_made_by_many_at_once_is_made_once() {
    let stack = idle_stack().await;
    let org_id = Uuid::new_v4();
    let make =
        || async { sqlx::query("SELECT ledger.make_partition($1)").bind(org_id).execute(stack.pool()).await.map(drop) };
    futures::future::try_join_all((0..4).map(|_| make())).await.unwrap();
    let partitions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass")
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert_eq!(partitions, 1);
}
