//! What a row of the flat table says.

use chrono::{DateTime, Utc};
use events::{
    Refusal,
    payload::{
        RequirementLevel, Rule, Validation,
        value::{Json, Object},
    },
};
use serde_json::Value;

use super::{Level, Scope, Target};
use crate::legacy::{Reject, row::Row, translation::value_of};

pub const OF_A_BOOLEAN: &str = "is_required says required or optional";
pub const OTHER_WORD: &str = "the read model has another word for it";
pub const RULE_OF_NO_CONDITION: &str = "a rule is of the level conditional only, so it was left out";

/// What a row says.
pub struct Said<'r> {
    pub row: &'r Row,
    pub scope: Scope,
    pub level: Option<Level>,
    /// As the old row has it.
    pub words: Value,
    pub level_reason: &'static str,
    pub rule: Option<Rule>,
    pub old_rule: Value,
    pub validation: Option<Validation>,
    pub old_validation: Value,
    pub help_text: Option<String>,
    pub is_active: bool,
    pub created: DateTime<Utc>,
    pub updated: Option<DateTime<Utc>>,
}

impl<'r> Said<'r> {
    /// What the row says, or why it is not taken.
    pub fn of(target: &Target, row: &'r Row, rejects: &mut Vec<Reject>) -> Result<Self, Reject> {
        let scope = scope(target, row)?;
        let [created, updated] = ["created_at", "updated_at"].map(|column| row.time(column, target.now, rejects));
        let Some(created) = created.or(updated) else { return Err(row.reject("no_time", "it has no time")) };
        let (level, words, level_reason) = level(target, row)?;
        if level == Some(Level::Waived) && scope.org.is_none() {
            let reason =
                "only an org can waive what others ask; say what it means here with --level, as optional or forbidden";
            return Err(row.reject("not_applicable", reason));
        }
        let (rule, old_rule) = rule(row, level, rejects)?;
        let (validation, old_validation) = validation(row, rejects);
        let help_text = row.word("help_text", rejects).map(str::to_owned);
        let is_active = boolean(row, "is_active")?.is_none_or(|(is_active, _)| is_active);
        Ok(Self {
            row,
            scope,
            level,
            words,
            level_reason,
            rule,
            old_rule,
            validation,
            old_validation,
            help_text,
            is_active,
            created,
            updated,
        })
    }

    /// When what it says began, or was.
    pub fn at(&self) -> DateTime<Utc> {
        if self.is_active { self.updated.unwrap_or(self.created) } else { self.created }
    }
}

/// What is in a column, none if that is null: nothing else means that there is nothing.
fn given<'r>(row: &'r Row, column: &'static str) -> Result<Option<&'r str>, Reject> {
    let text = row.word(column, &mut Vec::new()).filter(|text| !text.trim().is_empty());
    if text.is_none() && !row.is_null(column) {
        return Err(row.reject("no_value", format!("its {column} is empty or cannot be read as text")));
    }
    Ok(text)
}

/// What the row is about, and whose it is.
pub fn scope(target: &Target, row: &Row) -> Result<Scope, Reject> {
    let lacking = |column: &str| row.reject("no_value", format!("its {column} is null"));
    let org = given(row, "org_id")?.map(|old| {
        target
            .orgs
            .get(old)
            .ok_or_else(|| row.reject("unmapped_org", format!("its org_id is {old:?}; give --org-map {old:?}=ORG")))
    });
    let payer_id = given(row, "payer_id")?.map(|old| target.id(&target.payers, old).ok_or_else(|| lacking("payer_id")));
    let task_type = given(row, "task_type_id")?.ok_or_else(|| lacking("task_type_id"))?;
    let field = given(row, "field_name")?.ok_or_else(|| lacking("field_name"))?;
    Ok(Scope {
        org: org.transpose()?,
        payer_id: payer_id.transpose()?,
        task_type_id: target.id(&target.task_types, task_type).ok_or_else(|| lacking("task_type_id"))?,
        field: field.to_owned(),
    })
}

