//! `runledger micro-states prune-embeddings`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use ledger::connection::Role;
use projector::embedding::{Model, forget_model, models};
use serde_json::json;

use crate::{output, settings::Settings};

/// Delete the kept embeddings of models that no table is made with any more
///
/// Tables that a rebuild has replaced and kept count too: `runledger rebuild --undo` needs theirs.
#[derive(Args)]
pub struct PruneEmbeddings {
    /// Those of this model only
    #[arg(long)]
    model: Option<String>,
    /// Say what would be deleted; delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one model a line
    #[arg(long)]
    json: bool,
}

impl PruneEmbeddings {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Projector).await?;
        let mut kept = models(&mut conn).await?;
        if let Some(meant) = &self.model {
            kept.retain(|it| it.model == *meant);
            match kept.first() {
                None => bail!("no embeddings of {meant:?} are kept; without --model all that are kept are listed"),
                Some(Model { used_by, .. }) if !used_by.is_empty() => bail!(
                    "tables of {} are made with {meant:?}, those that were replaced among them: rebuild these with another \
                     embedder and --drop-old first",
                    used_by.join(", ")
                ),
                Some(_) => {}
            }
        }
        let mut table = output::table(&["model", "#texts", "#MiB", "used by", "deleted"]);
        for Model { model, texts, bytes, used_by } in kept {
            let deleted = match self.dry_run || !used_by.is_empty() {
                true => 0,
                false => forget_model(&mut conn, &model).await?,
            };
            if self.json {
                output::json(
                    &json!({ "model": model, "texts": texts, "bytes": bytes, "used_by": used_by, "deleted": deleted }),
                )?;
                continue;
            }
            let mib = format!("{:.1}", bytes as f64 / f64::from(1 << 20));
            let what = match (used_by.is_empty(), self.dry_run) {
                (false, _) => "no",
                (true, true) => "would be",
                (true, false) => "yes",
            };
            let used_by = (!used_by.is_empty()).then(|| used_by.join(", "));
            output::row(&mut table, [model, texts.to_string(), mib, output::or_dash(used_by), what.to_owned()]);
        }
        if !self.json {
            output::print(table)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
