//! Given rows of the flat table, then these requirements in three tiers.

use serde_json::Value;

use super::*;
use crate::legacy::table::REQUIREMENTS;

const ORG: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d90";
const TASK: &str = "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21";

fn target() -> Target {
    Target {
        name: "legacy".to_owned(),
        orgs: OrgMap::of(vec![format!("7={ORG}").parse().unwrap()]).unwrap(),
        payers: IdMap::of(vec![]).unwrap(),
        task_types: IdMap::of(vec![format!("eligibility={TASK}").parse().unwrap()]).unwrap(),
        levels: BTreeMap::from([parse_level("Mandatory=required").unwrap()]),
        now: events::time::parse("2026-03-01T00:00:00Z").unwrap(),
    }
}

fn row(id: &str, fields: &[(&'static str, &str)]) -> Row {
    let usual = [
        ("field_requirement_id", id),
        ("task_type_id", "eligibility"),
        ("field_name", "npi"),
        ("created_at", "2020-01-01"),
    ];
    let fields = usual.iter().chain(fields).map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    Row::new(&REQUIREMENTS, fields, None)
}

/// Type, time and payload of each event, without what they all have.
fn told(groups: &[Vec<Row>]) -> (Vec<String>, Vec<String>) {
    let target = target();
    let mut translator = Translator::new(&target);
    let (mut events, mut rejects) = (Vec::new(), Vec::new());
    for rows in groups {
        let Translated { events: told, rejects: rejected, .. } = translator.translate(rows).unwrap().translated;
        events.extend(told.iter().map(|event| {
            let mut data: Value = serde_json::from_str(&event.data).unwrap();
            let members = data.as_object_mut().unwrap();
            members.retain(|name, _| !["reason", "field", "task_type_id", "payer_id"].contains(&name.as_str()));
            format!("{} {} {data}", event.event_type, event.occurred_at.format("%Y-%m-%d"))
        }));
        rejects
            .extend(rejected.iter().map(|it| format!("{} {} {}", it.key, it.part.as_deref().unwrap_or("-"), it.code)));
    }
    (events, rejects)
}

#[test]
fn a_row_goes_to_the_tier_that_its_org_and_payer_say() {
    let (events, rejects) = told(&[
        vec![row("1", &[("requirement", "Required"), ("updated_at", "2021-01-01")])],
        vec![row("2", &[("payer_id", "aetna"), ("is_required", "false"), ("help_text", "on the card")])],
        vec![row("3", &[("org_id", "7"), ("requirement", "forbidden")])],
        vec![row("4", &[("org_id", "7"), ("payer_id", "aetna"), ("requirement", "not_applicable")])],
        vec![row("5", &[("org_id", "7"), ("field_name", "own"), ("requirement", "MANDATORY")])],
        vec![row("6", &[("org_id", "8"), ("requirement", "required")])],
    ]);
    assert_eq!(
        events,
        [
            r#"requirement.set 2021-01-01 {"level":"required"}"#,
            r#"payer_requirement.set 2020-01-01 {"help_text":"on the card","level":"optional"}"#,
            r#"org_policy.set 2020-01-01 {"action":"override","level":"forbidden"}"#,
            r#"org_policy.set 2020-01-01 {"action":"waive"}"#,
            r#"org_policy.set 2020-01-01 {"action":"add","level":"required"}"#,
        ]
    );
    assert_eq!(rejects, ["6 - unmapped_org"]);
}

#[test]
fn what_no_tier_can_say_is_rejected_by_name() {
    let (events, rejects) = told(&[
        vec![row("1", &[("requirement", "not_applicable")])],
        vec![row("2", &[("requirement", "sometimes")])],
        vec![row("3", &[("requirement", "conditional")])],
        vec![row("4", &[("requirement", "conditional"), ("rule", "plan = HMO")])],
        vec![row("5", &[])],
        vec![row("6", &[("requirement", "conditional"), ("rule", r#"{"==":[{"var":"plan"},"HMO"]}"#)])],
        vec![row("7", &[("requirement", "required"), ("rule", r#"{"==":[1,1]}"#)])],
    ]);
    assert_eq!(
        events,
        [
            r#"requirement.set 2020-01-01 {"level":"conditional","rule":{"==":[{"var":"plan"},"HMO"]}}"#,
            r#"requirement.set 2020-01-01 {"level":"required"}"#,
        ]
    );
    assert_eq!(
        rejects,
        [
            "1 - not_applicable",
            "2 - unknown_level",
            "3 - no_rule",
            "4 - invalid_event",
            "5 - invalid_event",
            "7 rule rule_of_no_condition",
        ]
    );
}

#[test]
fn of_a_validation_what_cannot_be_had_is_left_out() {
    let whole =
        [("pattern", "^[0-9]{10}$"), ("allowed_values", r#"["A",1]"#), ("min_value", "1.50"), ("max_value", "9")];
    let (events, rejects) = told(&[
        vec![row("1", &whole)],
        vec![row(
            "2",
            &[("pattern", "("), ("allowed_values", "A,B"), ("min_value", "2020-01-01"), ("requirement", "required")],
        )],
    ]);
    assert_eq!(
        events,
        [
            r#"requirement.set 2020-01-01 {"validation":{"enum":["A",1],"pattern":"^[0-9]{10}$","range":{"max":9,"min":1.5}}}"#,
            r#"requirement.set 2020-01-01 {"level":"required","validation":{"range":{"min":"2020-01-01"}}}"#,
        ]
    );
    assert_eq!(rejects, ["2 pattern invalid_event", "2 allowed_values invalid_event"]);
}

#[test]
fn what_is_no_longer_active_is_withdrawn_unless_another_row_is() {
    let old = || {
        row(
            "1",
            &[
                ("requirement", "optional"),
                ("is_active", "f"),
                ("created_at", "2022-01-01"),
                ("updated_at", "2023-01-01"),
            ],
        )
    };
    let (events, _) = told(&[vec![old()]]);
    assert_eq!(events, [r#"requirement.set 2022-01-01 {"level":"optional"}"#, "requirement.withdrawn 2023-01-01 {}"]);
    // The one that is active counts, though it was made before the other.
    let (events, _) = told(&[vec![row("2", &[("requirement", "required")]), old()]]);
    assert_eq!(
        events,
        [r#"requirement.set 2022-01-01 {"level":"optional"}"#, r#"requirement.set 2023-01-01 {"level":"required"}"#,]
    );
}

#[test]
fn what_counted_before_counts_again_when_the_other_row_is_no_longer_active() {
    let set = |id: &str, level: &str, is_active: &str, updated: &str| {
        row(id, &[("requirement", level), ("is_active", is_active), ("updated_at", updated)])
    };
    let first = [set("1", "required", "t", "2022-01-05"), set("2", "optional", "t", "2022-01-06")];
    let then = [set("1", "required", "t", "2022-01-05"), set("2", "optional", "f", "2022-01-07")];
    let (mut events, _) = told(&[first.to_vec(), then.to_vec()]);
    events.sort_by_key(|event| event.split(' ').nth(1).map(str::to_owned));
    assert_eq!(events.last().unwrap(), r#"requirement.set 2022-01-07 {"level":"required"}"#);
}

#[test]
fn rows_of_one_requirement_come_together_whatever_their_words() {
    const UUID: &str = "018F6E2A-7C1B-7D60-9A33-5B1F4C0D9E22";
    let (lower, of) = (UUID.to_lowercase(), |id: &str, fields: &[(&'static str, &str)]| row(id, fields));
    let rows = vec![
        of("1", &[("org_id", "7"), ("payer_id", UUID)]),
        of("2", &[("payer_id", UUID)]),
        of("3", &[("org_id", "7 "), ("payer_id", &lower)]),
        of("4", &[("payer_id", &lower), ("task_type_id", TASK)]),
        of("5", &[("org_id", "")]),
        of("6", &[]),
    ];
    let groups: Vec<Vec<_>> =
        grouped(&target(), rows).iter().map(|group| group.iter().map(Row::key).collect()).collect();
    assert_eq!(groups, [vec!["5"], vec!["6"], vec!["2", "4"], vec!["1", "3"]]);
}

#[test]
fn what_is_not_known_is_rejected_and_not_guessed() {
    let required = ("requirement", "required");
    let no_text = |column: &'static str| {
        let fields = [("field_requirement_id", "9"), ("task_type_id", "eligibility"), ("field_name", "npi")];
        let fields = fields.into_iter().chain([required, ("created_at", "2020-01-01")]);
        let fields = fields.map(|(name, text)| (name, text.as_bytes().to_vec()));
        Row::new(&REQUIREMENTS, fields.chain([(column, vec![0xff])]).collect(), None)
    };
    let (events, rejects) = told(&[
        vec![row("1", &[required, ("is_active", "enabled")])],
        vec![row("2", &[("is_required", "R")])],
        vec![row("3", &[required, ("org_id", " ")])],
        vec![row("4", &[required, ("payer_id", "")])],
        vec![no_text("org_id")],
        vec![no_text("payer_id")],
        vec![row("", &[required])],
        vec![row("8", &[required, ("is_active", "No ")]), row("8", &[required])],
    ]);
    assert_eq!(events, [r#"requirement.set 2020-01-01 {"level":"required"}"#, "requirement.withdrawn 2020-01-01 {}"]);
    assert_eq!(
        rejects,
        [
            "1 - unknown_value",
            "2 - unknown_value",
            "3 - no_value",
            "4 - no_value",
            "9 - no_value",
            "9 - no_value",
            " - no_key",
            "8 - duplicate_key",
        ]
    );
}

#[test]
fn what_is_no_longer_asked_for_is_added_by_an_org_and_not_overridden() {
    let required = ("requirement", "required");
    let (events, _) = told(&[
        vec![row("1", &[required, ("is_active", "f"), ("updated_at", "2021-01-01")])],
        vec![row("2", &[required, ("org_id", "7")])],
    ]);
    assert_eq!(events[2], r#"org_policy.set 2020-01-01 {"action":"add","level":"required"}"#);
}

#[test]
fn a_withdrawal_that_is_refused_leaves_its_row_taken() {
    // Later than the ledger takes: the setting stands, and the last update is not read.
    let target = target();
    let row = row("1", &[("requirement", "required"), ("is_active", "f")]);
    let said = said::Said::of(&target, &row, &mut Vec::new()).unwrap();
    let scope = said.scope.clone();
    let late = Some(target.now + chrono::TimeDelta::days(2));
    let mut telling =
        Telling { target: &target, scope: &scope, is_asked: false, at: late, translated: Translated::default() };
    assert!(!telling.withdraw(&[], &said).unwrap());
    assert_eq!(telling.translated.rejects[0].part.as_deref(), Some("requirement.withdrawn"));
}
