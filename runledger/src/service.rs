//! What every long-running command shares: shutdown by signal, metrics, health.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use ledger::connection::Outage;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Seconds, for histograms of latency.
const SECONDS: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Events, for histograms of batch sizes.
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

/// Cancelled at the first SIGINT or SIGTERM; a second one ends the process at once.
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        tracing::info!("shutting down; a second signal ends the process at once");
        token.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(shutdown)
}

/// Serves `/metrics`, `/health/live` and `/health/ready` in the background. Ready means that the
/// servers this process needs are thought to be up.
pub async fn serve_metrics(address: Option<SocketAddr>, servers: Vec<Arc<Outage>>) -> anyhow::Result<()> {
    let Some(address) = address else { return Ok(()) };
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), EVENTS)?
        .install_recorder()
        .context("metrics cannot be recorded")?;
    let ready = move || {
        let up = servers.iter().all(|server| server.is_up());
        std::future::ready(if up {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "a server is away\n")
        })
    };
    let app = Router::new()
        .route("/metrics", get(move || std::future::ready(recorder.render())))
        .route("/health/live", get(|| std::future::ready("alive\n")))
        .route("/health/ready", get(ready));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics cannot be served at {address}; choose another RUNLEDGER_METRICS_ADDR"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /metrics, /health/live and /health/ready");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}
