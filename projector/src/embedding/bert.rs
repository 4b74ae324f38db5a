//! A model of the BERT family in a directory of this machine, as the field's model hubs give them out: `config.json`,
//! `tokenizer.json`, `model.safetensors`, and, where it is a sentence transformer, `1_Pooling/config.json`. Computed on
//! the processor, by `candle`.
//!
//! What is longer than the model reads, 512 tokens for most, is cut there, as these models are used everywhere. Processors
//! of different kinds, and texts that are embedded together with others, give numbers that differ in their last digits: the
//! cache keeps the first ones.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use events::payload::embedding::TEXT_DIMENSIONS;
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use super::{Embedder, EmbedderError, TextEmbedding};

const TEXTS_MAX: usize = 16;

/// A model of the BERT family.
pub struct Bert {
    name: String,
    encoder: Arc<Encoder>,
}

impl Bert {
    /// The model in this directory. Its name is the directory's and the beginning of a SHA-256 of its files, because
    /// embeddings are known by it for ever.
    ///
    /// # Errors
    /// When a file is missing or is none of such a model, or when its embeddings do not have 768 dimensions.
    pub fn load(directory: &Path) -> Result<Self, EmbedderError> {
        let (encoder, digest) = Encoder::load(directory)?;
        if encoder.dimensions != TEXT_DIMENSIONS {
            let reason = format!(
                "its embeddings have {} dimensions, and {TEXT_DIMENSIONS} are kept: take a model whose hidden_size is \
                 {TEXT_DIMENSIONS}, such as one of BGE base",
                encoder.dimensions
            );
            return Err(EmbedderError::Model { directory: directory.to_owned(), reason });
        }
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        let of_directory = directory.file_name().map_or("bert".into(), |name| name.to_string_lossy());
        Ok(Self { name: format!("{of_directory}@{digest}"), encoder: Arc::new(encoder) })
    }
}

impl Embedder for Bert {
    fn model(&self) -> &str {
        &self.name
    }

    fn texts_max(&self) -> usize {
        TEXTS_MAX
    }

    fn calls_max(&self) -> usize {
        // One call keeps all cores busy.
        1
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let encoder = self.encoder.clone();
        async move {
            let place = encoder.directory.display().to_string();
            let no_answer = |reason: String| EmbedderError::NoAnswer { place: place.clone(), reason };
            let embedded = tokio::task::spawn_blocking(move || encoder.encode(texts)).await;
            let embedded = embedded.map_err(|died| no_answer(died.to_string()))?.map_err(no_answer)?;
            embedded
                .into_iter()
                .map(|numbers| numbers.try_into().map_err(|none| no_answer(format!("{none}"))))
                .collect()
        }
        .boxed()
    }
}

/// What makes numbers of texts, of whatever dimensions.
struct Encoder {
    directory: PathBuf,
    tokenizer: Tokenizer,
    model: BertModel,
    pooling: Pooling,
    dimensions: usize,
}

/// How the embeddings of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    /// The first token's: `[CLS]`.
    Cls,
    /// Their mean.
    Mean,
}

/// What a sentence transformer is made of, in `modules.json`.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    class: String,
}

/// The files of a model, each read once, and noted in a digest of all.
struct Files<'a> {
    directory: &'a Path,
    digest: Sha256,
}

impl Files<'_> {
    fn fault(&self, file: &str, reason: impl Display) -> EmbedderError {
        EmbedderError::Model { directory: self.directory.to_owned(), reason: format!("{file}: {reason}") }
    }

    fn read(&mut self, file: &str) -> Result<Vec<u8>, EmbedderError> {
        let bytes = std::fs::read(self.directory.join(file)).map_err(|error| self.fault(file, error))?;
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn read_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<T, EmbedderError> {
        let bytes = self.read(file)?;
        serde_json::from_slice(&bytes).map_err(|error| self.fault(file, error))
    }

    /// Embeddings are normalised wherever they are kept, so whether a module does so does not matter.
    fn refuse_other_modules(&mut self) -> Result<(), EmbedderError> {
        const FILE: &str = "modules.json";
        if !self.directory.join(FILE).exists() {
            return Ok(());
        }
        let modules: Vec<Module> = self.read_json(FILE)?;
        let other = modules
            .iter()
            .find(|it| !["Transformer", "Pooling", "Normalize"].iter().any(|known| it.class.ends_with(known)));
        other.map_or(Ok(()), |it| {
            Err(self.fault(FILE, format!("{} is a part of it, which cannot be computed here", it.class)))
        })
    }
}

