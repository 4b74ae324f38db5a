//! Against a real server on a port of its own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};

use super::*;

/// The token and the body of a request.
type Asked = (Option<String>, Value);

/// What a server answers, one after the other, and what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    async fn serve(&self) -> String {
        async fn answer(State(script): State<Script>, headers: HeaderMap, body: String) -> (StatusCode, String) {
            let token = headers.get("authorization").map(|token| token.to_str().unwrap().to_owned());
            script.asked.lock().unwrap().push((token, serde_json::from_str(&body).unwrap()));
            let next = script.answers.lock().unwrap().pop_front();
            let Some((status, body)) = next else { std::future::pending().await };
            (StatusCode::from_u16(status).unwrap(), body)
        }
        let app =
            Router::new().route("/v1/embeddings", post(answer)).route("/embed", post(answer)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        format!("http://{address}")
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A vector along this axis.
fn along(axis: usize) -> Vec<f32> {
    (0..768).map(|place| if place == axis { 1.0 } else { 0.0 }).collect()
}

fn axes(embeddings: &[TextEmbedding]) -> Vec<usize> {
    embeddings.iter().map(|one| one.as_slice().iter().position(|number| *number == 1.0).unwrap()).collect()
}

async fn embedder(script: &Script, path: &str) -> Http {
    let url = script.serve().await + path;
    let options = HttpOptions { token: Some("t0ken".to_owned()), ..HttpOptions::new(url, "bge-base") };
    Http::new(HttpOptions { timeout: Duration::from_secs(5), ..options }).unwrap()
}

#[tokio::test]
async fn an_openai_compatible_server_is_asked_for_the_model_and_its_order_is_put_right() {
    let data = json!([{ "index": 1, "embedding": along(1) }, { "index": 0, "embedding": along(0) }]);
    let script = Script::of([(200, json!({ "object": "list", "data": data }))]);
    let embeddings = embedder(&script, "/v1/embeddings").await.embed(&["a", "b"]).await.unwrap();
    assert_eq!(axes(&embeddings), [0, 1]);
    let asked = json!({ "model": "bge-base", "input": ["a", "b"], "encoding_format": "float" });
    assert_eq!(script.asked(), [(Some("Bearer t0ken".to_owned()), asked)]);
}

#[tokio::test]
async fn text_embeddings_inference_is_asked_in_its_own_way() {
    let script = Script::of([(200, json!([along(3)]))]);
    let embeddings = embedder(&script, "/embed").await.embed(&["a"]).await.unwrap();
    assert_eq!(axes(&embeddings), [3]);
    assert_eq!(script.asked()[0].1, json!({ "inputs": ["a"], "truncate": true, "normalize": true }));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let script = Script::of([(503, json!("loading")), (429, json!("slower")), (200, json!([along(0)]))]);
    assert_eq!(axes(&embedder(&script, "/embed").await.embed(&["a"]).await.unwrap()), [0]);
    assert_eq!(script.asked().len(), 3);

    let script = Script::of([(401, json!("who are you?")), (200, json!([along(0)]))]);
    let error = embedder(&script, "/embed").await.embed(&["a"]).await.unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("who are you?") && !error.contains("t0ken"), "{error}");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_no_embedding() {
    for (answer, why) in [
        (json!([vec![0.5; 384]]), "it has 384 numbers; send 768"),
        (json!([along(0), along(1)]), "2 embeddings of 1 texts"),
        (json!([vec![0.0; 768]]), "all of its numbers are zero"),
        (json!({ "error": "?" }), "invalid type"),
    ] {
        let script = Script::of([(200, answer)]);
        let error = embedder(&script, "/embed").await.embed(&["a"]).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_unreachable() {
    let url = Script::default().serve().await + "/embed";
    let silent = Http::new(HttpOptions { timeout: Duration::from_millis(50), ..HttpOptions::new(url, "m") }).unwrap();
    let error = silent.embed(&["a"]).await.unwrap_err().to_string();
    assert!(error.contains("took too long"), "{error}");

    let away = Http::new(HttpOptions::new("http://user:secret@127.0.0.1:9/embed", "m")).unwrap();
    let error = away.embed(&["a"]).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:9/embed") && !error.contains("secret"), "{error}");
}

#[test]
fn an_address_says_which_protocol_it_is() {
    for url in ["", "localhost", "ftp://host/embed", "http://host/", "http://host/v1/chat"] {
        let Err(error) = Http::new(HttpOptions::new(url, "m")) else { panic!("{url}") };
        assert!(error.to_string().contains("/v1/embeddings"), "{error}");
    }
}

#[tokio::test]
async fn requests_of_all_who_ask_are_so_many_at_the_same_time() {
    static RUNNING: Mutex<(usize, usize)> = Mutex::new((0, 0));
    let answer = || async {
        let running = |change: isize| {
            let mut running = RUNNING.lock().unwrap();
            running.0 = running.0.strict_add_signed(change);
            running.1 = running.1.max(running.0);
        };
        running(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
        running(-1);
        json!([along(0)]).to_string()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/embed", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/embed", post(answer))).await.unwrap() });
    let embedder = Http::new(HttpOptions { requests_max: 2, ..HttpOptions::new(url, "m") }).unwrap();
    let answers = futures::future::join_all((0..8).map(|_| embedder.embed(&["a"]))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(RUNNING.lock().unwrap().1, 2);
}

#[tokio::test]
async fn a_fault_is_maybe_of_the_texts_unless_it_says_who_asks_for_what_or_how_often() {
    for (status, may_be) in
        [(400, true), (413, true), (422, true), (500, true), (401, false), (403, false), (404, false)]
    {
        let script = Script::of([(status, json!("no"))]);
        let error = embedder(&script, "/embed").await.embed(&["a"]).await.unwrap_err();
        assert_eq!(error.may_be_of_texts(), may_be, "{error}");
    }
    let script = Script::of([(200, json!([vec![0.0; 768]]))]);
    assert!(embedder(&script, "/embed").await.embed(&["a"]).await.unwrap_err().may_be_of_texts());
    let away = Http::new(HttpOptions::new("http://127.0.0.1:9/embed", "m")).unwrap();
    assert!(away.embed(&["a"]).await.unwrap_err().may_be_of_texts());
}
