//! The view and the function in the database come to what a plain merge comes to, over random policies.

use std::collections::{BTreeMap, BTreeSet};

use events::id::{OrgId, SHARED_ORG};
use ledger::connection::{Database, Role};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use sqlx::{PgConnection, query_scalar};
use uuid::Uuid;

use crate::{
    catalogue::projected,
    harness::{Sent, shared_events, stack},
};

const CASES: usize = 40;
const SECONDS: u8 = 6;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    OrgPayer(u8),
    Org,
    Payer(u8),
    Global,
}

/// What is said of a field; nothing is set where it is withdrawn.
#[derive(Clone, Debug)]
struct Policy {
    tier: Tier,
    field: u8,
    second: u8,
    event_id: u128,
    level: Option<&'static str>,
    validation: Option<u8>,
    help_text: Option<u8>,
    is_waiver: bool,
    is_withdrawn: bool,
}

fn policy() -> impl Strategy<Value = Policy> {
    let tier = prop_oneof![
        (0..2u8).prop_map(Tier::OrgPayer),
        Just(Tier::Org),
        (0..2u8).prop_map(Tier::Payer),
        Just(Tier::Global)
    ];
    let level = prop::option::of(prop::sample::select(vec!["required", "optional", "forbidden", "conditional"]));
    let parts = (level, prop::option::of(0..9u8), prop::option::of(0..9u8));
    (tier, 0..3u8, 0..SECONDS, any::<u128>(), parts, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(tier, field, second, event_id, (level, validation, help_text), waives, is_withdrawn)| {
            let is_waiver = waives && matches!(tier, Tier::Org | Tier::OrgPayer(_));
            let is_empty = level.is_none() && validation.is_none() && help_text.is_none();
            let level = if is_empty { Some("required") } else { level }.filter(|_| !is_waiver);
            Policy { tier, field, second, event_id, level, validation, help_text, is_waiver, is_withdrawn }
        },
    )
}

/// Whose policies they are.
struct Case {
    org_id: OrgId,
    task_type: Uuid,
    payers: [Uuid; 3],
    policies: Vec<Policy>,
}

impl Case {
    fn publication(&self, policy: &Policy) -> Sent {
        let (org_id, family, subject, payer) = match policy.tier {
            Tier::Global => (SHARED_ORG, "requirement", self.task_type, None),
            Tier::Payer(payer) => (SHARED_ORG, "payer_requirement", self.payers[usize::from(payer)], None),
            Tier::Org => (self.org_id, "org_policy", self.org_id.uuid(), None),
            Tier::OrgPayer(payer) => {
                (self.org_id, "org_policy", self.org_id.uuid(), Some(self.payers[usize::from(payer)]))
            }
        };
        let mut data =
            json!({ "task_type_id": self.task_type, "payer_id": payer, "field": format!("field_{}", policy.field) });
        if !policy.is_withdrawn {
            data["action"] = if policy.is_waiver { "waive" } else { "override" }.into();
            data["level"] = policy.level.into();
            data["rule"] = rule(policy);
            data["validation"] = validation(policy);
            data["help_text"] = policy.help_text.map(|help| help.to_string()).into();
        }
        let verb = if policy.is_withdrawn { "withdrawn" } else { "set" };
        Sent::valid(org_id, &format!("{family}.{verb}"), subject, data)
            .with("ce-id", &Uuid::from_u128(policy.event_id).to_string())
            .with("ce-time", &format!("2026-01-05T10:00:0{}Z", policy.second))
    }

    /// The reference: what holds for a payer at a time, field by field, in the words of the issue.
    fn merged(&self, payer: Option<u8>, second: u8) -> Vec<Value> {
        let tiers = [
            payer.map(|payer| ("org_payer", Tier::OrgPayer(payer))),
            Some(("org", Tier::Org)),
            payer.map(|payer| ("payer", Tier::Payer(payer))),
            Some(("global", Tier::Global)),
        ];
        let fields: BTreeSet<u8> = self.policies.iter().map(|policy| policy.field).collect();
        let mut rows = Vec::new();
        for field in fields {
            let mut in_force: Vec<(&str, &Policy)> = Vec::new();
            for (name, tier) in tiers.into_iter().flatten() {
                let said = self.policies.iter().filter(|policy| policy.tier == tier && policy.field == field);
                let latest = said.filter(|policy| policy.second <= second).max_by_key(|it| (it.second, it.event_id));
                in_force.extend(latest.filter(|policy| !policy.is_withdrawn).map(|policy| (name, policy)));
            }
            if in_force.is_empty() {
                continue;
            }
            let part = |value: &dyn Fn(&Policy) -> Value| {
                let set = in_force.iter().find(|(_, policy)| !value(policy).is_null());
                set.map_or([Value::Null, Value::Null, Value::Null], |(name, policy)| {
                    [value(policy), json!(name), json!(Uuid::from_u128(policy.event_id))]
                })
            };
            let [level, level_from, level_event_id] = part(&level);
            let [validation, validation_from, validation_event_id] = part(&validation);
            let [help_text, help_text_from, help_text_event_id] =
                part(&|policy| policy.help_text.map(|help| help.to_string()).into());
            let decisive = in_force.iter().find(|(_, policy)| !self::level(policy).is_null());
            rows.push(json!({
                "org_id": self.org_id, "payer_id": payer.map(|payer| self.payers[usize::from(payer)]),
                "task_type_id": self.task_type, "field": format!("field_{field}"),
                "level": level, "level_from": level_from, "level_event_id": level_event_id,
                "rule": decisive.map_or(Value::Null, |(_, policy)| rule(policy)),
                "validation": validation, "validation_from": validation_from,
                "validation_event_id": validation_event_id, "help_text": help_text,
                "help_text_from": help_text_from, "help_text_event_id": help_text_event_id,
            }));
        }
        rows
    }
}

