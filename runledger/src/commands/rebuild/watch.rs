//! Progress of a rebuild, phase by phase.

use std::time::Duration;

use projector::rebuild::{Phase, Progress};
use serde_json::json;

use crate::{output, progress};

const INTERVAL: Duration = Duration::from_millis(200);
/// A JSON line comes every so many intervals.
const INTERVALS_A_LINE: u32 = 5;

/// Shows it until it is aborted.
pub async fn watch(rebuild: Progress, json: bool) {
    let mut shown: Option<(Phase, Bar)> = None;
    for interval in 0u32.. {
        let now = rebuild.snapshot();
        if json {
            if interval % INTERVALS_A_LINE == 0 && output::json(&json!({ "progress": now })).is_err() {
                return;
            }
        } else {
            if shown.as_ref().is_none_or(|(phase, _)| *phase != now.phase) {
                shown = Some((now.phase, Bar(progress::Progress::start(name(now.phase), now.total))));
            }
            if let Some((_, Bar(bar))) = &shown {
                bar.set(now.done);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Goes away when it is dropped.
struct Bar(progress::Progress);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Start => "looking",
        Phase::CatchUp => "catching up orgs",
        Phase::Embed => "embedding texts of orgs",
        Phase::Load => "loading events",
        Phase::Index => "indexing tables",
        Phase::Compare => "comparing orgs",
        Phase::WaitForReaders => "waiting for older readers",
        Phase::Swap => "swapping",
        Phase::Done => "done",
    }
}
