//! Waiting until what was published can be seen: appended by a ledger and folded by a projector.

use std::time::Duration;

use anyhow::{Context, bail};
use events::id::{OrgId, Seq};
use ledger::{
    connection::Role,
    correction::RecordedRun,
    dead_letter::{self, Filter},
    read, status,
    stream::EventStream,
};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use crate::{correction::Correction, settings::Settings};

/// How long nothing may move before it is taken for a service that does not run.
const STANDSTILL_MAX: Duration = Duration::from_secs(20);
/// So many of an org's latest dead letters are looked through.
const LETTERS_MAX: i64 = 1_000;
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the ledger has read the stream up to `stream_seq` and the projections have folded all
/// that these orgs' ledgers held then.
///
/// # Errors
/// When nothing moves for a while: no ledger, or no projector, is running.
pub async fn until_projected(
    settings: &Settings,
    client: &async_nats::Client,
    stream_seq: u64,
    orgs: &[OrgId],
) -> anyhow::Result<()> {
    let mut conn = settings.connect(Role::Admin).await?;
    let stream = EventStream::ensure(client).await?;
    until_read(&mut conn, &stream, stream_seq).await?;
    let mut heads = Vec::new();
    for &org_id in orgs {
        let head = read::head(&mut conn, org_id).await?;
        heads.push((
            org_id,
            head.with_context(|| format!("org {org_id} is not registered; register it with `runledger org add`"))?,
        ));
    }
    let mut watch = Watch::new("no projector folds the ledger: start `runledger up` or `runledger projector`");
    for (org_id, head) in heads {
        loop {
            let projected = projector::projected_through(&mut conn, org_id).await?;
            if projected >= head {
                break;
            }
            watch.moved_to(projected.get())?;
            sleep(INTERVAL).await;
        }
    }
    Ok(())
}

/// Waits until a correction that was published of these runs of an org can be seen.
///
/// # Errors
/// When nothing moves for a while, or when a run does not stand as was said of it.
pub async fn until_corrected(
    settings: &Settings,
    client: &async_nats::Client,
    stream_seq: u64,
    org_id: OrgId,
    correction: &Correction,
    runs: &[&RecordedRun],
) -> anyhow::Result<()> {
    until_projected(settings, client, stream_seq, &[org_id]).await?;
    let mut conn = settings.connect(Role::Admin).await?;
    let run_ids: Vec<_> = runs.iter().map(|run| run.run_id).collect();
    let mut left = ledger::correction::runs_of_ids(&mut conn, org_id, &run_ids).await?;
    left.retain(|run| correction.changes(run));
    let Some(RecordedRun { run_id, .. }) = left.first() else { return Ok(()) };
    let (event_type, id) = (correction.event_type(), run_id.to_string());
    let filter = Filter { org_id: Some(org_id), state: Some("open".to_owned()), ..Filter::default() };
    let letters = dead_letter::list(&mut conn, &filter, LETTERS_MAX).await?;
    let ours = letters.iter().find(|letter| letter.subject.ends_with(event_type) && letter.headers.contains(&id));
    let why = match ours {
        Some(letter) => format!(
            "the ledger refused the event: {}; see `runledger dead-letters show {}`",
            letter.reason, letter.dead_letter_id
        ),
        None => format!("another correction counts; see `runledger tail --run {id} --from 1 --no-follow`"),
    };
    bail!("of {} runs, {} do not stand as {event_type} says, the first of them {id}: {why}", runs.len(), left.len())
}

/// Waits until the ledger has read the stream up to `stream_seq`.
///
/// # Errors
/// When nothing moves for a while: no ledger is running.
pub async fn until_read(conn: &mut PgConnection, stream: &EventStream, stream_seq: u64) -> anyhow::Result<()> {
    let mut watch = Watch::new("no ledger reads the stream: start `runledger up` or `runledger ledger`");
    while !status::has_read(conn, stream, stream_seq).await? {
        let ledger = status::ledger(conn).await?;
        watch.moved_to(ledger.events + ledger.refused.iter().map(|refused| refused.open).sum::<i64>())?;
        sleep(INTERVAL).await;
    }
    Ok(())
}

/// Notices when a number has not moved for too long.
struct Watch {
    complaint: &'static str,
    at: i64,
    since: Instant,
}

impl Watch {
    fn new(complaint: &'static str) -> Self {
        Self { complaint, at: Seq::ZERO.get() - 1, since: Instant::now() }
    }

    fn moved_to(&mut self, at: i64) -> anyhow::Result<()> {
        if at != self.at {
            (self.at, self.since) = (at, Instant::now());
        }
        if self.since.elapsed() > STANDSTILL_MAX {
            bail!("waited {} s and nothing moved: {}", STANDSTILL_MAX.as_secs(), self.complaint);
        }
        Ok(())
    }
}
