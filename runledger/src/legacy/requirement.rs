//! The old flat table of field requirements, in three tiers: what it says without an org is everyone's or a payer's and
//! goes to the shared org, what it says of an org is that org's policy.
//!
//! A row says how things are, not how they came to be so: it is told of the time of its last update. Rows that are no
//! longer active are told as they were made, and withdrawn if no other row of the same field is active.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData, Refusal,
    id::{OrgId, PayerId, SHARED_ORG, SubjectId, TaskTypeId},
    payload::{
        OrgPolicySet, OrgPolicyWithdrawn, PayerRequirementSet, PayerRequirementWithdrawn, PolicyAction,
        RequirementLevel, RequirementSet, RequirementWithdrawn, Rule, Validation,
        value::{IndexedText, Json, Object, Text},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    IdMap, LegacyError, OrgMap, Reject, Source, Translated,
    row::Row,
    translation::{self, Place, seal, value_of},
};

const SOURCE: &str = "/import/legacy-requirements";
const SUPERSEDED: &str = "another row says of the same field what counts";
const OF_A_BOOLEAN: &str = "is_required says required or optional";
const OTHER_WORD: &str = "the read model has another word for it";
const RULE_OF_NO_CONDITION: &str = "a rule is of the level conditional only, so it was left out";
const LEFT_OUT: &str = "it, or a part of it, was left out: the rejects file says why";

/// What an old word for a level means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Is(RequirementLevel),
    /// Of an org's policy alone: whatever others ask, it is not asked here.
    Waived,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "required" => Self::Is(RequirementLevel::Required),
            "optional" => Self::Is(RequirementLevel::Optional),
            "conditional" => Self::Is(RequirementLevel::Conditional),
            "forbidden" => Self::Is(RequirementLevel::Forbidden),
            "waived" | "not_applicable" => Self::Waived,
            _ => {
                return Err(format!("{text:?} is no level; give required, optional, conditional, forbidden or waived"));
            }
        })
    }
}

/// What `--level OLD=NEW` says.
pub fn parse_level(text: &str) -> Result<(String, Level), String> {
    let (old, new) = text.rsplit_once('=').ok_or("give OLD=NEW, e.g. mandatory=required")?;
    Ok((old.trim().to_lowercase(), new.parse()?))
}

/// Whose requirements they are, and what the words of the old table mean.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the old system is called: part of all ids.
    pub name: String,
    pub orgs: OrgMap,
    pub payers: IdMap<PayerId>,
    pub task_types: IdMap<TaskTypeId>,
    /// Beside the usual words.
    pub levels: BTreeMap<String, Level>,
    /// The present, for what lies in the future.
    pub now: DateTime<Utc>,
}

impl Target {
    /// The id of all imports of this old system into the org.
    pub fn import_id(&self, org_id: OrgId) -> Uuid {
        Uuid::new_v5(&org_id.uuid(), format!("import legacy-requirements {}", self.name).as_bytes())
    }

    /// What an old id is: what it is mapped to, else itself if it is a UUID, else one that is derived from it.
    fn id<T: super::id_map::Mapped + TryFrom<Uuid>>(&self, map: &IdMap<T>, text: &str) -> Option<T> {
        let text = text.trim();
        let itself = || text.parse().ok();
        let derived = || {
            let namespace = Uuid::new_v5(&SHARED_ORG.uuid(), format!("legacy {}", self.name).as_bytes());
            Uuid::new_v5(&namespace, format!("{} {text}", T::COLUMN).as_bytes()).try_into().ok()
        };
        map.get(text).or_else(itself).or_else(derived)
    }
}

/// What a requirement is about, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// None: everyone's or a payer's.
    pub org: Option<OrgId>,
    pub payer_id: Option<PayerId>,
    pub task_type_id: TaskTypeId,
    pub field: String,
}

impl Scope {
    /// Whose ledger holds it.
    pub fn org_id(&self) -> OrgId {
        self.org.unwrap_or(SHARED_ORG)
    }

