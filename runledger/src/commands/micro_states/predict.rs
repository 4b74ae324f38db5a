//! `runledger micro-states predict`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use events::id::{MicroStateId, OrgId};
use projector::query::{self, Level, NextState};
use sqlx::PgConnection;

use crate::{output, settings::Settings};

/// Say what is likeliest to come after a screen
///
/// Counted is what came after this screen, and, the less there is of that, what came after screens of its kind.
#[derive(Args)]
pub struct Predict {
    /// The micro-state's id
    #[arg(long, value_name = "ID")]
    from: MicroStateId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// After this action alone, as events name it
    #[arg(long)]
    action: Option<String>,
    /// Whether screens or kinds of screens are to be predicted
    #[arg(long, value_enum, default_value_t = Of::Micro)]
    level: Of,
    /// So many at most
    #[arg(short, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    k: u16,
    /// Print JSON, one state a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    Micro,
    Macro,
}

impl Predict {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let org_id = self.the_org(&mut conn).await?;
        let level = match self.level {
            Of::Micro => Level::Micro,
            Of::Macro => Level::Macro,
        };
        let action = self.action.as_deref();
        let next = query::next_state_list(&mut conn, org_id, self.from, action, level, self.k.into()).await?;
        if self.json {
            next.iter().try_for_each(output::json)?;
        } else if next.is_empty() {
            let by = action.map(|action| format!(" by {action:?}")).unwrap_or_default();
            output::print(output::printable(&format!(
                "nothing is known to come after it{by}: no ui_transition.observed leads from it or from a screen of its kind"
            )))?;
        } else {
            output::print(table(&next))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn the_org(&self, conn: &mut PgConnection) -> anyhow::Result<OrgId> {
        let orgs = query::micro_state_orgs(conn, self.from).await?;
        match orgs[..] {
            [org_id] => Ok(org_id),
            [] => bail!("there is no micro-state {}; `runledger micro-states list` shows which there are", self.from),
            _ => bail!("micro-state {} occurs in {} orgs: say which with --org", self.from, orgs.len()),
        }
    }
}

fn table(next: &[NextState]) -> comfy_table::Table {
    let mut table = output::table(&["#probability", "#support", "#of its kind", "by", "label", "title", "state"]);
    for one in next {
        output::row(
            &mut table,
            [
                format!("{:.3}", one.probability),
                one.micro_support.to_string(),
                one.macro_support.to_string(),
                one.action.clone(),
                output::or_dash(one.name.as_ref().or(one.label.as_ref())),
                output::or_dash(one.title.as_ref()),
                one.state.to_string(),
            ],
        );
    }
    table
}
