//! What the rows of one requirement say as events, and what the read models have to say then.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData, Refusal,
    payload::{
        OrgPolicySet, OrgPolicyWithdrawn, PayerRequirementSet, PayerRequirementWithdrawn, PolicyAction, RequirementSet,
        RequirementWithdrawn,
        value::{IndexedText, Json, Text},
    },
};
use serde_json::{Value, json};

use super::{
    Level, Scope, Target,
    said::{RULE_OF_NO_CONDITION, Said},
};
use crate::legacy::{
    Reject, Translated,
    translation::{self, Place, seal, value_of},
};

const SOURCE: &str = "/import/legacy-requirements";
const LEFT_OUT: &str = "it, or a part of it, was left out: the rejects file says why";

/// The telling of one requirement.
pub struct Telling<'a> {
    pub target: &'a Target,
    pub scope: &'a Scope,
    /// Whether everyone or a payer asks for the field.
    pub is_asked: bool,
    /// When the event before was.
    pub at: Option<DateTime<Utc>>,
    pub translated: Translated,
}

impl Telling<'_> {
    /// Sets what the row says, later than what was set before. Returns whether it was taken.
    pub fn set(&mut self, said: &Said<'_>, at: DateTime<Utc>) -> anyhow::Result<bool> {
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
                at,
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
                at,
                &PayerRequirementSet { task_type_id, field, level, rule, validation, help_text, reason, set_by },
            ),
            (None, None) => {
                self.tell(said, at, &RequirementSet { field, level, rule, validation, help_text, reason, set_by })
            }
        }
    }

    /// Withdraws what the last row has set, and no earlier than any of them was heard of.
    pub fn withdraw(&mut self, all: &[Said<'_>], last: &Said<'_>) -> anyhow::Result<bool> {
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
            // A row whose setting was taken is taken, though it stays.
            let part = T::TYPE.ends_with(".withdrawn").then(|| event.event_type.clone());
            let reject = said.row.reject(code.as_str(), format!("{}: {reason}", event.event_type));
            self.translated.rejects.push(Reject { part, ..reject });
            return Ok(false);
        }
        self.at = Some(at);
        self.translated.tables.push((event.event_id, said.row.table.name));
        self.translated.events.push(event);
        Ok(true)
    }

    /// Notes what becomes of a value; the reason counts where old and new differ.
    pub fn value(&mut self, said: &Said<'_>, column: &str, place: Place, old: Value, new: Value, reason: &'static str) {
        let reason = (old != new).then_some(reason);
        let (table, key, column) = (said.row.table.name, said.row.key(), column.to_owned());
        self.translated.values.push(translation::Value { table, key, column, place, old, new, reason });
    }

    /// Notes what becomes of the row that counts.
    pub fn values(&mut self, said: &Said<'_>) {
        let status = if said.is_active { "active" } else { "withdrawn" };
        self.value(said, "is_active", Place::Run("status"), status.into(), status.into(), "");
        if !said.is_active {
            return;
        }
        let level = said.level.map(Level::name).into();
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
}
