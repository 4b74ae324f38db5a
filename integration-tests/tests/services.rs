//! What runs the services for good: health, metrics, logs, and ending them.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
    task::JoinHandle,
};

use crate::harness::{Sent, dead_letter_code, eventually, idle_stack, new_run, run, runledger, size, size_reaches};

/// How long a service may take to end.
const END_MAX: Duration = Duration::from_secs(5);

/// A service with an address for health and metrics, and its log in JSON.
struct Service {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    logging: JoinHandle<()>,
}

impl Service {
    fn start(stack: &Stack, service: &str) -> Self {
        let mut command = runledger(stack, [service]);
        command.env("RUNLEDGER_METRICS_ADDR", "127.0.0.1:0").env("RUNLEDGER_LOG_FORMAT", "json");
        command.env("RUST_LOG", "warn,async_nats=off,sqlx=error,runledger=info,ledger=debug,projector=debug");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let logging = tokio::spawn({
            let log = log.clone();
            async move {
                while let Some(line) = lines.next_line().await.unwrap() {
                    log.lock().unwrap().push(line);
                }
            }
        });
        Self { child, log, logging }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    async fn address(&self) -> SocketAddr {
        eventually("the address of health and metrics", async || {
            let log = self.log();
            let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter_map(|line| line["address"].as_str()?.parse().ok()).next()
        })
        .await
    }

    /// Status and body of the answer to a GET request.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address().await).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn readiness_becomes(&self, expected: u16) {
        eventually(&format!("readiness to be {expected}"), async || {
            (self.get("/health/ready").await.0 == expected).then_some(())
        })
        .await;
    }

    /// Asks it to end, and says how it did and how long that took.
    async fn end(mut self, signal: &str) -> (ExitStatus, Duration, Vec<String>) {
        let asked = Instant::now();
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let ended = tokio::time::timeout(4 * END_MAX, self.child.wait()).await.expect("the service to end").unwrap();
        let took = asked.elapsed();
        self.logging.await.unwrap();
        (ended, took, self.log.lock().unwrap().clone())
    }
}

/// The value of a metric, given as it stands before the value.
fn metric(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn the_metrics_tell_what_was_appended_refused_and_folded_and_what_waits() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("metrics").await.unwrap();
    let up = Service::start(&stack, "up");
    up.readiness_becomes(200).await;
    let run_id = new_run();
    for event_type in ["run.started", "run.completed"] {
        Sent::valid(org_id, event_type, run_id.uuid(), json!({})).publish(&stack).await;
    }
    let refused = Sent::valid(org_id, "run.vanished", run_id.uuid(), json!({})).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, refused).await, "unknown_type");
    stack.wait_for_run(org_id, run_id, "completed").await.unwrap();

    let metrics = eventually("the metrics to be up to date", async || {
        let (status, metrics) = up.get("/metrics").await;
        assert_eq!(status, 200);
        // The org, the run's two events; the shared org's registration is the system's.
        let appended = metric(&metrics, "runledger_appended_events_total")?;
        let is_refused = metric(&metrics, r#"runledger_refused_events_total{code="unknown_type"}"#)? == 1.0;
        let mut lags = metrics.lines().filter(|line| line.contains("_lag_") && !line.starts_with('#'));
        (appended >= 3.0 && is_refused && lags.all(|line| line.ends_with(" 0"))).then_some(metrics)
    })
    .await;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.event").fetch_one(stack.pool()).await.unwrap();
    assert_eq!(metric(&metrics, "runledger_appended_events_total"), Some(total as f64));
    for histogram in ["runledger_append_batch_events", "runledger_append_seconds"] {
        assert!(metrics.contains(&format!("# TYPE {histogram} histogram")), "{metrics}");
        let count = metric(&metrics, &format!("{histogram}_count")).unwrap();
        assert!(count >= 1.0, "{metrics}");
        assert!(metrics.contains(&format!("{histogram}_bucket{{le=")), "{metrics}");
    }
    // What was refused is part of a batch too.
    assert_eq!(metric(&metrics, "runledger_append_batch_events_sum"), Some(total as f64 + 1.0), "{metrics}");
    assert!(metrics.contains("\nrunledger_stream_lag_messages{partition=\""), "{metrics}");
    for projection in ["organization", "app_user", "user_workflow_run"] {
        let name = format!(r#"runledger_projection_lag_events{{projection="{projection}"}}"#);
        assert_eq!(metric(&metrics, &name), Some(0.0), "{metrics}");
    }
    assert_eq!(up.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_service_is_alive_but_not_ready_while_a_server_is_away() {
    let options = ServerOptions { nats_accounts: 1000, ..ServerOptions::default() };
    let stack = Stack::on(Arc::new(Servers::start(options).await.unwrap())).await.unwrap();
    let up = Service::start(&stack, "up");
    up.readiness_becomes(200).await;
    for server in [stack.servers().postgres(), stack.servers().nats()] {
        server.stop().await.unwrap();
        up.readiness_becomes(503).await;
        assert_eq!(up.get("/health/live").await, (200, "alive\n".to_owned()));
        server.start().await.unwrap();
        up.readiness_becomes(200).await;
    }
    let org_id = stack.register_org("back").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let (_, _, log) = up.end("-TERM").await;
    for server in ["PostgreSQL", "NATS"] {
        let said = |what: &str| log.iter().filter(|line| line.contains(what) && line.contains(server)).count();
        assert_eq!((said("lost the connection"), said("connected again")), (1, 1), "{server}:\n{}", log.join("\n"));
    }
}

#[tokio::test]
async fn a_service_without_its_servers_is_alive_and_not_ready() {
    let options = ServerOptions { nats_accounts: 1000, ..ServerOptions::default() };
    let stack = Stack::on(Arc::new(Servers::start(options).await.unwrap())).await.unwrap();
    for server in [stack.servers().postgres(), stack.servers().nats()] {
        server.stop().await.unwrap();
    }
    for service in ["up", "ledger", "projector"] {
        let service = Service::start(&stack, service);
        service.readiness_becomes(503).await;
        assert_eq!(service.get("/health/live").await.0, 200);
        let (ended, took, log) = service.end("-TERM").await;
        assert_eq!(ended.code(), Some(0), "{}", log.join("\n"));
        assert!(took < END_MAX, "it took {took:?} to end");
    }
}

#[tokio::test]
async fn every_line_of_the_log_is_json_and_names_what_it_is_about() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("logged").await.unwrap();
    let up = Service::start(&stack, "up");
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    let refused = Sent::valid(org_id, "run.vanished", run_id.uuid(), json!({})).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, refused).await, "unknown_type");
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    let (_, _, log) = up.end("-TERM").await;
    let lines: Vec<Value> =
        log.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    let about =
        |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}"));
    let refusal = about("refused an event");
    assert_eq!((&refusal["code"], &refusal["stream_seq"]), (&json!("unknown_type"), &json!(refused)));
    assert!(refusal.to_string().contains(&org_id.to_string()), "{refusal}");
    let of_org = |message: &str| {
        lines.iter().any(|line| line["message"] == message && line.to_string().contains(&org_id.to_string()))
    };
    assert!(of_org("appended") && of_org("folded"), "{}", log.join("\n"));
}

