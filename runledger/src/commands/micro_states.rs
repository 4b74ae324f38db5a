//! `runledger micro-states`: look at the screens that services saw, and find those that are like one.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use comfy_table::Table;
use events::id::{MicroStateId, OrgId};
use projector::query::MicroStateFilter;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{output, settings::Settings};

mod list;
mod nearest;
mod predict;
mod prune_embeddings;
mod show;

/// Look at screens that services saw: list, show, nearest, predict; prune-embeddings
#[derive(Args)]
pub struct MicroStates {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(list::List),
    Show(show::Show),
    Nearest(nearest::Nearest),
    Predict(predict::Predict),
    PruneEmbeddings(prune_embeddings::PruneEmbeddings),
}

impl MicroStates {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List(list) => list.run(settings).await,
            Action::Show(show) => show.run(settings).await,
            Action::Nearest(nearest) => nearest.run(settings).await,
            Action::Predict(predict) => predict.run(settings).await,
            Action::PruneEmbeddings(prune) => prune.run(settings).await,
        }
    }
}

/// Which screens are meant.
#[derive(Args)]
struct Meant {
    /// Of this org only, read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Of this kind of portal
    #[arg(long, value_name = "TYPE")]
    portal: Option<String>,
    /// With this label
    #[arg(long)]
    label: Option<String>,
    /// Seen at this time or later, e.g. 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
}

impl Meant {
    fn filter(&self) -> MicroStateFilter {
        MicroStateFilter {
            org_id: self.org,
            portal_type: self.portal.clone(),
            label: self.label.clone(),
            since: self.since,
            ..MicroStateFilter::default()
        }
    }
}

/// What tables show of a screen; the row holds more.
#[derive(Deserialize)]
struct Screen {
    org_id: OrgId,
    micro_state_id: MicroStateId,
    label: Option<String>,
    portal_type: Option<String>,
    title: String,
    observed_count: i32,
    last_seen_at: DateTime<Utc>,
    distance: Option<f64>,
}

/// Screens as a table.
fn table(rows: &[Box<RawValue>]) -> anyhow::Result<Table> {
    let mut table =
        output::table(&["micro-state", "#distance", "label", "portal", "title", "#seen", "last seen", "org"]);
    for row in rows {
        let screen: Screen = serde_json::from_str(row.get())?;
        output::row(
            &mut table,
            [
                screen.micro_state_id.to_string(),
                screen.distance.map_or_else(|| "–".to_owned(), |distance| format!("{distance:.4}")),
                output::or_dash(screen.label),
                output::or_dash(screen.portal_type),
                screen.title,
                screen.observed_count.to_string(),
                output::time(Some(screen.last_seen_at)),
                screen.org_id.to_string(),
            ],
        );
    }
    Ok(table)
}
