//! Events of the ledger again: a selection of them, org by org, each checked against its leaf hash.
//!
//! What comes out is what was appended, or an error says where it is not. Called by `runledger replay`.

use std::{collections::BTreeSet, pin::pin};

use async_stream::try_stream;
use chrono::{DateTime, Utc};
use events::{
    RecordedEvent,
    id::{OrgId, Seq, SubjectId},
};
use futures::{Stream, StreamExt, TryStreamExt, pin_mut, stream::BoxStream};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::{
    archive,
    merkle::{self, Hash},
    read::{self, Limit, Page, ReadError},
    verify,
};

mod type_pattern;

pub use type_pattern::{InvalidTypePattern, TypePattern};

/// How much is in memory at a time.
const PAGE: Limit = Limit { events_max: 500, bytes_max: 4 * 1024 * 1024 };

/// Trouble with replaying.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Events could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An org that was asked for.
    #[error("org {0} is not registered; `runledger org list` shows which are")]
    UnknownOrg(OrgId),
    /// A row is not what was appended.
    #[error("the event of org {org_id} at seq {seq} is not what was appended: see `runledger verify --org {org_id}`")]
    Changed {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
    },
    /// A row that the head counts is not there.
    #[error("the event of org {org_id} at seq {seq} is missing: see `runledger verify --org {org_id}`")]
    Missing {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
    },
    /// A head that is missing, or whose root is no hash.
    #[error("the head of org {0} is damaged: see `runledger verify --org {0}`")]
    DamagedHead(OrgId),
}

impl From<sqlx::Error> for ReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(error.into())
    }
}

/// Which events. What is not given does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Of these orgs; of all if there are none.
    pub orgs: Vec<OrgId>,
    /// About this run, org or user.
    pub subject: Option<SubjectId>,
    /// Of one of these types.
    pub types: Vec<TypePattern>,
    /// From this seq on.
    pub from_seq: Option<Seq>,
    /// Up to this seq, and with it.
    pub to_seq: Option<Seq>,
    /// By when they happened.
    pub occurred: Period,
    /// By when the ledger recorded them.
    pub recorded: Period,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Period {
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Earlier than this time.
    pub before: Option<DateTime<Utc>>,
}

impl Period {
    fn contains(&self, time: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| since <= time) && self.before.is_none_or(|before| time < before)
    }
}

impl Selection {
    /// Whether it takes every event of its orgs, so that a tree over them can be compared with the heads.
    pub fn is_of_whole_orgs(&self) -> bool {
        *self == Self { orgs: self.orgs.clone(), ..Self::default() }
    }

    fn takes(&self, recorded: &RecordedEvent) -> bool {
        let event = &recorded.event;
        (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(&event.event_type)))
            && self.occurred.contains(event.occurred_at)
            && self.recorded.contains(recorded.recorded_at)
    }
}

/// The seqs of an org in which a selection lies. They stay the same however much is appended meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The org.
    pub org_id: OrgId,
    /// The first.
    pub from: Seq,
    /// The last.
    pub through: Seq,
    /// The root of the org's tree as the head had it when the org had [`Stretch::size`] events.
    pub root: Hash,
    /// How many events the org had.
    pub size: Seq,
}

/// The stretches of a selection, in the order of the orgs' ids; an org in which it takes nothing has none.
///
/// # Errors
/// When an org is not registered, when PostgreSQL fails, when an event is damaged.
pub async fn stretches(conn: &mut PgConnection, selection: &Selection) -> Result<Vec<Stretch>, ReplayError> {
    let heads = sqlx::query!(
        r#"SELECT org_id AS "org_id: OrgId", size AS "size: Seq", root FROM ledger.head
           WHERE cardinality($1::uuid[]) = 0 OR org_id = ANY($1) ORDER BY org_id"#,
        &selection.orgs as &[OrgId]
    );
    let heads = heads.fetch_all(&mut *conn).await?;
    if let Some(unknown) = selection.orgs.iter().find(|org_id| !heads.iter().any(|head| head.org_id == **org_id)) {
        return Err(ReplayError::UnknownOrg(*unknown));
    }
    if selection.orgs.is_empty() {
        let counted = heads.iter().map(|head| head.org_id).collect();
        check_for_uncounted(conn, &counted).await?;
    }
    let mut stretches = Vec::with_capacity(heads.len());
    for head in heads {
        let (org_id, size) = (head.org_id, head.size);
        let root = head.root.try_into().map_err(|_| ReplayError::DamagedHead(org_id))?;
        let mut from = selection.from_seq.unwrap_or(Seq::ZERO).max(Seq::ZERO.next());
        let mut through = selection.to_seq.unwrap_or(size).min(size);
        if let Some(since) = selection.recorded.since {
            from = from.max(first_recorded_since(conn, org_id, size, since).await?);
        }
        if let Some(before) = selection.recorded.before {
            let end = first_recorded_since(conn, org_id, size, before).await?;
            through = through.min(Seq::new(end.get() - 1));
        }
        if from <= through {
            stretches.push(Stretch { org_id, from, through, root, size });
        }
    }
    Ok(stretches)
}