    /// As the read models call the tier.
    fn tier(&self) -> &'static str {
        match (self.org, self.payer_id) {
            (None, None) => "global",
            (None, Some(_)) => "payer",
            (Some(_), None) => "org",
            (Some(_), Some(_)) => "org_payer",
        }
    }

    fn subject(&self) -> SubjectId {
        match (self.org, self.payer_id) {
            (None, None) => self.task_type_id.subject(),
            (None, Some(payer_id)) => payer_id.subject(),
            (Some(org_id), _) => org_id.subject(),
        }
    }

    /// Whether a row of the read models is of this requirement.
    pub fn is_of(&self, tier: &str, row: &Value) -> bool {
        let payer_id = self.payer_id.map(|payer_id| payer_id.to_string());
        tier == self.tier()
            && row["field"] == *self.field
            && row["task_type_id"] == self.task_type_id.to_string()
            && row["payer_id"].as_str() == payer_id.as_deref()
    }
}

/// What the rows of one requirement became.
#[derive(Debug, Default)]
pub struct Told {
    /// None if no row was taken.
    pub scope: Option<Scope>,
    pub translated: Translated,
}

/// The rows, those of one requirement together.
pub struct Groups<'s> {
    source: &'s mut Source,
    buffer: std::collections::VecDeque<Row>,
}

impl<'s> Groups<'s> {
    pub async fn begin(source: &'s mut Source) -> Result<Self, LegacyError> {
        source.rewind().await?;
        Ok(Self { source, buffer: std::collections::VecDeque::new() })
    }

    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, LegacyError> {
        let mut group: Vec<Row> = Vec::new();
        loop {
            if self.buffer.is_empty() {
                let shape = self.source.shapes()[0].clone();
                self.buffer = self.source.fetch(&shape).await?.into();
            }
            let is_next = |row: &Row| group.first().is_none_or(|first| words(first) == words(row));
            match self.buffer.pop_front() {
                Some(row) if is_next(&row) => group.push(row),
                Some(row) => {
                    self.buffer.push_front(row);
                    return Ok(Some(group));
                }
                None => return Ok((!group.is_empty()).then_some(group)),
            }
        }
    }
}

fn words(row: &Row) -> [Option<String>; 4] {
    row.table
        .order
        .iter()
        .map(|column| row.text(column, &mut Vec::new()).map(str::to_owned))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_default()
}

/// Translates groups; keeps in mind which fields everyone or a payer asks for, which come first.
pub struct Translator<'t> {
    target: &'t Target,
    asked: BTreeSet<(TaskTypeId, String)>,
}

impl<'t> Translator<'t> {
    pub fn new(target: &'t Target) -> Self {
        Self { target, asked: BTreeSet::new() }
    }

    /// The events of the rows of one requirement.
    pub fn translate(&mut self, rows: &[Row]) -> anyhow::Result<Told> {
        let mut told = Told::default();
        let mut said = Vec::new();
        for row in rows {
            let mut rejects = Vec::new();
            match Said::of(self.target, row, &mut rejects) {
                Ok(row) => said.push(row),
                Err(reject) => told.translated.rejects.push(reject),
            }
            told.translated.rejects.extend(rejects);
        }
        // What is active comes last, and the last counts.
        said.sort_by_key(|row| (row.is_active, row.at()));
        let Some(scope) = said.first().map(|row| row.scope.clone()) else { return Ok(told) };
        if scope.org.is_none() {
            self.asked.insert((scope.task_type_id, scope.field.clone()));
        }
        let is_asked = self.asked.contains(&(scope.task_type_id, scope.field.clone()));
        let mut telling =
            Telling { target: self.target, scope: &scope, is_asked, at: None, translated: told.translated };
        let mut counts = None;
        for row in &said {
            if telling.set(row)?
                && let Some(row) = counts.replace(row)
            {
                telling.value(row, "", Place::Run("superseded"), "a row".into(), Value::Null, SUPERSEDED);
            }
        }
        if let Some(row) = counts {
            if !row.is_active {
                telling.withdraw(&said, row)?;
            }
            telling.values(row);
        }
        Ok(Told { translated: telling.finish(), scope: Some(scope) })
    }
}

