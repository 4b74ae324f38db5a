//! Search as a tenant, under row-level security: what counts is what is found, not how.

use std::collections::HashSet;

use events::id::OrgId;
use ledger::connection::{Database, Role};
use projector::query::{MicroStateFilter, Nearness, micro_state_nearest};
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{idle_stack, run};

const ORGS: i32 = 5;
const ROWS: i32 = 6_000;

/// Screens of several orgs, around fifty different ones; a fortieth of them are labelled, and an eighth is of another model.
async fn load(stack: &Stack) {
    let load = "
        CREATE TABLE around AS
        SELECT number, (SELECT array_agg(random() - 0.5) FROM generate_series(1, 768) WHERE number = number) AS centre
        FROM generate_series(0, 49) AS number;
        INSERT INTO micro_state (org_id, micro_state_id, url, title, ui, portal_type, label, content_hash, rendition, embedding_model,
            text_embedding, observed_count, first_seen_at, last_seen_at, created_at, updated_at)
        SELECT ('01900000-0000-7000-8000-0000000000' || lpad((n % 5)::text, 2, '0'))::uuid,
            ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '/', 'screen ' || n, '{}', 'payer',
            CASE WHEN n % 41 = 0 THEN 'rare' END, sha256(n::text::bytea), 'title', CASE WHEN n % 8 = 7 THEN 'other' ELSE 'model' END,
            (SELECT array_agg(x + (random() - 0.5) * 0.9) FROM unnest(centre) AS x WHERE n = n)::real[]::halfvec,
            1, now(), now() - n * interval '1 minute', now(), now()
        FROM generate_series(1, 6000) AS n JOIN around ON number = (n * 7919) % 50;
        DROP TABLE around;
        ANALYZE micro_state";
    sqlx::raw_sql(load).execute(stack.pool()).await.unwrap();
}

fn org(number: i32) -> OrgId {
    format!("01900000-0000-7000-8000-0000000000{number:02}").parse().unwrap()
}

async fn tenant(stack: &Stack, org_id: OrgId) -> PgConnection {
    Database::new(stack.database_url(), Role::Reader).unwrap().of_org(org_id).connect().await.unwrap()
}

/// A screen's embedding, and the nearest of what else is meant, compared one by one.
async fn exact(stack: &Stack, org_id: OrgId, number: i32, meant: &str, k: i64) -> (Vec<f32>, HashSet<Uuid>) {
    let select = format!(
        "WITH this AS (SELECT text_embedding AS e FROM micro_state WHERE micro_state_id = $1)
         SELECT (SELECT e::vector::real[] FROM this) AS e,
                ARRAY(SELECT micro_state_id FROM micro_state WHERE org_id = $2 AND {meant}
                      ORDER BY (text_embedding <=> (SELECT e FROM this)) + 0 LIMIT $3) AS nearest"
    );
    let id: Uuid = format!("01900000-0000-7000-8000-{number:012}").parse().unwrap();
    let select = sqlx::query(sqlx::AssertSqlSafe(select)).bind(id).bind(org_id.uuid()).bind(k);
    let row = select.fetch_one(stack.pool()).await.unwrap();
    (row.get("e"), row.get::<Vec<Uuid>, _>("nearest").into_iter().collect())
}

/// Which share of the nearest is found, over many questions of every org.
async fn recall(stack: &Stack, filter: &MicroStateFilter, meant: &str, k: i64) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for number in (3..ROWS).step_by(ROWS as usize / 60 + 1) {
        let org_id = org(number % ORGS);
        let (vector, nearest) = exact(stack, org_id, number, meant, k).await;
        let mut conn = tenant(stack, org_id).await;
        let filter = MicroStateFilter { org_id: Some(org_id), ..filter.clone() };
        let rows = micro_state_nearest(&mut conn, &vector, Nearness::OfText, &filter, k).await.unwrap();
        assert_eq!(rows.len(), nearest.len(), "too few, of what {meant}");
        let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row.get()).unwrap()).collect();
        assert!(rows.is_sorted_by_key(|row| row["distance"].as_f64().unwrap()));
        assert!(rows.iter().all(|row| row["org_id"] == org_id.to_string()));
        found += super::ids(&rows).iter().filter(|id| nearest.contains(id)).count();
        wanted += nearest.len();
    }
    found as f64 / wanted as f64
}

#[tokio::test]
async fn a_tenant_finds_what_is_nearest_whatever_the_filter() {
    let stack = idle_stack().await;
    load(&stack).await;
    let all = MicroStateFilter::default();
    let of_model = MicroStateFilter { model: Some("model".to_owned()), ..all.clone() };
    let rare = MicroStateFilter { label: Some("rare".to_owned()), ..all.clone() };
    let hour: String =
        sqlx::query_scalar("SELECT (now() - interval '41 hours')::text").fetch_one(stack.pool()).await.unwrap();
    let recent = MicroStateFilter { since: Some(format!("{hour}:00").parse().unwrap()), ..all.clone() };
    let since = format!("last_seen_at >= '{hour}'");
    let beyond = recall(&stack, &all, "true", 200).await;
    for (filter, meant) in
        [(&all, "true"), (&of_model, "embedding_model = 'model'"), (&rare, "label = 'rare'"), (&recent, since.as_str())]
    {
        let recall = recall(&stack, filter, meant, 10).await;
        assert!(recall >= 0.97, "recall@10 of what {meant}: {recall}");
    }
    assert!(beyond >= 0.95, "recall@200: {beyond}");
}

#[tokio::test]
async fn a_tenants_search_goes_by_the_index() {
    let stack = idle_stack().await;
    load(&stack).await;
    let (vector, _) = exact(&stack, org(1), 1, "true", 1).await;
    let mut conn = tenant(&stack, org(1)).await;
    let mut tx = conn.begin().await.unwrap();
    let question = include_str!("../../../projector/src/query/micro_state/nearest_by_text.sql");
    let explain = format!("SET LOCAL enable_sort = off; PREPARE question AS {question}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).execute(&mut *tx).await.unwrap();
    let explain =
        format!("EXPLAIN EXECUTE question(ARRAY{vector:?}::real[], NULL, 'model', NULL, NULL, NULL, NULL, 40, 10)");
    let lines: Vec<String> = sqlx::raw_sql(sqlx::AssertSqlSafe(explain))
        .fetch_all(&mut *tx)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(lines.iter().any(|line| line.contains("micro_state_text_embedding")), "{}", lines.join("\n"));
}

#[tokio::test]
async fn a_vector_is_compared_with_embeddings_of_one_model() {
    let stack = idle_stack().await;
    load(&stack).await;
    let vector = serde_json::json!(exact(&stack, org(1), 1, "true", 1).await.0).to_string();
    let org = org(1).to_string();
    let which = run(&stack, ["micro-states", "nearest", "--vector", &vector, "--org", &org]).await;
    assert!(!which.success && which.stderr.contains("with --model: model, other"), "{}", which.stderr);
    let nearest = ["micro-states", "nearest", "--vector", &vector, "--org", &org, "--model", "other", "--json"];
    let rows = super::objects(&run(&stack, nearest).await);
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["embedding_model"] == "other"));
}
