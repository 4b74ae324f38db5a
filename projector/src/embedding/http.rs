//! An embedder behind HTTP: whatever speaks OpenAI's `POST …/embeddings`, or text-embeddings-inference's `POST …/embed`.
//!
//! The last part of the address says which. A request that fails in a way that may pass is made again, later each time;
//! what fails then is an error, and whoever asked tries again after a while. A text that is too long for the model is cut by
//! text-embeddings-inference, which is asked to; nothing else is, and whatever a server refuses has no embedding.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use reqwest::{Client, Response, Url, header};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Embedder, EmbedderError, TextEmbedding};

const CONNECT_MAX: Duration = Duration::from_secs(5);
const TRIES_MAX: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// So much of what a server says about a fault is passed on.
const FAULT_CHARS_MAX: usize = 300;

/// How an endpoint is spoken to.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Its address, which ends in `/embeddings` or in `/embed`.
    pub url: String,
    /// The model, by which its embeddings are known; an OpenAI-compatible server is asked for it.
    pub model: String,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// So many texts a request.
    pub texts_max: usize,
    /// So many requests at the same time, of all who have this embedder together.
    pub requests_max: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

impl HttpOptions {
    /// The defaults for this address and model.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        let timeout = Duration::from_secs(30);
        Self { url: url.into(), model: model.into(), token: None, texts_max: 32, requests_max: 4, timeout }
    }
}

/// An embedder behind HTTP.
pub struct Http {
    client: Client,
    url: Url,
    /// The address without credentials, for messages.
    place: String,
    protocol: Protocol,
    /// Requests that may be made now, whoever makes them.
    turns: Semaphore,
    options: HttpOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    OpenAi,
    TextEmbeddingsInference,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Request<'a> {
    OpenAi { model: &'a str, input: &'a [&'a str], encoding_format: &'a str },
    TextEmbeddingsInference { inputs: &'a [&'a str], truncate: bool, normalize: bool },
}

#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Vec<OpenAiEmbedding>,
}

#[derive(Deserialize)]
struct OpenAiEmbedding {
    index: usize,
    embedding: TextEmbedding,
}

/// A request that came to nothing.
enum Failure {
    /// It may go better the next time.
    Passing(EmbedderError),
    Lasting(EmbedderError),
}

impl Http {
    /// The endpoint at this address. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address is none, or one of neither protocol.
    pub fn new(options: HttpOptions) -> Result<Self, EmbedderError> {
        let no_address = || EmbedderError::NoAddress(options.url.clone());
        let url = Url::parse(&options.url).map_err(|_| no_address())?;
        let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()).map(str::to_owned));
        let protocol = match last.as_deref() {
            Some("embeddings") => Protocol::OpenAi,
            Some("embed") => Protocol::TextEmbeddingsInference,
            _ => return Err(no_address()),
        };
        if !["http", "https"].contains(&url.scheme()) {
            return Err(no_address());
        }
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        // Another part of the program may have chosen the same library already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(CONNECT_MAX).timeout(options.timeout).build();
        let client =
            client.map_err(|error| EmbedderError::Unreachable { place: place.clone(), reason: told(&error) })?;
        let turns = Semaphore::new(options.requests_max.max(1));
        Ok(Self { client, url, place, protocol, turns, options })
    }

    async fn ask_patiently(&self, texts: &[&str]) -> Result<Vec<TextEmbedding>, EmbedderError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES_MAX {
            match self.ask(texts).await {
                Ok(embeddings) => return Ok(embeddings),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error)) => tracing::debug!(%error, "asking the embedder again"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.ask(texts).await.map_err(|failure| match failure {
            Failure::Passing(error) | Failure::Lasting(error) => error,
        })
    }

    async fn ask(&self, texts: &[&str]) -> Result<Vec<TextEmbedding>, Failure> {
        let request = match self.protocol {
            Protocol::OpenAi => Request::OpenAi { model: &self.options.model, input: texts, encoding_format: "float" },
            Protocol::TextEmbeddingsInference => {
                Request::TextEmbeddingsInference { inputs: texts, truncate: true, normalize: true }
            }
        };
        let body = serde_json::to_vec(&request).map_err(|error| Failure::Lasting(self.no_answer(&error)))?;
        let mut post = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = &self.options.token {
            post = post.bearer_auth(token);
        }
        let _turn = self.turns.acquire().await;
        let response = post.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let answer = self.read(response).await?;
        if !status.is_success() {
            let printable = |char: char| if char.is_control() { ' ' } else { char };
            let body = String::from_utf8_lossy(&answer).chars().take(FAULT_CHARS_MAX).map(printable).collect();
            let refused = EmbedderError::Refused { place: self.place.clone(), status: status.as_u16(), body };
            let passes = status.is_server_error() || [408, 429].contains(&status.as_u16());
            return Err(if passes { Failure::Passing(refused) } else { Failure::Lasting(refused) });
        }
        self.embeddings(&answer, texts.len()).map_err(Failure::Lasting)
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Lasting(self.no_answer(&format!("it is longer than {ANSWER_BYTES_MAX} bytes"))));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn embeddings(&self, answer: &[u8], count: usize) -> Result<Vec<TextEmbedding>, EmbedderError> {
        let mut embeddings: Vec<_> = match self.protocol {
            Protocol::TextEmbeddingsInference => {
                let embeddings: Vec<TextEmbedding> =
                    serde_json::from_slice(answer).map_err(|error| self.no_answer(&error))?;
                embeddings.into_iter().enumerate().collect()
            }
            Protocol::OpenAi => {
                let answer: OpenAiAnswer = serde_json::from_slice(answer).map_err(|error| self.no_answer(&error))?;
                answer.data.into_iter().map(|one| (one.index, one.embedding)).collect()
            }
        };
        embeddings.sort_by_key(|(index, _)| *index);
        if embeddings.len() != count || embeddings.iter().enumerate().any(|(place, (index, _))| place != *index) {
            return Err(self.no_answer(&format!("it has {} embeddings of {count} texts", embeddings.len())));
        }
        Ok(embeddings.into_iter().map(|(_, embedding)| embedding).collect())
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Passing(EmbedderError::Unreachable { place: self.place.clone(), reason: told(error) })
    }

    fn no_answer(&self, reason: &dyn std::fmt::Display) -> EmbedderError {
        EmbedderError::NoAnswer { place: self.place.clone(), reason: reason.to_string() }
    }
}

/// The innermost cause says what happened; the outer ones hold the address, with whatever is in it.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Embedder for Http {
    fn model(&self) -> &str {
        &self.options.model
    }

    fn texts_max(&self) -> usize {
        self.options.texts_max
    }

    fn calls_max(&self) -> usize {
        self.options.requests_max
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        self.ask_patiently(texts).boxed()
    }
}

#[cfg(test)]
mod tests;
