//! Tells the world what was committed: `NOTIFY` for projectors, NATS subjects for everybody else.
//!
//! Announcing is best effort, after the commit: a lost word costs a reader time, never an event.

use std::{collections::BTreeSet, time::Duration};

use events::{
    Refusal,
    id::{OrgId, Seq},
};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use crate::{
    connection::{Backoff, Database},
    nats::Nats,
};

/// The channel of `NOTIFY`. The payload is a comma-separated list of org ids; empty means any.
pub const APPENDED_CHANNEL: &str = "runledger_appended";

/// A `NOTIFY` in every transaction makes commits wait for each other, so there is one in this time.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(2);
/// PostgreSQL takes payloads under 8,000 bytes; an org id and a comma are 37.
const ORGS_NAMED_MAX: usize = 200;
/// Commits that may wait to be announced.
const BACKLOG_MAX: usize = 4_096;

/// Announces commits; cheap to clone.
#[derive(Clone)]
pub(super) struct Announcer {
    nats: Nats,
    appended: mpsc::Sender<OrgId>,
}

impl Announcer {
    /// An announcer and the task that notifies; the task ends with the last announcer.
    pub(super) fn start(nats: Nats, database: Database) -> Self {
        let (appended, commits) = mpsc::channel(BACKLOG_MAX);
        tokio::spawn(notify(commits, database));
        Self { nats, appended }
    }

    /// These seqs of an org were committed.
    pub(super) async fn appended(&self, org_id: OrgId, first: Seq, last: Seq) {
        // A full backlog means that a notification is due anyway.
        let _ = self.appended.try_send(org_id);
        let notice = serde_json::json!({ "org_id": org_id, "first": first, "last": last });
        let _ = self.nats.client().publish(format!("runledger.appended.{org_id}"), notice.to_string().into()).await;
    }

    /// An event was refused and is kept as a dead letter.
    pub(super) async fn refused(&self, org_id: Option<OrgId>, subject: &[u8], stream_seq: u64, refusal: &Refusal) {
        let whose = org_id.map_or_else(|| "unknown".to_owned(), |org_id| org_id.to_string());
        let notice = serde_json::json!({
            "org_id": org_id, "code": refusal.code.as_str(), "reason": refusal.reason,
            "subject": String::from_utf8_lossy(subject), "stream_seq": stream_seq,
        });
        let _ = self.nats.client().publish(format!("runledger.dead_letters.{whose}"), notice.to_string().into()).await;
    }
}

async fn notify(mut commits: mpsc::Receiver<OrgId>, database: Database) {
    let mut conn = None;
    let mut backoff = Backoff::default();
    while let Some(first) = commits.recv().await {
        let mut orgs = BTreeSet::from([first]);
        while let Ok(next) = commits.try_recv() {
            orgs.insert(next);
        }
        match notify_once(&mut conn, &database, &orgs).await {
            Ok(()) => {
                backoff = Backoff::default();
                tokio::time::sleep(NOTIFY_INTERVAL).await;
            }
            Err(error) => {
                // The partitions report an outage; the projectors look by themselves meanwhile.
                tracing::debug!(%error, "an append could not be notified of");
                conn = None;
                backoff.wait().await;
            }
        }
    }
}

async fn notify_once(
    conn: &mut Option<PgConnection>,
    database: &Database,
    orgs: &BTreeSet<OrgId>,
) -> Result<(), sqlx::Error> {
    let payload = match orgs.len() {
        0..=ORGS_NAMED_MAX => orgs.iter().map(OrgId::to_string).collect::<Vec<_>>().join(","),
        _ => String::new(),
    };
    let conn = match conn {
        Some(conn) => conn,
        none => none.insert(database.connect().await?),
    };
    sqlx::query!("SELECT pg_notify($1, $2)", APPENDED_CHANNEL, payload).execute(conn).await?;
    Ok(())
}
