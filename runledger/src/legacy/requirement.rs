//! The old flat table of field requirements, in three tiers: what it says without an org is everyone's or a payer's and
//! goes to the shared org, what it says of an org is that org's policy.
//!
//! A row says how things are, not how they came to be so: it is told of the time of its last update. Rows that are no
//! longer active are told as they were made, and withdrawn if no other row of the same field is active.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    str::FromStr,
};

use chrono::{DateTime, Utc};
use events::{
    id::{OrgId, PayerId, SHARED_ORG, SubjectId, TaskTypeId},
    payload::RequirementLevel,
};
use serde_json::Value;
use uuid::Uuid;

use super::{IdMap, LegacyError, OrgMap, Source, Translated, id_map::Mapped, row::Row, translation::Place};

mod said;
mod telling;

use said::Said;
use telling::Telling;

const SUPERSEDED: &str = "another row says of the same field what counts";

/// What an old word for a level means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Is(RequirementLevel),
    /// Of an org's policy alone: whatever others ask, it is not asked here.
    Waived,
}

impl Level {
    /// As the read models have it.
    fn name(self) -> &'static str {
        match self {
            Self::Is(level) => level.as_str(),
            Self::Waived => "waived",
        }
    }
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
    fn id<T: Mapped + TryFrom<Uuid>>(&self, map: &IdMap<T>, text: &str) -> Option<T> {
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

/// All rows, in groups: those of one requirement together, everyone's and payers' before orgs'. Different words may mean
/// the same requirement, so all are read before the first is told: the table is small.
pub async fn groups(source: &mut Source, target: &Target) -> Result<Vec<Vec<Row>>, LegacyError> {
    source.rewind().await?;
    let shape = source.shapes()[0].clone();
    let mut all = Vec::new();
    loop {
        let rows = source.fetch(&shape).await?;
        if rows.is_empty() {
            return Ok(grouped(target, all));
        }
        all.extend(rows);
    }
}

fn grouped(target: &Target, rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut groups: BTreeMap<Option<Scope>, Vec<Row>> = BTreeMap::new();
    for row in rows {
        // Those of which it cannot be said what they are about are rejected one by one.
        groups.entry(said::scope(target, &row).ok()).or_default().push(row);
    }
    groups.into_values().collect()
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
        let (mut said, mut keys) = (Vec::new(), HashSet::new());
        for row in rows {
            let mut rejects = Vec::new();
            match row.own_key(&mut keys).and_then(|()| Said::of(self.target, row, &mut rejects)) {
                Ok(row) => said.push(row),
                Err(reject) => told.translated.rejects.push(reject),
            }
            told.translated.rejects.extend(rejects);
        }
        // What is active comes last, and the last counts.
        said.sort_by_key(|row| (row.is_active, row.at()));
        let Some(scope) = said.first().map(|row| row.scope.clone()) else { return Ok(told) };
        let is_asked = self.asked.contains(&(scope.task_type_id, scope.field.clone()));
        let mut telling =
            Telling { target: self.target, scope: &scope, is_asked, at: None, translated: told.translated };
        let mut counts = None;
        // What counts is told again when another row ceased to be active, which may have counted until then.
        let ceased = said.iter().filter(|row| !row.is_active).filter_map(|row| row.updated).max();
        for (place, row) in said.iter().enumerate() {
            let again = ceased.filter(|_| row.is_active && place + 1 == said.len());
            if telling.set(row, again.map_or(row.at(), |ceased| ceased.max(row.at())))?
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
        let translated = telling.translated;
        if scope.org.is_none() && counts.is_some_and(|row| row.is_active) {
            self.asked.insert((scope.task_type_id, scope.field.clone()));
        }
        Ok(Told { translated, scope: Some(scope) })
    }
}

#[cfg(test)]
mod tests;
