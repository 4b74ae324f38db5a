use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use metrics::{counter, gauge};
use serde::Serialize;

/// What a rebuild is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking at what there is.
    #[default]
    Start,
    /// Bringing the serving tables up to date; counts orgs.
    CatchUp,
    /// Making embeddings that there are none of yet; counts orgs.
    Embed,
    /// Folding and loading; counts events.
    Load,
    /// Making indexes; counts tables.
    Index,
    /// Comparing with the serving rows; counts orgs.
    Compare,
    /// Waiting for transactions that began before the load was complete.
    WaitForReaders,
    /// Exchanging the tables.
    Swap,
    /// Nothing more.
    Done,
}

/// How far a rebuild is. Clones look at the same one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    phase: Mutex<Phases>,
    done: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    phase: Phase,
    since: Option<Instant>,
    total: u64,
}

/// How far a rebuild was at a moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Snapshot {
    /// What it was at.
    pub phase: Phase,
    /// What of the phase was done: events, orgs or tables.
    pub done: u64,
    /// What there is to do in the phase.
    pub total: u64,
    /// How much is done a second.
    pub per_second: f64,
    /// In how many seconds the phase will be over at this rate.
    pub eta_s: Option<f64>,
}

impl Progress {
    pub(super) fn enter(&self, phase: Phase, total: u64) {
        let mut phases = self.0.phase.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.done.store(0, Ordering::Relaxed);
        *phases = Phases { phase, since: Some(Instant::now()), total };
        gauge!("runledger_rebuild_phase").set(f64::from(phase as u8));
        gauge!("runledger_rebuild_phase_total").set(total as f64);
    }

    pub(super) fn add(&self, count: u64) {
        self.0.done.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn add_events(&self, count: u64) {
        self.add(count);
        counter!("runledger_rebuild_events_total").increment(count);
    }

    /// How far it is now.
    pub fn snapshot(&self) -> Snapshot {
        let Phases { phase, since, total } = *self.0.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.0.done.load(Ordering::Relaxed);
        let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let per_second = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        let eta_s = (per_second > 0.0 && total >= done).then(|| (total - done) as f64 / per_second);
        Snapshot { phase, done, total, per_second, eta_s }
    }
}