/// Whether a column says yes or no, and in which word; none if it is null.
fn boolean<'r>(row: &'r Row, column: &'static str) -> Result<Option<(bool, &'r str)>, Reject> {
    let Some(text) = given(row, column)? else { return Ok(None) };
    match text.trim().to_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "y" | "active" => Ok(Some((true, text))),
        "false" | "f" | "0" | "no" | "n" | "inactive" => Ok(Some((false, text))),
        _ => {
            let reason = format!("its {column} is {text:?}; make it true or false by a view and --schema");
            Err(row.reject("unknown_value", reason))
        }
    }
}

fn level(target: &Target, row: &Row) -> Result<(Option<Level>, Value, &'static str), Reject> {
    if let Some(old) = row.word("requirement", &mut Vec::new()) {
        let word = old.trim().to_lowercase();
        let level = target.levels.get(&word).copied().map_or_else(|| word.parse(), Ok);
        let level = level.map_err(|_: String| {
            row.reject(
                "unknown_level",
                format!("its requirement is {old:?}; say what that means with --level {old:?}=LEVEL"),
            )
        })?;
        let old = if level.name() == word { level.name() } else { old };
        return Ok((Some(level), old.into(), OTHER_WORD));
    }
    let Some((is_required, word)) = boolean(row, "is_required")? else { return Ok((None, Value::Null, "")) };
    let level = if is_required { RequirementLevel::Required } else { RequirementLevel::Optional };
    Ok((Some(Level::Is(level)), word.into(), OF_A_BOOLEAN))
}

fn rule(row: &Row, level: Option<Level>, rejects: &mut Vec<Reject>) -> Result<(Option<Rule>, Value), Reject> {
    let json = row.json("rule", rejects);
    let old = value_of(json.as_ref());
    if level != Some(Level::Is(RequirementLevel::Conditional)) {
        if json.is_some() {
            rejects.push(row.reject_part("rule", "rule_of_no_condition", RULE_OF_NO_CONDITION));
        }
        return Ok((None, old));
    }
    let Some(json) = json else {
        return Err(
            row.reject("no_rule", "it is conditional and has no rule; say with --level what it shall be, or mend it")
        );
    };
    let rule = Rule::try_from(json);
    rule.map(|rule| (Some(rule), old)).map_err(|Refusal { code, reason }| {
        row.reject(code.as_str(), format!("its rule has to be JSON Logic: {reason}"))
    })
}

/// The parts of the validation that can be had, and all that the row has.
fn validation(row: &Row, rejects: &mut Vec<Reject>) -> (Option<Validation>, Value) {
    let mut parts: Vec<(&'static str, &'static str, Json)> = Vec::new();
    let pattern = row.word("pattern", rejects).and_then(|pattern| Json::of(&pattern).ok());
    parts.extend(pattern.map(|pattern| ("pattern", "pattern", pattern)));
    parts.extend(row.json("allowed_values", rejects).map(|values| ("allowed_values", "enum", values)));
    let bound = |text: &str| match serde_json::from_str::<Json>(text) {
        Ok(json) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(json),
        _ => Json::of(&text),
    };
    let bounds = [("min_value", "min"), ("max_value", "max")]
        .into_iter()
        .filter_map(|(column, name)| Some((name.to_owned(), bound(row.word(column, &mut Vec::new())?.trim()).ok()?)));
    let bounds: Object = bounds.collect();
    if !bounds.is_empty() {
        parts.extend(Json::of(&bounds).ok().map(|range| ("min_value, max_value", "range", range)));
    }
    let (mut taken, mut old) = (Object::default(), Object::default());
    for (column, member, json) in parts {
        old.insert(member, json.clone());
        let alone: Object = [(member.to_owned(), json.clone())].into_iter().collect();
        let checked = Json::of(&alone).map_err(|error| error.to_string());
        match checked.and_then(|alone| Validation::try_from(alone).map_err(|refusal| refusal.reason)) {
            Ok(_) => drop(taken.insert(member, json)),
            Err(reason) => rejects.push(row.reject_part(column, "invalid_event", reason)),
        }
    }
    let old = if old.is_empty() { Value::Null } else { value_of(Json::of(&old).ok().as_ref()) };
    let taken = Json::of(&taken).ok().filter(|_| !taken.is_empty());
    (taken.and_then(|taken| Validation::try_from(taken).ok()), old)
}
