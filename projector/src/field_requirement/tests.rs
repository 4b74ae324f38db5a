use super::{ChangeRow, FieldRequirement, RequirementRow, Rows, Tier};
use crate::story::{Told, id, on, rows_of};

/// An event about a field for task type 0xC.
pub fn of_field(event_type: &'static str, time: &str, field: &str) -> Told {
    let told = on(event_type, time).with(&format!("\"field\":\"{field}\""));
    match event_type.starts_with("requirement.") {
        true => told,
        false => told.with(&format!("\"task_type_id\":\"{}\"", id(0xC))),
    }
}

fn rows(story: impl IntoIterator<Item = Told>) -> Rows {
    rows_of::<FieldRequirement>(story)
}

fn global(story: impl IntoIterator<Item = Told>) -> RequirementRow {
    let [row] = rows(story).global.try_into().unwrap();
    row
}

fn changes(story: impl IntoIterator<Item = Told>) -> Vec<ChangeRow> {
    rows(story).changes
}

#[test]
fn what_is_set_replaces_what_was_set_before_as_a_whole() {
    let row = global([
        of_field("requirement.set", "10:00:00", "npi").with(r#""level":"required","help_text":"ten digits""#),
        of_field("requirement.set", "11:00:00", "npi")
            .with(r#""validation":{"pattern":"^[0-9]{10}$"},"reason":"typos""#),
    ]);
    assert_eq!((row.level, row.help_text, row.status, row.version), (None, None, "active", 2));
    assert_eq!(row.validation.as_deref(), Some(r#"{"pattern":"^[0-9]{10}$"}"#));
    assert_eq!((row.reason.as_deref(), row.event_id.uuid()), (Some("typos"), id(2)));
    assert_eq!((row.task_type_id.uuid(), (row.updated_at - row.created_at).num_hours()), (id(0xB), 1));
}

#[test]
fn what_is_withdrawn_keeps_its_row_and_sets_nothing() {
    let set = of_field("requirement.set", "10:00:00", "npi").with(r#""level":"required""#);
    let row =
        global([set.clone(), of_field("requirement.withdrawn", "11:00:00", "npi").with(r#""reason":"obsolete""#)]);
    assert_eq!((row.status, row.level, row.version, row.reason.as_deref()), ("withdrawn", None, 2, Some("obsolete")));
    let row = global([of_field("requirement.withdrawn", "09:00:00", "npi"), set]);
    assert_eq!((row.status, row.level, row.version), ("active", Some("required"), 2));
}

#[test]
fn of_two_changes_at_one_time_the_greater_id_is_the_later() {
    let at =
        |id, level: &str| of_field("requirement.set", "10:00:00", "npi").with(&format!("\"level\":\"{level}\"")).id(id);
    let rows = rows([at(9, "forbidden"), at(4, "required")]);
    assert_eq!(rows.global[0].level, Some("forbidden"));
    let [first, second] = rows.changes.try_into().unwrap();
    assert_eq!((first.version, first.superseded_at), (1, Some(first.changed_at)));
    assert_eq!((second.version, second.superseded_at), (2, None));
}

#[test]
fn the_changelog_says_what_was_set_before_and_after_by_whom_and_why() {
    let by = format!("\"set_by\":\"{}\",\"reason\":\"audit\"", id(7));
    let [set, changed, withdrawn] = changes([
        of_field("requirement.set", "10:00:00", "npi").with(r#""level":"optional""#),
        of_field("requirement.set", "11:00:00", "npi").with(r#""level":"required","help_text":"ten""#).with(&by),
        of_field("requirement.withdrawn", "12:00:00", "npi"),
    ])
    .try_into()
    .unwrap();
    assert_eq!((set.change, set.before, set.after.as_deref()), ("set", None, Some(r#"{"level":"optional"}"#)));
    assert_eq!(set.superseded_at, Some(changed.changed_at));
    assert_eq!(changed.before.as_deref(), Some(r#"{"level":"optional"}"#));
    assert_eq!(changed.after.as_deref(), Some(r#"{"level":"required","help_text":"ten"}"#));
    assert_eq!((changed.changed_by.map(|by| by.uuid()), changed.reason.as_deref()), (Some(id(7)), Some("audit")));
    assert_eq!((withdrawn.change, withdrawn.version, withdrawn.after), ("withdrawn", 3, None));
    assert_eq!((withdrawn.before, withdrawn.superseded_at), (changed.after, None));
}

#[test]
fn a_rule_and_a_validation_are_kept_as_they_were_sent() {
    let rule = r#"{"==": [{"var":"plan"}, "HMO" ]}"#;
    let row = global([of_field("requirement.set", "10:00:00", "npi")
        .with(&format!(r#""level":"conditional","rule":{rule},"validation":{{"range":{{"min":1e0}},"note":"x"}}"#))]);
    assert_eq!((row.level, row.rule.as_deref()), (Some("conditional"), Some(rule)));
    assert_eq!(row.validation.as_deref(), Some(r#"{"range":{"min":1e0},"note":"x"}"#));
}

#[test]
fn an_org_decides_for_a_payer_or_for_all_and_each_stands_by_itself() {
    let payer = format!("\"payer_id\":\"{}\"", id(0xF));
    let rows = rows([
        of_field("org_policy.set", "10:00:00", "npi").with(r#""action":"add","level":"required""#),
        of_field("org_policy.set", "11:00:00", "npi").with(r#""action":"waive","help_text":"agreed""#).with(&payer),
        of_field("org_policy.withdrawn", "12:00:00", "npi"),
    ]);
    let [all, one] = rows.org.try_into().unwrap();
    assert_eq!((all.payer_id, all.status, all.action, all.version), (None, "withdrawn", None, 2));
    assert_eq!((one.payer_id.map(|payer| payer.uuid()), one.status), (Some(id(0xF)), "active"));
    assert_eq!((one.action, one.level, one.help_text.as_deref()), (Some("waive"), Some("waived"), Some("agreed")));
    let tiers: Vec<_> = rows.changes.iter().map(|change| (change.tier, change.version)).collect();
    assert_eq!(tiers, [(Tier::Org, 1), (Tier::Org, 2), (Tier::OrgPayer, 1)]);
}

#[test]
fn a_payers_requirement_is_of_the_subject_and_names_its_task_type() {
    let rows = rows([of_field("payer_requirement.set", "10:00:00", "npi").with(r#""level":"required""#)]);
    let [row] = rows.payer.try_into().unwrap();
    assert_eq!((row.payer_id.map(|payer| payer.uuid()), row.task_type_id.uuid()), (Some(id(0xB)), id(0xC)));
    assert!(rows.global.is_empty() && rows.org.is_empty());
}