fn level(policy: &Policy) -> Value {
    if policy.is_waiver { json!("waived") } else { policy.level.into() }
}

fn rule(policy: &Policy) -> Value {
    match policy.level {
        Some("conditional") => json!({ "==": [{ "var": "n" }, policy.second] }),
        _ => Value::Null,
    }
}

fn validation(policy: &Policy) -> Value {
    policy.validation.map_or(Value::Null, |least| json!({ "range": { "min": least } }))
}

async fn rows(conn: &mut PgConnection, sql: &'static str, case: &Case, payer: Option<Uuid>, second: u8) -> Vec<Value> {
    query_scalar(sql)
        .bind(case.org_id.uuid())
        .bind(payer)
        .bind(case.task_type)
        .bind(format!("2026-01-05T10:00:0{second}Z").parse::<chrono::DateTime<chrono::Utc>>().unwrap())
        .fetch_all(conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_view_and_the_function_come_to_what_a_plain_merge_comes_to() {
    let stack = stack().await;
    let mut runner = TestRunner::default();
    let orgs = [stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap()];
    let mut sizes = BTreeMap::from([(SHARED_ORG, shared_events()), (orgs[0], 1), (orgs[1], 1)]);
    let mut cases = Vec::new();
    for number in 0..CASES {
        let policies = prop::collection::vec(policy(), 1..25).new_tree(&mut runner).unwrap().current();
        let payers = std::array::from_fn(|_| Uuid::new_v4());
        let case = Case { org_id: orgs[number % 2], task_type: Uuid::new_v4(), payers, policies };
        for policy in &case.policies {
            let org_id = if matches!(policy.tier, Tier::Payer(_) | Tier::Global) { SHARED_ORG } else { case.org_id };
            *sizes.get_mut(&org_id).unwrap() += 1;
            case.publication(policy).publish(&stack).await;
        }
        cases.push(case);
    }
    for (&org_id, &size) in &sizes {
        projected(&stack, org_id, size).await;
    }
    let (mut compared, mut merged) = (0, 0);
    for case in &cases {
        let reader = Database::new(stack.database_url(), Role::Reader).unwrap().of_org(case.org_id);
        let mut conn = reader.connect().await.unwrap();
        for payer in [None, Some(0), Some(1), Some(2)] {
            let id = payer.map(|payer| case.payers[usize::from(payer)]);
            for second in 0..SECONDS {
                let sql = "SELECT to_jsonb(it) FROM effective_requirements_at($1, $2, $3, $4) it ORDER BY field";
                let expected = case.merged(payer, second);
                assert_eq!(rows(&mut conn, sql, case, id, second).await, expected, "{payer:?} {:#?}", case.policies);
                compared += 1;
                merged += usize::from(expected.iter().any(|row| row["level_from"] != row["validation_from"]));
            }
            let is_known = payer.is_none_or(|payer| {
                case.policies
                    .iter()
                    .any(|policy| matches!(policy.tier, Tier::Payer(it) | Tier::OrgPayer(it) if it == payer))
            });
            let sql = "SELECT to_jsonb(it) FROM effective_requirements it
                       WHERE org_id = $1 AND payer_id IS NOT DISTINCT FROM $2 AND task_type_id = $3 AND $4 IS NOT NULL ORDER BY field";
            let expected = if is_known { case.merged(payer, SECONDS) } else { Vec::new() };
            assert_eq!(rows(&mut conn, sql, case, id, 0).await, expected, "{payer:?} {:#?}", case.policies);
        }
    }
    assert!(merged * 4 > compared, "of {compared} only {merged} took their parts from several tiers");

    // What another org asks of this one.
    let stranger = Database::new(stack.database_url(), Role::Reader).unwrap().of_org(orgs[1]);
    let sql = "SELECT to_jsonb(it) FROM effective_requirements_at($1, $2, $3, $4) it";
    let told = rows(&mut stranger.connect().await.unwrap(), sql, &cases[0], None, SECONDS).await;
    assert_eq!(told, Vec::<Value>::new());
}
