//! Tells the world what was committed: `NOTIFY` for projectors, NATS subjects for everybody else.
//!
//! Announcing is best effort, after the commit: a lost word costs a reader time, never an event.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use events::{
    Event, Refusal, catalogue,
    id::{OrgId, Seq},
};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use crate::{
    connection::{Backoff, Database},
    nats::Nats,
};

/// The channel of `NOTIFY`. The payload is a comma-separated list of org ids, each followed by a colon and the
/// families of what was appended, joined by `+`, where they are known; empty means any org.
pub const APPENDED_CHANNEL: &str = "runledger_appended";

/// A `NOTIFY` in every transaction makes commits wait for each other, so there is one in this time.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(1);
/// PostgreSQL takes payloads under 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Commits that may wait to be announced.
const BACKLOG_MAX: usize = 4_096;

/// Which families of events were appended; none where that is not known.
pub(super) type Families = Option<BTreeSet<String>>;

/// Announces commits; cheap to clone.
#[derive(Clone)]
pub(super) struct Announcer {
    nats: Nats,
    appended: mpsc::Sender<(OrgId, Families)>,
}

impl Announcer {
    /// An announcer and the task that notifies; the task ends with the last announcer.
    pub(super) fn start(nats: Nats, database: Database) -> Self {
        let (appended, commits) = mpsc::channel(BACKLOG_MAX);
        tokio::spawn(notify(commits, database));
        Self { nats, appended }
    }

    /// These seqs of an org were committed.
    pub(super) async fn appended(&self, org_id: OrgId, first: Seq, last: Seq, families: Families) {
        // A full backlog means that a notification is due anyway.
        let _ = self.appended.try_send((org_id, families));
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

async fn notify(mut commits: mpsc::Receiver<(OrgId, Families)>, database: Database) {
    let mut conn = None;
    let mut backoff = Backoff::default();
    while let Some(first) = commits.recv().await {
        let mut orgs = BTreeMap::from([first]);
        while let Ok((org_id, families)) = commits.try_recv() {
            include(&mut orgs, org_id, families);
        }
        match notify_once(&mut conn, &database, &payload(&orgs)).await {
            Ok(()) => {
                backoff = Backoff::default();
                tokio::time::sleep(NOTIFY_INTERVAL).await;
            }
            Err(error) => {
                // The lanes report an outage; the projectors look by themselves meanwhile.
                tracing::debug!(%error, "an append could not be notified of");
                conn = None;
                backoff.wait().await;
            }
        }
    }
}

fn include(orgs: &mut BTreeMap<OrgId, Families>, org_id: OrgId, families: Families) {
    match orgs.entry(org_id) {
        Entry::Vacant(vacant) => {
            vacant.insert(families);
        }
        Entry::Occupied(mut known) => match (known.get_mut(), families) {
            (Some(known), Some(families)) => known.extend(families),
            (known, _) => *known = None,
        },
    }
}

fn payload(orgs: &BTreeMap<OrgId, Families>) -> String {
    let org = |(org_id, families): (&OrgId, &Families)| match families {
        Some(families) => format!("{org_id}:{}", families.iter().map(String::as_str).collect::<Vec<_>>().join("+")),
        None => org_id.to_string(),
    };
    let payload = orgs.iter().map(org).collect::<Vec<_>>().join(",");
    if payload.len() > PAYLOAD_BYTES_MAX { String::new() } else { payload }
}

/// A transaction that notifies writes to the log, and would wait for the disk for a word that may be lost.
async fn connect(database: &Database) -> Result<PgConnection, sqlx::Error> {
    let mut conn = database.connect().await?;
    sqlx::query("SET synchronous_commit = off").execute(&mut conn).await?;
    Ok(conn)
}

async fn notify_once(conn: &mut Option<PgConnection>, database: &Database, payload: &str) -> Result<(), sqlx::Error> {
    let conn = match conn {
        Some(conn) => conn,
        none => none.insert(connect(database).await?),
    };
    sqlx::query!("SELECT pg_notify($1, $2)", APPENDED_CHANNEL, payload).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn org(number: u128) -> OrgId {
        Uuid::from_u128(number).try_into().unwrap()
    }

    fn of(families: &[&str]) -> Families {
        Some(families.iter().map(|family| (*family).to_owned()).collect())
    }

    #[test]
    fn an_org_is_named_once_with_all_families_of_its_commits() {
        let mut orgs = BTreeMap::from([(org(1), of(&["run"]))]);
        include(&mut orgs, org(2), of(&["user"]));
        include(&mut orgs, org(1), of(&["step", "run"]));
        assert_eq!(payload(&orgs), format!("{}:run+step,{}:user", org(1), org(2)));
    }

    #[test]
    fn a_commit_of_unknown_families_may_be_of_any() {
        let mut orgs = BTreeMap::from([(org(1), of(&["run"]))]);
        include(&mut orgs, org(1), None);
        include(&mut orgs, org(1), of(&["step"]));
        assert_eq!(payload(&orgs), org(1).to_string());
    }

    #[test]
    fn more_orgs_than_can_be_named_are_all_meant() {
        let orgs = (1..=400).map(|number| (org(number), of(&["run"]))).collect();
        assert_eq!(payload(&orgs), "");
    }
}
