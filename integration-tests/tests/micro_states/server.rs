//! An embedder of the tests: a real server on a port of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde_json::Value;

/// An embedder that can be switched off, what it refuses, and how often it was asked for each text.
#[derive(Clone, Default)]
pub struct Server {
    pub is_off: Arc<AtomicBool>,
    /// Texts that hold this word.
    pub refuses: Arc<Mutex<Option<&'static str>>>,
    /// It breaks down on texts that hold this word.
    pub breaks_on: Arc<Mutex<Option<&'static str>>>,
    /// How long an answer takes, in milliseconds.
    pub delay_ms: Arc<AtomicU64>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    /// Requests that came, and that were answered.
    requests: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
}

impl Server {
    /// Its address.
    pub async fn start(&self) -> String {
        async fn embed(State(server): State<Server>, body: String) -> (StatusCode, String) {
            server.requests.fetch_add(1, Ordering::Relaxed);
            let answer = answer(&server, body).await;
            server.answers.fetch_add(1, Ordering::Relaxed);
            answer
        }
        async fn answer(server: &Server, body: String) -> (StatusCode, String) {
            tokio::time::sleep(Duration::from_millis(server.delay_ms.load(Ordering::Relaxed))).await;
            if server.is_off.load(Ordering::Relaxed) {
                return (StatusCode::SERVICE_UNAVAILABLE, "warming up".to_owned());
            }
            let request: Value = serde_json::from_str(&body).unwrap();
            let texts: Vec<_> =
                request["inputs"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            for text in &texts {
                *server.asked.lock().unwrap().entry((*text).to_owned()).or_default() += 1;
            }
            if let Some(word) = *server.breaks_on.lock().unwrap()
                && texts.iter().any(|text| text.contains(word))
            {
                return (StatusCode::BAD_GATEWAY, "gone for a moment".to_owned());
            }
            if let Some(word) = *server.refuses.lock().unwrap()
                && texts.iter().any(|text| text.contains(word))
            {
                return (StatusCode::PAYLOAD_TOO_LARGE, format!("too long:\0 {word}"));
            }
            let axis = |text: &str| text.bytes().map(usize::from).sum::<usize>() % 700;
            let embeddings: Vec<_> = texts.iter().map(|text| super::along(768, axis(text))).collect();
            (StatusCode::OK, serde_json::to_string(&embeddings).unwrap())
        }
        let app = Router::new().route("/embed", post(embed)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/embed", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    /// How often it was asked for each text of a screen.
    pub fn asked(&self) -> HashMap<String, usize> {
        let mut asked = self.asked.lock().unwrap().clone();
        // That it is asked for tells only that the embedder was in trouble.
        asked.remove("title Search");
        asked
    }

    /// How many requests it has answered.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for an answer.
    pub fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > self.answers()
    }
}
