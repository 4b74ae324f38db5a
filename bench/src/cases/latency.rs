//! Publish to visible: events at a steady rate through one `runledger up`, each timed from the moment it was due until
//! its run's row shows it.
//!
//! **No coordinated omission**: events are sent by the clock, whatever became of those before; one that is sent late has
//! waited since it was due. All are counted, none is sampled.
//!
//! **What is observed** is the projection's checkpoint, org by org: it moves in the transaction that writes the rows, so a
//! statement that sees it sees them. An org's events are published in order by one connection, so the n-th of them has
//! seq n. Observer and sender are threads of their own with sleeps of the operating system: the runtime's timers count
//! whole milliseconds. Looking costs one statement over 20 rows, and adds half of a look's interval to each latency: 0.25 ms
//! at the lowest rate, where only what is under way is looked for, and 2 ms at the highest.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use events::id::OrgId;
use futures::FutureExt;
use hdrhistogram::Histogram;
use sqlx::PgConnection;
use tokio::runtime::Handle;

use crate::{
    arena::{Account, Arena, message},
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results, Samples},
    process::Process,
    workload::Workload,
};

mod waiting;

pub use waiting::new_histogram;

use waiting::Waiting;

/// A rate, and what is asked of it.
struct Pace {
    row: &'static str,
    events_per_s: u32,
    percentile: (f64, &'static str),
    goal: Goal,
    look_interval: Duration,
}

const PACES: [Pace; 3] = [
    Pace {
        row: "latency-100",
        events_per_s: 100,
        percentile: (0.5, "p50"),
        goal: Goal::AtMost { target: 4.0, stretch: 2.5 },
        look_interval: Duration::from_micros(500),
    },
    Pace {
        row: "latency-2000",
        events_per_s: 2_000,
        percentile: (0.95, "p95"),
        goal: Goal::AtMost { target: 8.0, stretch: 4.0 },
        look_interval: Duration::from_millis(2),
    },
    Pace {
        row: "latency-5000",
        events_per_s: 5_000,
        percentile: (0.99, "p99"),
        goal: Goal::AtMost { target: 25.0, stretch: 15.0 },
        look_interval: Duration::from_millis(4),
    },
];

/// How long the last event may take before the rest count as so late.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// For the services to find their leases and plans.
const WARM_UP: Duration = Duration::from_secs(1);

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let seconds = if arena.size.short { 3 } else { 15 };
    let mut histograms: Vec<Vec<Histogram<u64>>> = PACES.iter().map(|_| Vec::new()).collect();
    for _ in 0..arena.size.rounds {
        for (pace, rounds) in PACES.iter().zip(&mut histograms) {
            let histogram = round(arena, pace, Duration::from_secs(seconds)).await?;
            let (percentile, name) = pace.percentile;
            eprintln!("  {} events/s: {name} {:.2} ms", pace.events_per_s, millis(&histogram, percentile));
            rounds.push(histogram);
        }
    }
    results.measurements.extend(PACES.iter().zip(histograms).map(|(pace, rounds)| pace.measurement(&rounds)));
    Ok(())
}

impl Pace {
    fn measurement(&self, rounds: &[Histogram<u64>]) -> Measurement {
        let of = |quantile: f64| rounds.iter().map(|round| millis(round, quantile)).collect::<Samples>();
        let (quantile, name) = self.percentile;
        let parts = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "max")];
        Measurement {
            row: self.row.to_owned(),
            title: format!("publish to visible at {}/s, {name}", self.events_per_s),
            unit: "ms",
            samples: of(quantile),
            goal: Some(self.goal),
            parts: parts.map(|(quantile, name)| Part { name, unit: "ms", samples: of(quantile) }).into(),
        }
    }
}

/// The quantile of a histogram of microseconds, in milliseconds.
pub fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

