//! Waiting until what was published can be seen: appended by a ledger and folded by a projector.

use std::time::Duration;

use anyhow::{Context, bail};
use events::id::{OrgId, Seq};
use ledger::{connection::Role, read, status, stream::EventStream};
use tokio::time::{Instant, sleep};

use crate::settings::Settings;

/// How long nothing may move before it is taken for a service that does not run.
const STANDSTILL_MAX: Duration = Duration::from_secs(20);
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
    let mut watch = Watch::new("no ledger reads the stream: start `runledger up` or `runledger ledger`");
    while !status::has_read(&mut conn, &stream, stream_seq).await? {
        let ledger = status::ledger(&mut conn).await?;
        watch.moved_to(ledger.events + ledger.refused.iter().map(|refused| refused.open).sum::<i64>())?;
        sleep(INTERVAL).await;
    }
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
