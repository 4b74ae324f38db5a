//! `runledger requirements`: what has to be known of which field, now and at any time, and how that came to be.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use events::{
    id::{OrgId, PayerId, TaskTypeId},
    time,
};
use projector::query::{self, ChangeFilter};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{output, settings::Settings};

/// Look at what has to be known of which field: show, log
#[derive(Args)]
pub struct Requirements {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Show(Show),
    Log(Log),
}

/// Show what an org has to know for a kind of task, and who says so
///
/// Each part of a requirement (level, values, help) comes from the most specific tier that sets it: the org for this
/// payer, the org for all payers, the payer, everyone.
#[derive(Args)]
struct Show {
    /// The org; read as its tenant
    #[arg(long)]
    org: OrgId,
    /// The kind of task
    #[arg(long)]
    task_type: TaskTypeId,
    /// The payer [default: what holds for payers that nobody has rules for]
    #[arg(long)]
    payer: Option<PayerId>,
    /// As it was at this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    as_of: Option<DateTime<Utc>>,
    /// Print JSON, one field a line
    #[arg(long)]
    json: bool,
}

/// List changes of requirements, the latest first: what was before and after, who wanted it, why
#[derive(Args)]
struct Log {
    /// As this org sees them: its own and everyone's
    #[arg(long)]
    org: Option<OrgId>,
    /// For this kind of task
    #[arg(long)]
    task_type: Option<TaskTypeId>,
    /// For this payer, and those that hold for all
    #[arg(long)]
    payer: Option<PayerId>,
    /// Of this field
    #[arg(long)]
    field: Option<String>,
    /// That happened before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    before: Option<DateTime<Utc>>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one change a line
    #[arg(long)]
    json: bool,
}

impl Requirements {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Show(show) => show.run(settings).await,
            Action::Log(log) => log.run(settings).await,
        }
    }
}

impl Show {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(Some(self.org)).await?;
        let rows =
            query::effective_requirement_list(&mut conn, self.org, self.payer, self.task_type, self.as_of).await?;
        if self.json {
            rows.iter().try_for_each(output::json)?;
        } else if rows.is_empty() {
            output::print(
                "no requirements: nobody has set any for this kind of task, or it is none; `runledger catalogue list task-types` shows which there are",
            )?;
        } else {
            let requirements = rows.iter().map(|row| Requirement::of_row(row)).collect::<Result<Vec<_>, _>>()?;
            print_requirements(&requirements, |_| None)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A row of `effective_requirements_at`.
#[derive(Deserialize)]
pub struct Requirement {
    pub field: String,
    pub level: Option<String>,
    level_from: Option<String>,
    pub rule: Option<Value>,
    validation: Option<Value>,
    validation_from: Option<String>,
    help_text: Option<String>,
    help_text_from: Option<String>,
}

impl Requirement {
    pub fn of_row(row: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    /// Who says what of it.
    fn from(&self) -> String {
        let parts = [("level", &self.level_from), ("values", &self.validation_from), ("help", &self.help_text_from)];
        let said = parts.into_iter().filter_map(|(part, from)| Some((part, from.as_deref()?)));
        let mut tiers: Vec<(&str, Vec<&str>)> = Vec::new();
        for (part, from) in said {
            match tiers.iter_mut().find(|(tier, _)| *tier == from) {
                Some((_, parts)) => parts.push(part),
                None => tiers.push((from, vec![part])),
            }
        }
        match &tiers[..] {
            [(tier, _)] => (*tier).to_owned(),
            _ => {
                tiers.iter().map(|(tier, parts)| format!("{tier}: {}", parts.join(", "))).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// Prints a table of requirements, each with what is to be said of its level beyond that.
pub fn print_requirements(
    requirements: &[Requirement],
    of_level: impl Fn(&Requirement) -> Option<String>,
) -> anyhow::Result<()> {
    let mut table = output::table(&["field", "level", "values", "help", "from"]);
    for requirement in requirements {
        let level = output::or_dash(requirement.level.as_ref());
        let rule = requirement.rule.as_ref().map(|rule| format!(" if {rule}")).unwrap_or_default();
        let note = of_level(requirement).map(|note| format!(": {note}")).unwrap_or_default();
        output::row(
            &mut table,
            [
                requirement.field.clone(),
                format!("{level}{rule}{note}"),
                output::or_dash(requirement.validation.as_ref()),
                output::or_dash(requirement.help_text.as_ref()),
                requirement.from(),
            ],
        );
    }
    Ok(output::print(table)?)
}

impl Log {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let filter = ChangeFilter {
            org_id: self.org,
            payer_id: self.payer,
            task_type_id: self.task_type,
            field: self.field,
            before: self.before,
        };
        let rows = query::requirement_change_list(&mut conn, &filter, self.limit).await?;
        if self.json {
            rows.iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if rows.is_empty() {
            output::print("no changes of requirements")?;
            return Ok(ExitCode::SUCCESS);
        }
        let changes = rows.iter().map(|row| serde_json::from_str(row.get())).collect::<Result<Vec<Change>, _>>()?;
        print_changes(&changes)?;
        if let Some(last) = changes.last().filter(|_| changes.len() as i64 == self.limit) {
            output::print(format!("more: --before {}", time::format(last.changed_at)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A row of `requirement_changelog`.
#[derive(Deserialize)]
struct Change {
    tier: String,
    payer_id: Option<PayerId>,
    task_type_id: TaskTypeId,
    field: String,
    version: i32,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
    changed_by: Option<String>,
    changed_at: DateTime<Utc>,
}

fn print_changes(changes: &[Change]) -> anyhow::Result<()> {
    let names = ["when", "field", "task type", "tier", "payer", "#version", "before", "after", "who", "why"];
    let mut table = output::table(&names);
    for change in changes {
        output::row(
            &mut table,
            [
                output::time(Some(change.changed_at)),
                change.field.clone(),
                change.task_type_id.to_string(),
                change.tier.clone(),
                output::or_dash(change.payer_id),
                change.version.to_string(),
                output::or_dash(change.before.as_ref()),
                output::or_dash(change.after.as_ref()),
                output::or_dash(change.changed_by.as_ref()),
                output::or_dash(change.reason.as_ref()),
            ],
        );
    }
    Ok(output::print(table)?)
}