async fn round(arena: &mut Arena, pace: &Pace, span: Duration) -> Result<Histogram<u64>> {
    let (database, account) = (arena.database().await?, arena.account().await?);
    arena.settle().await?;
    let warm_up = (WARM_UP.as_secs_f64() * f64::from(pace.events_per_s)) as u64;
    let workload = Workload::new(warm_up + (span.as_secs_f64() * f64::from(pace.events_per_s)) as u64)?;
    let mut services = Process::start("up", &database, &account)?;
    account.publish(workload.registrations()?.into_iter().map(Ok)).await?;
    let registered = workload.len_with_registrations() - workload.len();
    database.wait_for(registered, "visible", &mut [&mut services], CaseDatabase::visible).await?;

    let conn = database.connect().await?;
    let (sent, outstanding) = mpsc::channel();
    let (interval, runtime) = (Duration::from_secs(1) / pace.events_per_s, Handle::current());
    let sender = {
        let (account, runtime) = (account.clone(), runtime.clone());
        tokio::task::spawn_blocking(move || send(&runtime, &account, &workload, interval, &sent))
    };
    let look_interval = pace.look_interval;
    let observer = tokio::task::spawn_blocking(move || {
        Observer { runtime, conn, look_interval, waiting: Waiting::new(warm_up)? }.observe(&outstanding)
    });
    let (sent, observed) = (sender.await?, observer.await?);
    // If the observer has failed, the sender only knows that it is gone.
    let histogram = observed?;
    sent?;
    ensure!(!histogram.is_empty(), "no event was seen, so nothing was measured");
    services.ensure_alive()?;
    services.stop().await?;
    arena.drop(database).await?;
    Ok(histogram)
}

/// An event on its way: its org, and when it was due.
type Due = (OrgId, Instant);

/// Sends each event when it is due, and tells the observer just before.
fn send(
    runtime: &Handle,
    account: &Account,
    workload: &Workload,
    interval: Duration,
    sent: &mpsc::Sender<Due>,
) -> Result<()> {
    let messages = workload.events().map(|event| event.map(|event| (event.org_id, message(&event))));
    // Beforehand: at the highest rate there is no time to make them.
    let messages = messages.collect::<Result<Vec<_>>>()?;
    let began = Instant::now() + interval;
    for (number, (org_id, (subject, headers, payload))) in messages.into_iter().enumerate() {
        let due = began + interval * number as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.send((org_id, due)).context("the observer has died")?;
        runtime.block_on(account.client.publish_with_headers(subject, headers, payload))?;
    }
    Ok(())
}

struct Observer {
    runtime: Handle,
    conn: PgConnection,
    look_interval: Duration,
    waiting: Waiting,
}

impl Observer {
    fn observe(mut self, outstanding: &mpsc::Receiver<Due>) -> Result<Histogram<u64>> {
        let mut last_due = Instant::now();
        loop {
            // With nothing on its way there is nothing to look for.
            let first = if self.waiting.is_empty() { outstanding.recv().ok() } else { None };
            for (org_id, due) in first.into_iter().chain(outstanding.try_iter()) {
                self.waiting.add(org_id, due);
                last_due = due;
            }
            if self.waiting.is_empty() {
                return Ok(self.waiting.into_latencies());
            }
            self.look()?;
            if last_due.elapsed() > WAIT_MAX {
                // What has not come counts as if it came now.
                self.waiting.give_up(Instant::now());
                return Ok(self.waiting.into_latencies());
            }
            std::thread::sleep(self.look_interval);
        }
    }

    fn look(&mut self) -> Result<()> {
        let checkpoints =
            "SELECT org_id, seq FROM ledger.checkpoint JOIN ledger.generation USING (projection, generation)
             WHERE projection = 'user_workflow_run' AND place = 'public'";
        let rows = sqlx::query_as::<_, (OrgId, i64)>(checkpoints).fetch_all(&mut self.conn);
        let rows = self.runtime.block_on(rows.boxed())?;
        let now = Instant::now();
        rows.into_iter().for_each(|(org_id, seq)| self.waiting.seen(org_id, seq, now));
        Ok(())
    }
}