/// An org whose head is gone would be left out without a word.
async fn check_for_uncounted(conn: &mut PgConnection, counted: &BTreeSet<OrgId>) -> Result<(), ReplayError> {
    let orgs = verify::orgs(&mut *conn).await?;
    for (org_id, _) in orgs.into_iter().filter(|(org_id, _)| !counted.contains(org_id)) {
        let has_events = {
            let first = read::events_between(conn, org_id, Seq::ZERO, Seq::ZERO.next());
            pin_mut!(first);
            first.try_next().await?.is_some()
        };
        // One that was registered meanwhile has a head by now.
        if has_events && read::head(conn, org_id).await?.is_none() {
            return Err(ReplayError::DamagedHead(org_id));
        }
    }
    Ok(())
}

/// The seq of the first event that was recorded at `time` or later, or would be. `recorded_at` never
/// decreases with seq, so it takes as many looks as the size has binary digits.
async fn first_recorded_since(
    conn: &mut PgConnection,
    org_id: OrgId,
    size: Seq,
    time: DateTime<Utc>,
) -> Result<Seq, ReplayError> {
    let (mut low, mut high) = (1, size.get() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let seq = Seq::new(middle);
        let events = read::events_between(conn, org_id, seq, seq);
        pin_mut!(events);
        let event = events.try_next().await?.ok_or(ReplayError::Missing { org_id, seq })?;
        if event.recorded_at < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Seq::new(low))
}

/// The events of a stretch that the selection takes, in the order of their seq, in pages of bounded size.
/// A page's `through` says how far it looked, whatever it took.
pub fn pages<'c>(
    conn: &'c mut PgConnection,
    selection: &'c Selection,
    stretch: &Stretch,
) -> BoxStream<'c, Result<Page, ReplayError>> {
    match &selection.subject {
        Some(subject) => of_subject(conn, selection, subject, stretch).boxed(),
        None => of_all(conn, selection, stretch).boxed(),
    }
}

/// What is archived in one go; then a statement a page, so that a slow receiver holds no snapshot.
fn of_all<'c>(
    conn: &'c mut PgConnection,
    selection: &'c Selection,
    stretch: &Stretch,
) -> impl Stream<Item = Result<Page, ReplayError>> + 'c {
    let (org_id, mut from, last) = (stretch.org_id, stretch.from, stretch.through);
    try_stream! {
        let archived = archive::through(conn, org_id).await?.min(last);
        if from <= archived {
            let mut events = pin!(archive::events_between(conn, org_id, from, archived));
            while from <= archived {
                let page = next_page(events.as_mut(), selection, org_id, from, archived).await?;
                from = page.through.next();
                yield page;
            }
        }
        while from <= last {
            let through = last.min(Seq::new(from.get().saturating_add(PAGE.events_max - 1)));
            let events = pin!(read::events_between(conn, org_id, from, through));
            let page = next_page(events, selection, org_id, from, through).await?;
            from = page.through.next();
            yield page;
        }
    }
}

/// The next of the events from `from` on, which there must be up to `through`.
async fn next_page(
    mut events: impl Stream<Item = Result<RecordedEvent, ReadError>> + Unpin,
    selection: &Selection,
    org_id: OrgId,
    from: Seq,
    through: Seq,
) -> Result<Page, ReplayError> {
    let through = through.min(Seq::new(from.get().saturating_add(PAGE.events_max - 1)));
    let mut page = Page { events: Vec::new(), through: Seq::new(from.get() - 1) };
    let mut bytes = 0;
    while page.through < through && bytes < PAGE.bytes_max {
        let seq = page.through.next();
        let recorded = match events.try_next().await? {
            Some(recorded) if recorded.seq == seq => checked(recorded)?,
            _ => return Err(ReplayError::Missing { org_id, seq }),
        };
        bytes += recorded.event.data.len();
        page.through = seq;
        if selection.takes(&recorded) {
            page.events.push(recorded);
        }
    }
    Ok(page)
}

/// Through the index of subjects; the statement stays open while its events are dealt with.
fn of_subject<'c>(
    conn: &'c mut PgConnection,
    selection: &'c Selection,
    subject: &'c SubjectId,
    stretch: &Stretch,
) -> impl Stream<Item = Result<Page, ReplayError>> + 'c {
    let from = stretch.from;
    read::events_of_subjects(conn, stretch.org_id, std::slice::from_ref(subject), &[], stretch.through)
        .map(|recorded| checked(recorded?))
        .try_filter(move |recorded| std::future::ready(recorded.seq >= from && selection.takes(recorded)))
        .map_ok(|recorded| Page { through: recorded.seq, events: vec![recorded] })
}

fn checked(recorded: RecordedEvent) -> Result<RecordedEvent, ReplayError> {
    if merkle::leaf_hash(&recorded.event, recorded.seq, recorded.recorded_at) == recorded.leaf_hash {
        return Ok(recorded);
    }
    Err(ReplayError::Changed { org_id: recorded.event.org_id, seq: recorded.seq })
}
