//! A walk over whatever has an `org_id`, so that a table that a later migration makes is looked at too.

use std::collections::BTreeSet;

use events::id::{OrgId, SHARED_ORG};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{DENIED, ROLES, sqlstate};

/// Unique keys that do not lead with the org, with the reason.
const KEYS_WITHOUT_ORG: [(&str, &str); 4] = [
    ("ledger.dead_letter dead_letter_pkey", "a letter may belong to no org; people name it by its number"),
    (
        "ledger.dead_letter dead_letter_stream_stream_created_at_stream_seq_key",
        "a place in the stream is one letter, whoever's it is",
    ),
    ("ledger.checkpoint checkpoint_pkey", "projectors claim the orgs of one generation of a projection"),
    ("ledger.parked parked_pkey", "looked at by generation"),
];

struct Relation {
    name: String,
    is_view: bool,
    is_materialised: bool,
    is_partition: bool,
    rls_enabled: bool,
    rls_forced: bool,
    security_invoker: bool,
    readable: bool,
}

/// Everything that would let one of the two orgs see the other's rows, a line each that starts with the
/// relation's name. Both orgs must have rows in whatever the reader may select from.
pub async fn faults(conn: &mut PgConnection, one: OrgId, two: OrgId) -> Vec<String> {
    let relations = relations(conn).await;
    let known: BTreeSet<&str> = relations.iter().map(|relation| relation.name.as_str()).collect();
    for expected in ["ledger.event", "ledger.dead_letter", "public.user_workflow_run", "public.run_step"] {
        assert!(known.contains(expected), "the walk does not see {expected}");
    }
    let mut faults = Vec::new();
    for relation in &relations {
        let found = match relation {
            Relation { is_materialised: true, .. } => materialised_faults(conn, relation).await,
            Relation { is_partition: true, .. } => partition_faults(conn, relation).await,
            _ => Vec::new(),
        };
        let is_table = !relation.is_view && !relation.is_materialised;
        let flags = [
            (is_table && !relation.rls_enabled, "row-level security is not enabled"),
            (is_table && !relation.rls_forced, "row-level security is not forced"),
            (relation.is_view && !relation.security_invoker, "the view is not security_invoker"),
        ];
        let flags = flags.into_iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| fault.to_owned());
        let mut found: Vec<String> = found.into_iter().chain(flags).collect();
        if relation.readable && !relation.is_partition {
            found.extend(reader_faults(conn, relation, one, two).await);
        }
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", relation.name)));
    }
    faults.extend(key_faults(conn).await);
    faults
}

async fn relations(conn: &mut PgConnection) -> Vec<Relation> {
    type Row = (String, String, bool, bool, bool, bool, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n.nspname || '.' || c.relname, c.relkind::text, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
                coalesce(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false),
                has_table_privilege('runledger_reader', c.oid, 'SELECT')
                    OR has_any_column_privilege('runledger_reader', c.oid, 'SELECT')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'ledger') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped)
         ORDER BY 1",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(name, kind, is_partition, rls_enabled, rls_forced, security_invoker, readable)| Relation {
            name,
            is_view: kind == "v",
            is_materialised: kind == "m",
            is_partition,
            rls_enabled,
            rls_forced,
            security_invoker,
            readable,
        })
        .collect()
}

/// Row-level security does not exist for materialised views.
async fn materialised_faults(conn: &mut PgConnection, relation: &Relation) -> Vec<String> {
    let readable = sqlstate(conn, Some("runledger_reader"), &format!("SELECT FROM {}", relation.name)).await.is_none();
    readable.then(|| "a materialised view can be read by the reader".to_owned()).into_iter().collect()
}

/// A partition is reached through its parent only.
async fn partition_faults(conn: &mut PgConnection, relation: &Relation) -> Vec<String> {
    let mut faults = Vec::new();
    for role in ROLES {
        for statement in ["SELECT FROM", "DELETE FROM", "TRUNCATE"] {
            let outcome = sqlstate(conn, Some(role), &format!("{statement} {}", relation.name)).await;
            if outcome.as_deref() != Some(DENIED) {
                faults.push(format!("{role} reaches the partition: {statement} gives {outcome:?}"));
            }
        }
    }
    faults
}

async fn reader_faults(conn: &mut PgConnection, relation: &Relation, one: OrgId, two: OrgId) -> Vec<String> {
    let mut faults = Vec::new();
    if relation.is_materialised {
        return faults;
    }
    for (org_id, other) in [(one, two), (two, one)] {
        let (all, others) = seen(conn, relation, None, org_id, other).await;
        if all == 0 || others == 0 {
            faults.push("the two orgs have no rows in it, so nothing is tried".to_owned());
            continue;
        }
        let (own, others) = seen(conn, relation, Some(&org_id.to_string()), org_id, other).await;
        if own == 0 {
            faults.push("the reader does not see the org's own rows".to_owned());
        }
        if others > 0 {
            faults.push(format!("the reader sees rows of another org: {others}"));
        }
        for nobody in ["", "unset"] {
            let (own, others) = seen(conn, relation, Some(nobody), org_id, other).await;
            if own + others > 0 {
                faults.push(format!("the reader sees rows without saying whose: {}", own + others));
            }
        }
    }
    faults
}

/// How many rows are seen of an org, and of anybody else but the shared org: by the owner, or by the reader
/// who says whose rows it wants.
async fn seen(
    conn: &mut PgConnection,
    relation: &Relation,
    reader: Option<&str>,
    own: OrgId,
    other: OrgId,
) -> (i64, i64) {
    let mut tx = conn.begin().await.unwrap();
    if let Some(org_id) = reader {
        sqlx::raw_sql("SET LOCAL ROLE runledger_reader").execute(&mut *tx).await.unwrap();
        if org_id != "unset" {
            let set = format!("SET LOCAL runledger.org_id = '{org_id}'");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *tx).await.unwrap();
        }
    }
    let count = format!(
        "SELECT count(*) FILTER (WHERE org_id = '{own}'),
                count(*) FILTER (WHERE org_id IS DISTINCT FROM '{own}' AND ('{other}' = org_id OR org_id <> '{SHARED_ORG}'))
         FROM {}",
        relation.name
    );
    let counts = sqlx::query_as(AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    counts
}

async fn key_faults(conn: &mut PgConnection) -> Vec<String> {
    let keys: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT n.nspname || '.' || c.relname, k.relname, coalesce(a.attname, 'an expression')
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_class k ON k.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE n.nspname IN ('public', 'ledger') AND i.indisunique AND a.attname IS DISTINCT FROM 'org_id'
           AND EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'org_id' AND NOT o.attisdropped)
         ORDER BY 1, 2",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    let found: BTreeSet<String> = keys.iter().map(|(table, key, _)| format!("{table} {key}")).collect();
    let mut faults: Vec<String> = KEYS_WITHOUT_ORG
        .iter()
        .filter(|(key, _)| !found.contains(*key))
        .map(|(key, reason)| format!("{key}: is named as an exception ({reason}) and is none"))
        .collect();
    let is_exception = |key: &str| KEYS_WITHOUT_ORG.iter().any(|(named, _)| *named == key);
    faults.extend(
        keys.iter()
            .filter(|(table, key, _)| !is_exception(&format!("{table} {key}")))
            .map(|(table, key, first)| format!("{table}: key {key} leads with {first}, not with org_id")),
    );
    faults
}