impl Encoder {
    /// The model in this directory, and the first 12 digits of its files' digest.
    fn load(directory: &Path) -> Result<(Self, String), EmbedderError> {
        let mut files = Files { directory, digest: Sha256::new() };
        let config: Config = files.read_json("config.json")?;
        files.refuse_other_modules()?;
        let pooling = Pooling::read(&mut files)?;
        let mut tokenizer = Tokenizer::from_bytes(files.read("tokenizer.json")?)
            .map_err(|error| files.fault("tokenizer.json", error))?;
        let (max_length, id) = (config.max_position_embeddings, config.pad_token_id as u32);
        tokenizer
            .with_padding(Some(PaddingParams { pad_id: id, ..PaddingParams::default() }))
            .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))
            .map_err(|error| files.fault("tokenizer.json", error))?;
        let words = tokenizer.get_vocab_size(true);
        if words > config.vocab_size {
            let reason = format!("it has {words} tokens, and config.json says {}", config.vocab_size);
            return Err(files.fault("tokenizer.json", reason));
        }
        let weights = files.read("model.safetensors")?;
        let model = VarBuilder::from_buffered_safetensors(weights, DTYPE, &Device::Cpu)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|error| files.fault("model.safetensors", error))?;
        let digest = files.digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let (directory, dimensions) = (directory.to_owned(), config.hidden_size);
        Ok((Self { directory, tokenizer, model, pooling, dimensions }, digest))
    }

    fn encode(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, String> {
        let encodings = self.tokenizer.encode_batch(texts, true).map_err(|error| error.to_string())?;
        let tensor = |of: fn(&tokenizers::Encoding) -> &[u32]| {
            let rows: Vec<_> = encodings.iter().map(|encoding| of(encoding).to_vec()).collect();
            Tensor::new(rows, &Device::Cpu)
        };
        let encoded = || {
            let mask = tensor(tokenizers::Encoding::get_attention_mask)?;
            let types = tensor(tokenizers::Encoding::get_type_ids)?;
            let tokens = self.model.forward(&tensor(tokenizers::Encoding::get_ids)?, &types, Some(&mask))?;
            self.pooling.pool(&tokens, &mask)?.to_vec2()
        };
        encoded().map_err(|error: candle_core::Error| error.to_string())
    }
}

impl Pooling {
    /// As the model says; the mean where it says nothing, as sentence transformers have it.
    fn read(files: &mut Files<'_>) -> Result<Self, EmbedderError> {
        const FILE: &str = "1_Pooling/config.json";
        if !files.directory.join(FILE).exists() {
            return Ok(Self::Mean);
        }
        let config: BTreeMap<String, Value> = files.read_json(FILE)?;
        let modes =
            config.iter().filter(|(name, value)| name.starts_with("pooling_mode_") && **value == Value::Bool(true));
        match modes.map(|(name, _)| name.as_str()).collect::<Vec<_>>()[..] {
            ["pooling_mode_cls_token"] => Ok(Self::Cls),
            ["pooling_mode_mean_tokens"] => Ok(Self::Mean),
            _ => Err(files.fault(FILE, "it asks for another pooling than that of `cls` or of `mean` alone")),
        }
    }

    /// Of (texts, tokens, dimensions), with the (texts, tokens) that are no padding: (texts, dimensions).
    fn pool(self, tokens: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Cls => tokens.narrow(1, 0, 1)?.squeeze(1),
            Self::Mean => {
                let mask = mask.to_dtype(DTYPE)?.unsqueeze(2)?;
                tokens.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)
            }
        }
    }
}

#[cfg(test)]
mod tests;
