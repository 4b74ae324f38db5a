//! How long it takes from publishing an event until its row can be read, at a light load: one run
//! every 10 ms, on servers of its own that wait for the disk. See `docs/PERFORMANCE.md`.
//!
//! `cargo run --release -p stack --example latency [RUNS]`

use std::time::{Duration, Instant};

use events::{id::RunId, payload::RunStarted};
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runs: u32 = std::env::args().nth(1).map_or(Ok(1_000), |runs| runs.parse())?;
    let servers = Servers::start(ServerOptions { durable: true, ..ServerOptions::default() }).await?;
    let stack = Stack::start_on(servers).await?;
    let org_id = stack.register_org("latency").await?;
    let emitter = stack.emitter("/latency");
    let warm_up = RunId::generate();
    emitter.run(org_id, warm_up).emit(&RunStarted::default()).await?;
    stack.wait_for_run(org_id, warm_up, "running").await?;

    let mut latencies = Vec::new();
    for _ in 0..runs {
        let due = Instant::now() + Duration::from_millis(10);
        let run_id = RunId::generate();
        let published = Instant::now();
        emitter.run(org_id, run_id).emit(&RunStarted::default()).await?;
        let visible = || async {
            let query = sqlx::query("SELECT FROM user_workflow_run WHERE org_id = $1 AND run_id = $2");
            query.bind(org_id).bind(run_id).fetch_optional(stack.pool()).await
        };
        while visible().await?.is_none() {}
        latencies.push(published.elapsed());
        tokio::time::sleep_until(due.into()).await;
    }
    latencies.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        let place = ((latencies.len() as f64 * share) as usize).min(latencies.len() - 1);
        println!("{name} {:.1} ms", latencies[place].as_secs_f64() * 1e3);
    }
    stack.stop().await;
    Ok(())
}