/// What a row says.
struct Said<'r> {
    row: &'r Row,
    scope: Scope,
    level: Option<Level>,
    /// As the old row has it.
    words: Value,
    level_reason: &'static str,
    rule: Option<Rule>,
    old_rule: Value,
    validation: Option<Validation>,
    old_validation: Value,
    help_text: Option<String>,
    is_active: bool,
    created: DateTime<Utc>,
    updated: Option<DateTime<Utc>>,
}

impl<'r> Said<'r> {
    fn of(target: &Target, row: &'r Row, rejects: &mut Vec<Reject>) -> Result<Self, Reject> {
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
        let help_text = row.message("help_text", rejects).map(str::to_owned);
        let is_active = row.word("is_active", rejects).is_none_or(is_true);
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
    fn at(&self) -> DateTime<Utc> {
        if self.is_active { self.updated.unwrap_or(self.created) } else { self.created }
    }
}

fn scope(target: &Target, row: &Row) -> Result<Scope, Reject> {
    let word = |column| row.word(column, &mut Vec::new()).filter(|text| !text.trim().is_empty());
    let lacking = |column: &str| row.reject("no_value", format!("its {column} is null, empty or no text"));
    let org = word("org_id").map(|old| {
        target
            .orgs
            .get(old)
            .ok_or_else(|| row.reject("unmapped_org", format!("its org_id is {old:?}; give --org-map {old:?}=ORG")))
    });
    let payer_id = word("payer_id").map(|old| target.id(&target.payers, old).ok_or_else(|| lacking("payer_id")));
    let task_type = word("task_type_id").ok_or_else(|| lacking("task_type_id"))?;
    let field = word("field_name").ok_or_else(|| lacking("field_name"))?;
    Ok(Scope {
        org: org.transpose()?,
        payer_id: payer_id.transpose()?,
        task_type_id: target.id(&target.task_types, task_type).ok_or_else(|| lacking("task_type_id"))?,
        field: field.to_owned(),
    })
}

fn is_true(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "true" | "t" | "1" | "yes" | "y" | "active")
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
        let old = if name(level) == word { name(level) } else { old };
        return Ok((Some(level), old.into(), OTHER_WORD));
    }
    let Some(is_required) = row.word("is_required", &mut Vec::new()) else { return Ok((None, Value::Null, "")) };
    let level = if is_true(is_required) { RequirementLevel::Required } else { RequirementLevel::Optional };
    Ok((Some(Level::Is(level)), is_required.into(), OF_A_BOOLEAN))
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Is(level) => level.as_str(),
        Level::Waived => "waived",
    }
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

/// The telling of one requirement.
struct Telling<'a> {
    target: &'a Target,
    scope: &'a Scope,
    /// Whether everyone or a payer asks for the field.
    is_asked: bool,
    /// When the event before was.
    at: Option<DateTime<Utc>>,
    translated: Translated,
}

