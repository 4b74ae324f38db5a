//! `runledger micro-states show`.

use std::process::ExitCode;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::Args;
use events::id::{MicroStateId, OrgId, RunId, UserId};
use projector::query;
use serde::Deserialize;

use crate::{output, settings::Settings};

/// Show a screen: the latest observation of it, its label, and what is embedded of it
#[derive(Args)]
pub struct Show {
    /// The micro-state's id
    micro_state: MicroStateId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Print JSON: the row without embeddings, `has_image_embedding` and `same_content`
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Shown {
    org_id: OrgId,
    micro_state_id: MicroStateId,
    label: Option<String>,
    labelled_by: Option<UserId>,
    portal_type: Option<String>,
    run_id: Option<RunId>,
    url: String,
    title: String,
    observed_count: i32,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    content_hash: String,
    rendition: String,
    embedding_model: Option<String>,
    has_image_embedding: bool,
    same_content: Vec<MicroStateId>,
    flags: Vec<String>,
}

impl Show {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let rows = query::micro_state_show(&mut conn, self.micro_state, self.org).await?;
        let [row] = &rows[..] else {
            let id = self.micro_state;
            return Err(match rows.len() {
                0 => anyhow!("there is no micro-state {id}; `runledger micro-states list` shows which there are"),
                _ => anyhow!("micro-state {id} occurs in {} orgs: say which with --org", rows.len()),
            });
        };
        if self.json {
            output::json(row)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&serde_json::from_str(row.get())?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn print(shown: &Shown) -> anyhow::Result<()> {
    output::print(format!("micro-state {}  {}", shown.micro_state_id, output::printable(&shown.title)))?;
    let same: Vec<_> = shown.same_content.iter().map(ToString::to_string).collect();
    let facts = [
        ("org", Some(shown.org_id.to_string())),
        ("label", shown.label.clone()),
        ("labelled by", shown.labelled_by.map(|by| by.to_string())),
        ("portal", shown.portal_type.clone()),
        ("url", Some(shown.url.clone())),
        ("run", shown.run_id.map(|run_id| run_id.to_string())),
        ("seen", Some(format!("{} times", shown.observed_count))),
        ("first seen", Some(output::time(Some(shown.first_seen_at)))),
        ("last seen", Some(output::time(Some(shown.last_seen_at)))),
        ("embedded by", shown.embedding_model.clone()),
        ("image", shown.has_image_embedding.then(|| "has an embedding".to_owned())),
        ("content", Some(shown.content_hash.clone())),
        ("same content", (!same.is_empty()).then(|| same.join(" "))),
        ("flags", (!shown.flags.is_empty()).then(|| shown.flags.join(" "))),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        output::print(format!("  {name:<13} {}", output::printable(&value)))?;
    }
    output::print("\nwhat is embedded of it:")?;
    for line in shown.rendition.lines() {
        output::print(format!("  {}", output::printable(line)))?;
    }
    Ok(())
}