/// Publishes runs until told to stop; gives back how many were acknowledged.
fn load(stack: &Stack, org_id: events::id::OrgId) -> (Arc<std::sync::atomic::AtomicBool>, JoinHandle<i64>) {
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (emitter, stopped) = (stack.emitter("/services"), stop.clone());
    let task = tokio::spawn(async move {
        let mut acknowledged = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let events = (0..200).map(|_| {
                let started = events::payload::RunStarted::default();
                events::Event::new(org_id, new_run().subject(), "/services", &started).unwrap()
            });
            acknowledged += emitter.emit_all(futures::stream::iter(events)).await.unwrap() as i64;
        }
        acknowledged
    });
    (stop, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_end_under_load_does_so_in_time_and_nothing_is_lost() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("ended").await.unwrap();
    let (stop, load) = load(&stack, org_id);
    for (round, service) in ["up", "ledger", "projector", "up"].into_iter().enumerate() {
        let before = size(&stack, org_id).await;
        let running = Service::start(&stack, service);
        running.readiness_becomes(200).await;
        match service {
            "projector" => {
                eventually("something folded", async || {
                    running.log().iter().any(|line| line.contains("folded")).then_some(())
                })
                .await
            }
            _ => size_reaches(&stack, org_id, before + 500).await,
        }
        let signal = if round == 0 { "-INT" } else { "-TERM" };
        let (ended, took, log) = running.end(signal).await;
        assert_eq!(ended.code(), Some(0), "{service}: {}", log.join("\n"));
        assert!(took < END_MAX, "{service} took {took:?} to end");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let acknowledged = load.await.unwrap();
    let _up = Service::start(&stack, "up");
    size_reaches(&stack, org_id, 1 + acknowledged).await;
    assert_eq!(size(&stack, org_id).await, 1 + acknowledged, "an event counted twice");
    eventually("every run", async || {
        let runs: i64 =
            sqlx::query_scalar("SELECT count(*) FROM user_workflow_run").fetch_one(stack.pool()).await.unwrap();
        (runs == acknowledged).then_some(())
    })
    .await;
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let stack = idle_stack().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&stack, ["up", "--metrics-addr", &address]).await;
    assert!(!ended.success);
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("RUNLEDGER_METRICS_ADDR"), "{}", ended.stderr);
}