impl Telling<'_> {
    /// Sets what the row says, later than what was set before. Returns whether it was taken.
    fn set(&mut self, said: &Said<'_>) -> anyhow::Result<bool> {
        let Scope { org, payer_id, task_type_id, field } = self.scope.clone();
        let Ok(field) = IndexedText::try_from(&*field) else {
            self.translated.rejects.push(said.row.reject("too_long", "its field_name is longer than 512 bytes"));
            return Ok(false);
        };
        let level = said.level.and_then(|level| match level {
            Level::Is(level) => Some(level),
            Level::Waived => None,
        });
        let (rule, validation) = (said.rule.clone(), said.validation.clone());
        let help_text = said.help_text.clone().map(Text::from);
        let reason = Some(self.reason(said));
        let set_by = None;
        let action = match said.level {
            Some(Level::Waived) => PolicyAction::Waive,
            _ if self.is_asked => PolicyAction::Override,
            _ => PolicyAction::Add,
        };
        match (org, payer_id) {
            (Some(_), payer_id) => self.tell(
                said,
                said.at(),
                &OrgPolicySet {
                    payer_id,
                    task_type_id,
                    field,
                    action,
                    level,
                    rule,
                    validation,
                    help_text,
                    reason,
                    set_by,
                },
            ),
            (None, Some(_)) => self.tell(
                said,
                said.at(),
                &PayerRequirementSet { task_type_id, field, level, rule, validation, help_text, reason, set_by },
            ),
            (None, None) => self.tell(
                said,
                said.at(),
                &RequirementSet { field, level, rule, validation, help_text, reason, set_by },
            ),
        }
    }

    /// Withdraws what the last row has set, and no earlier than any of them was heard of.
    fn withdraw(&mut self, all: &[Said<'_>], last: &Said<'_>) -> anyhow::Result<bool> {
        let Scope { org, payer_id, task_type_id, field } = self.scope.clone();
        let field = IndexedText::try_from(&*field)?;
        let at = all.iter().filter_map(|said| said.updated).max().unwrap_or(last.created);
        let (reason, withdrawn_by) = (Some(self.reason(last)), None);
        match (org, payer_id) {
            (Some(_), payer_id) => {
                self.tell(last, at, &OrgPolicyWithdrawn { payer_id, task_type_id, field, reason, withdrawn_by })
            }
            (None, Some(_)) => {
                self.tell(last, at, &PayerRequirementWithdrawn { task_type_id, field, reason, withdrawn_by })
            }
            (None, None) => self.tell(last, at, &RequirementWithdrawn { field, reason, withdrawn_by }),
        }
    }

    fn reason(&self, said: &Said<'_>) -> Text {
        format!("row {} of field_requirement of {}", said.row.key(), self.target.name).into()
    }

    fn tell<T: EventData>(&mut self, said: &Said<'_>, at: DateTime<Utc>, payload: &T) -> anyhow::Result<bool> {
        let at = self.at.map_or(at, |before| at.max(before + TimeDelta::microseconds(1)));
        let org_id = self.scope.org_id();
        let mut event = Event::new(org_id, self.scope.subject(), SOURCE, payload)?;
        event.occurred_at = events::time::cut(at);
        event.extensions = Some(json!({ "importid": self.target.import_id(org_id) }).to_string());
        if let Err(Refusal { code, reason }) = seal(said.row, &mut event, self.target.now)? {
            self.translated.rejects.push(said.row.reject(code.as_str(), format!("{}: {reason}", event.event_type)));
            return Ok(false);
        }
        self.at = Some(at);
        self.translated.tables.push((event.event_id, said.row.table.name));
        self.translated.events.push(event);
        Ok(true)
    }

    fn value(&mut self, said: &Said<'_>, column: &str, place: Place, old: Value, new: Value, reason: &'static str) {
        let reason = (old != new).then_some(reason);
        let (table, key, column) = (said.row.table.name, said.row.key(), column.to_owned());
        self.translated.values.push(translation::Value { table, key, column, place, old, new, reason });
    }

    fn values(&mut self, said: &Said<'_>) {
        let status = if said.is_active { "active" } else { "withdrawn" };
        self.value(said, "is_active", Place::Run("status"), status.into(), status.into(), "");
        if !said.is_active {
            return;
        }
        let level = said.level.map(name).into();
        self.value(said, "requirement", Place::Run("level"), said.words.clone(), level, said.level_reason);
        let rule = said.rule.clone().map(Json::from);
        self.value(
            said,
            "rule",
            Place::Run("rule"),
            said.old_rule.clone(),
            value_of(rule.as_ref()),
            RULE_OF_NO_CONDITION,
        );
        let validation = value_of(said.validation.clone().map(Json::from).as_ref());
        self.value(said, "validation", Place::Run("validation"), said.old_validation.clone(), validation, LEFT_OUT);
        let help_text: Value = said.help_text.clone().into();
        self.value(said, "help_text", Place::Run("help_text"), help_text.clone(), help_text, "");
    }

    fn finish(self) -> Translated {
        self.translated
    }
}

#[cfg(test)]
mod tests;
