//! `runledger micro-states nearest`: have we seen this screen?

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use events::{
    id::MicroStateId,
    payload::{
        MicroStateObserved,
        embedding::{Embedding, IMAGE_DIMENSIONS, TEXT_DIMENSIONS},
    },
};
use projector::{
    micro_state::rendition,
    query::{self, MicroStateEmbeddings, MicroStateFilter, NEAREST_MAX, Nearness},
};
use serde::de::DeserializeOwned;
use sqlx::PgConnection;

use super::{Meant, table};
use crate::{output, settings::Settings};

/// Find the screens nearest to a text, a screen or a vector
#[derive(Args)]
pub struct Nearest {
    #[command(flatten)]
    to: To,
    /// So many
    #[arg(short = 'k', default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=NEAREST_MAX))]
    k: i64,
    #[command(flatten)]
    meant: Meant,
    /// With embeddings of this model [default: that of the text, of the screen, or the only one that there is]
    #[arg(long)]
    model: Option<String>,
    /// Print JSON, one screen a line: its row with `distance`, without embeddings
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To this text, embedded as the projector embeds (--embedder)
    #[arg(long)]
    text: Option<String>,
    /// To what is embedded of a screen: a file with the data of a `micro_state.observed`, or - for stdin
    #[arg(long, value_name = "FILE")]
    screen: Option<PathBuf>,
    /// To this screen
    #[arg(long, value_name = "ID")]
    id: Option<MicroStateId>,
    /// To this vector: a JSON array of 768 numbers, or a file that holds one, or - for stdin
    #[arg(long, value_name = "VECTOR")]
    vector: Option<String>,
    /// By their pictures, to this screen's picture
    #[arg(long, value_name = "ID")]
    image_id: Option<MicroStateId>,
    /// By their pictures, to this vector: of 512 numbers, as above
    #[arg(long, value_name = "VECTOR")]
    image_vector: Option<String>,
}

/// What is looked for.
struct Question {
    vector: Vec<f32>,
    nearness: Nearness,
    model: Option<String>,
    except: Option<MicroStateId>,
}

impl Nearest {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.meant.org).await?;
        let question = self.question(settings, &mut conn).await?;
        if let (Some(model), Some(of_question)) = (&self.model, &question.model)
            && model != of_question
        {
            bail!(
                "what is looked for has an embedding of {of_question}, which cannot be compared with those of {model}: leave --model out"
            );
        }
        let model = self.model.clone().or(question.model).filter(|_| question.nearness == Nearness::OfText);
        let filter = MicroStateFilter { model: model.clone(), except: question.except, ..self.meant.filter() };
        let rows = query::micro_state_nearest(&mut conn, &question.vector, question.nearness, &filter, self.k).await?;
        if rows.is_empty()
            && let Some(model) = model
        {
            let models = query::micro_state_models(&mut conn).await?;
            if !models.is_empty() && !models.contains(&model) {
                bail!(
                    "no screen has an embedding of {model}; they are of {}: choose the --embedder whose model that is",
                    models.join(", ")
                );
            }
        }
        if self.json {
            for row in &rows {
                output::json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        output::print(table(&rows)?)?;
        output::print(if rows.is_empty() {
            "no screens"
        } else {
            "look at one with `runledger micro-states show ID`"
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn question(&self, settings: &Settings, conn: &mut PgConnection) -> anyhow::Result<Question> {
        let To { text, screen, id, vector, image_id, image_vector } = &self.to;
        let given = |vector, nearness| Question { vector, nearness, model: None, except: None };
        if let Some(text) = text {
            return embedded(settings, text).await;
        }
        if let Some(file) = screen {
            let observed: MicroStateObserved = parsed(&contents(file)?, "data of a micro_state.observed")?;
            return embedded(settings, &rendition(&observed).text).await;
        }
        if let Some(vector) = vector {
            let vector: Embedding<TEXT_DIMENSIONS> = parsed(&given_or_file(vector)?, "vector")?;
            let model = match &self.model {
                Some(_) => None,
                None => only(query::micro_state_models(conn).await?)?,
            };
            return Ok(Question { model, ..given(vector.normalized(), Nearness::OfText) });
        }
        if let Some(vector) = image_vector {
            let vector: Embedding<IMAGE_DIMENSIONS> = parsed(&given_or_file(vector)?, "vector")?;
            return Ok(given(vector.normalized(), Nearness::OfImage));
        }
        let nearness = if image_id.is_some() { Nearness::OfImage } else { Nearness::OfText };
        let id = id.or(*image_id).context("say what to look for")?;
        let MicroStateEmbeddings { model, text, image, .. } = self.embeddings(conn, id).await?;
        let (vector, what) = if nearness == Nearness::OfImage { (image, "picture") } else { (text, "text") };
        let vector = vector.ok_or_else(|| anyhow!("micro-state {id} has no embedding of its {what}"))?;
        Ok(Question { vector, nearness, model, except: Some(id) })
    }

    async fn embeddings(&self, conn: &mut PgConnection, id: MicroStateId) -> anyhow::Result<MicroStateEmbeddings> {
        let mut known = query::micro_state_embeddings(conn, id, self.meant.org).await?;
        if known.len() > 1 {
            let orgs: Vec<_> = known.iter().map(|one| one.org_id.to_string()).collect();
            bail!("micro-state {id} occurs in several orgs: say which with --org: {}", orgs.join(", "));
        }
        known.pop().with_context(|| {
            format!("there is no micro-state {id}; `runledger micro-states list` shows which there are")
        })
    }
}

/// Embeddings of two models cannot be compared, and a vector does not say of which it is.
fn only(mut models: Vec<String>) -> anyhow::Result<Option<String>> {
    if models.len() > 1 {
        bail!(
            "screens have embeddings of several models: say of which the vector is, with --model: {}",
            models.join(", ")
        );
    }
    Ok(models.pop())
}

/// A text as the projector would embed it. Nothing of it is kept.
async fn embedded(settings: &Settings, text: &str) -> anyhow::Result<Question> {
    let embedder = settings.embedder()?;
    let embedding = embedder.embed(&[text]).await?.pop().context("the embedder gave no embedding")?;
    let model = Some(embedder.model().to_owned());
    Ok(Question { vector: embedding.normalized(), nearness: Nearness::OfText, model, except: None })
}

fn given_or_file(given: &str) -> anyhow::Result<String> {
    if given.trim_start().starts_with('[') { Ok(given.to_owned()) } else { contents(given.as_ref()) }
}

fn contents(file: &std::path::Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin()).context("stdin cannot be read");
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn parsed<T: DeserializeOwned>(json: &str, what: &str) -> anyhow::Result<T> {
    serde_json::from_str(json).map_err(|error| anyhow!("that is no {what}: {error}"))
}
