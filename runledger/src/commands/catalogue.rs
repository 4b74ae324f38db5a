//! `runledger catalogue`: what runs work with, and the values of lookup tables.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use events::id::{OrgId, SHARED_ORG};
use projector::query::{self, CatalogueKind};
use serde_json::Value;

use crate::{
    commands::point::{PointArgs, print_point, recall_everyones},
    output,
    settings::Settings,
};

/// Look at portal types, endpoints, tasks and lookup tables
#[derive(Args)]
pub struct Catalogue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
}

/// List what the catalogue holds, or held
#[derive(Args)]
struct List {
    /// Of this kind only
    kind: Option<Kind>,
    /// As this org sees it: its own and everyone's
    #[arg(long)]
    org: Option<OrgId>,
    #[command(flatten)]
    point: PointArgs,
    /// Print JSON, one entry a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    PortalTypes,
    Endpoints,
    TaskTypes,
    Signatures,
    Lookups,
}

impl Catalogue {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Action::List(list) = self.action;
        list.run(settings).await
    }
}

impl List {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let kinds = self.kind.as_ref().map_or(Kind::value_variants(), std::slice::from_ref);
        recall_everyones(&mut conn, kinds.iter().map(|kind| kind.projection()), self.org, self.point).await?;
        if let Some(point) = self.point.past().filter(|_| !self.json) {
            print_point(point)?;
        }
        for &kind in kinds {
            let rows = query::catalogue_list(&mut conn, kind.listed()).await?;
            if self.json {
                rows.iter().try_for_each(output::json)?;
            } else {
                let rows = rows.iter().map(|row| serde_json::from_str(row.get())).collect::<Result<Vec<_>, _>>()?;
                kind.print(&rows)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Kind {
    fn projection(self) -> &'static str {
        match self {
            Self::PortalTypes => "portal_type",
            Self::Endpoints => "integration_endpoint",
            Self::TaskTypes => "task_type",
            Self::Signatures => "task_signature",
            Self::Lookups => "lookup",
        }
    }

    fn listed(self) -> CatalogueKind {
        match self {
            Self::PortalTypes => CatalogueKind::PortalTypes,
            Self::Endpoints => CatalogueKind::Endpoints,
            Self::TaskTypes => CatalogueKind::TaskTypes,
            Self::Signatures => CatalogueKind::TaskSignatures,
            Self::Lookups => CatalogueKind::Lookups,
        }
    }

    /// The columns that tables show; JSON has all.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::PortalTypes => &["portal_type_id", "name", "channel_type", "base_url", "status"],
            Self::Endpoints => {
                &["endpoint_id", "name", "channel_type", "auth_type", "base_url", "secret_ref", "status"]
            }
            Self::TaskTypes => &["task_type_id", "domain", "action", "display_name", "x12_transaction", "status"],
            Self::Signatures => &["task_signature_id", "task_type_id", "step_labels", "source", "alias_of", "flags"],
            Self::Lookups => &["lookup", "code", "label", "sort"],
        }
    }

    fn print(self, rows: &[Value]) -> anyhow::Result<()> {
        let columns = self.columns();
        let names: Vec<_> =
            ["of"].into_iter().chain(columns.iter().copied()).map(|name| name.replace('_', " ")).collect();
        let mut table = output::table(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let shared = SHARED_ORG.to_string();
        for row in rows {
            let of = if row["org_id"] == *shared { "everyone".to_owned() } else { cell(&row["org_id"]) };
            output::row(&mut table, [of].into_iter().chain(columns.iter().map(|column| cell(&row[column]))));
        }
        Ok(output::print(table)?)
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => output::or_dash(None::<&str>),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
