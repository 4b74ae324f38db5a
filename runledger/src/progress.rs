//! Progress of long work: a bar on a terminal, a log line every few seconds elsewhere.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

const LOG_INTERVAL: Duration = Duration::from_secs(3);

/// Counts what is done of some work. Cheap to clone; every clone counts for the same work.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    state: Arc<State>,
}

struct State {
    what: String,
    done: AtomicU64,
    total: u64,
    finished: AtomicBool,
}

impl Progress {
    /// Work on `total` things (0: not known yet); `what` names the work, e.g. `importing lines`.
    pub fn start(what: &str, total: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{msg:<28} {bar:32} {human_pos:>9} of {human_len}  {per_sec}  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        let state = State { what: what.to_owned(), done: AtomicU64::new(0), total, finished: AtomicBool::new(false) };
        let progress = Self { bar, state: Arc::new(state) };
        if progress.bar.is_hidden() {
            tokio::spawn(log(Arc::downgrade(&progress.state)));
        }
        progress
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.state.done.fetch_add(count, Ordering::Relaxed);
        self.bar.inc(count);
    }

    /// So many are done in all.
    pub fn set(&self, done: u64) {
        self.state.done.store(done, Ordering::Relaxed);
        self.bar.set_position(done);
    }

    /// The work is done; the bar goes away.
    pub fn finish(&self) {
        self.state.finished.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

async fn log(state: std::sync::Weak<State>) {
    loop {
        tokio::time::sleep(LOG_INTERVAL).await;
        let Some(state) = state.upgrade() else { return };
        if state.finished.load(Ordering::Relaxed) {
            return;
        }
        let (done, total) = (state.done.load(Ordering::Relaxed), state.total);
        tracing::info!(done, total, "{}", state.what);
    }
}
