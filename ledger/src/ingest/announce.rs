//! Tells the world what was committed: `NOTIFY` for projectors, NATS subjects for everybody else.
//!
//! Announcing is best effort, after the commit: a lost word costs a reader time, never an event.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use events::{Event, Refusal, catalogue, id::OrgId};
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    connection::{Backoff, Database, within},
    nats::Nats,
    recent::{self, Commit, Commits, Recent},
};

/// The channel of `NOTIFY`. The payload is a comma-separated list of org ids, each followed by a colon and the
/// families of what was appended, joined by `+`, where they are known; empty means any org.
pub const APPENDED_CHANNEL: &str = "runledger_appended";

/// A `NOTIFY` in every transaction makes commits wait for each other, so there is one in this time …
const INTERVAL: Duration = Duration::from_millis(1);
/// … or in this, where a projector of the same process has heard already.
const INTERVAL_FOR_OTHERS: Duration = Duration::from_millis(20);
/// How long announcing may take: what is announced meanwhile waits in memory.
const ANNOUNCE_MAX: Duration = Duration::from_secs(5);
/// PostgreSQL takes payloads under 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_999;

/// Announces commits; cheap to clone.
#[derive(Clone)]
pub(super) struct Announcer {
    nats: Nats,
    recent: Option<Arc<Recent>>,
    appended: mpsc::UnboundedSender<(OrgId, Commit)>,
}

impl Announcer {
    /// An announcer and the task that tells other processes; the task ends with the last announcer.
    pub(super) fn start(nats: Nats, database: Database, recent: Option<Arc<Recent>>) -> Self {
        let (appended, commits) = mpsc::unbounded_channel();
        tokio::spawn(Herald { nats: nats.clone(), database, recent: recent.clone(), conn: None }.run(commits));
        Self { nats, recent, appended }
    }

    /// This was committed.
    pub(super) fn appended(&self, org_id: OrgId, commit: Commit) {
        if let Some(recent) = &self.recent {
            recent.tell(org_id, commit.clone());
        }
        let _ = self.appended.send((org_id, commit));
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

/// The families of the events, by org.
pub(super) fn families(events: &[&Event]) -> BTreeMap<OrgId, BTreeSet<String>> {
    let mut families = BTreeMap::<_, BTreeSet<String>>::new();
    for event in events {
        let (of_org, family) = (families.entry(event.org_id).or_default(), catalogue::family(&event.event_type));
        if !of_org.contains(family) {
            of_org.insert(family.to_owned());
        }
    }
    families
}

/// Tells other processes what was appended: those that listen to PostgreSQL, and those that listen to NATS.
struct Herald {
    nats: Nats,
    database: Database,
    recent: Option<Arc<Recent>>,
    conn: Option<PgConnection>,
}

impl Herald {
    async fn run(mut self, mut commits: mpsc::UnboundedReceiver<(OrgId, Commit)>) {
        let interval = if self.recent.is_some() { INTERVAL_FOR_OTHERS } else { INTERVAL };
        let mut backoff = Backoff::default();
        while let Some((org_id, commit)) = commits.recv().await {
            let mut appended = Commits::from([(org_id, commit)]);
            while let Ok((org_id, commit)) = commits.try_recv() {
                recent::include(&mut appended, org_id, commit);
            }
            let notified = within(ANNOUNCE_MAX, self.notify(&payload(&appended))).await;
            // With NATS away this waits for room in the client.
            let _ = timeout(ANNOUNCE_MAX, self.publish(&appended)).await;
            match notified {
                Ok(()) => {
                    backoff = Backoff::default();
                    tokio::time::sleep(interval).await;
                }
                Err(error) => {
                    // The lanes report an outage; the projectors look by themselves meanwhile.
                    tracing::debug!(%error, "an append could not be notified of");
                    self.conn = None;
                    if let Some(recent) = &self.recent {
                        recent.announced_by(None);
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    async fn publish(&self, appended: &Commits) {
        for (org_id, Commit { first, last, .. }) in appended {
            let notice = serde_json::json!({ "org_id": org_id, "first": first, "last": last });
            let _ = self.nats.client().publish(format!("runledger.appended.{org_id}"), notice.to_string().into()).await;
        }
    }

    async fn notify(&mut self, payload: &str) -> Result<(), sqlx::Error> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(connect(&self.database, self.recent.as_deref()).await?),
        };
        sqlx::query!("SELECT pg_notify($1, $2)", APPENDED_CHANNEL, payload).execute(conn).await?;
        Ok(())
    }
}

fn payload(appended: &Commits) -> String {
    let org = |(org_id, commit): (&OrgId, &Commit)| match &commit.families {
        Some(families) => format!("{org_id}:{}", families.iter().map(String::as_str).collect::<Vec<_>>().join("+")),
        None => org_id.to_string(),
    };
    let payload = appended.iter().map(org).collect::<Vec<_>>().join(",");
    if payload.len() > PAYLOAD_BYTES_MAX { String::new() } else { payload }
}

/// A transaction that notifies writes to the log, and would wait for the disk for a word that may be lost.
async fn connect(database: &Database, recent: Option<&Recent>) -> Result<PgConnection, sqlx::Error> {
    let mut conn = database.connect().await?;
    sqlx::query("SET synchronous_commit = off").execute(&mut conn).await?;
    if let Some(recent) = recent {
        let process_id =
            sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "process_id!""#).fetch_one(&mut conn).await?;
        let incarnation = sqlx::query_scalar(recent::INCARNATION).fetch_one(&mut conn).await?;
        recent.announced_by(Some((process_id as u32, incarnation)));
    }
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use events::id::Seq;
    use uuid::Uuid;

    use super::*;

    fn org(number: u128) -> OrgId {
        Uuid::from_u128(number).try_into().unwrap()
    }

    fn commit(families: &[&str]) -> Commit {
        let families = Some(families.iter().map(|family| (*family).to_owned()).collect());
        Commit { first: Seq::new(1), last: Seq::new(2), families }
    }

    #[test]
    fn an_org_is_named_once_with_all_families_of_its_commits() {
        let mut appended = Commits::from([(org(1), commit(&["run"]))]);
        recent::include(&mut appended, org(2), commit(&["user"]));
        recent::include(&mut appended, org(1), commit(&["step", "run"]));
        assert_eq!(payload(&appended), format!("{}:run+step,{}:user", org(1), org(2)));
    }

    #[test]
    fn a_commit_of_unknown_families_may_be_of_any() {
        let mut appended = Commits::from([(org(1), commit(&["run"]))]);
        recent::include(&mut appended, org(1), Commit { families: None, ..commit(&[]) });
        recent::include(&mut appended, org(1), commit(&["step"]));
        assert_eq!(payload(&appended), org(1).to_string());
    }

    #[test]
    fn more_orgs_than_can_be_named_are_all_meant() {
        let appended = (1..=400).map(|number| (org(number), commit(&["run"]))).collect();
        assert_eq!(payload(&appended), "");
    }
}
