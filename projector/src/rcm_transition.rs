//! How often services came from a screen to another, and by which action: `rcm_transition`.
//!
//! The subject of such an event is the screen that it came from. Counts and bounds of times, so neither their order nor
//! an event that comes twice matters. An event that cannot be folded counts for nothing and flags what leads from its screen.
//! Transitions between kinds of screens are a view of these.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EventId, MicroStateId, OrgId},
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::{Column, Copy},
    fold::{Flags, PLAUSIBLE_SINCE, Span},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
    write::{column, joined},
};

/// What leads from a screen.
#[derive(Debug, Default)]
pub struct RcmTransition {
    seen: HashSet<EventId>,
    ways: BTreeMap<Way, Count>,
    changed: BTreeSet<Way>,
    unfoldable: bool,
    weight: usize,
}

/// An action, and where it led.
type Way = (String, MicroStateId);

#[derive(Debug, Default)]
struct Count {
    count: i64,
    span: Span,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The table's columns.
pub struct Row {
    pub org_id: OrgId,
    pub from_state: MicroStateId,
    pub action: String,
    pub to_state: MicroStateId,
    pub count: i64,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub flags: Flags,
}

impl Projection for RcmTransition {
    const NAME: &'static str = "rcm_transition";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["rcm_transition"];
    const TYPES: &'static [&'static str] = &["ui_transition.observed"];
    const FAMILIES: &'static [&'static str] = &["ui_transition"];
    type Rows = Vec<Row>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if !self.seen.insert(event.stamp.event_id) {
            return;
        }
        let observed = match event.content {
            Content::Payload(payload) => match *payload {
                Payload::UiTransitionObserved(observed) => observed,
                _ => return,
            },
            Content::Unfoldable(_) => {
                self.unfoldable = true;
                self.changed.extend(self.ways.keys().cloned());
                return;
            }
            Content::Elsewhere => return,
        };
        let way = (observed.action.into(), observed.to);
        if !self.ways.contains_key(&way) {
            self.weight += size_of::<(Way, Count)>() + 2 * way.0.len();
        }
        let count = self.ways.entry(way.clone()).or_default();
        count.count += 1;
        count.span.include(event.stamp.time);
        self.changed.insert(way);
    }

    fn take_rows(&mut self, Subject { org_id, subject_id }: Subject, _: &Lookups, rows: &mut Vec<Row>) -> usize {
        let before = rows.len();
        for way in std::mem::take(&mut self.changed) {
            let Some((count, (first_seen_at, last_seen_at))) =
                self.ways.get(&way).and_then(|count| Some((count.count, count.span.bounds()?)))
            else {
                continue;
            };
            let (action, to_state) = way;
            let from_state = MicroStateId::of_subject(subject_id);
            let odd = [("implausible_time", first_seen_at < PLAUSIBLE_SINCE), ("unfoldable_event", self.unfoldable)];
            let flags = odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)).collect();
            rows.push(Row { org_id, from_state, action, to_state, count, first_seen_at, last_seen_at, flags });
        }
        rows[before..].iter().map(|row| size_of::<Row>() + row.action.len()).sum()
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn weight(&self) -> usize {
        const EVENT: usize = 32;
        size_of::<Self>() + self.seen.len() * EVENT + self.weight
    }

    fn copy(rows: &Vec<Row>) -> Vec<Copy> {
        vec![Copy::of(Self::NAME, COLUMNS, rows)]
    }

    async fn write(rows: &Vec<Row>, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        query_file!(
            "src/rcm_transition/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.from_state.uuid()),
            &column(rows, |row| row.action.as_str()) as _,
            &column(rows, |row| row.to_state.uuid()),
            &column(rows, |row| row.count),
            &column(rows, |row| row.first_seen_at),
            &column(rows, |row| row.last_seen_at),
            &column(rows, |row| joined(&row.flags)),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

const COLUMNS: &[Column<Row>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("from_state", |row, value| value.uuid(row.from_state.uuid())),
    ("action", |row, value| value.text(row.action.as_str())),
    ("to_state", |row, value| value.uuid(row.to_state.uuid())),
    ("count", |row, value| value.bigint(row.count)),
    ("first_seen_at", |row, value| value.timestamptz(row.first_seen_at)),
    ("last_seen_at", |row, value| value.timestamptz(row.last_seen_at)),
    ("flags", |row, value| value.text_array(row.flags.iter().copied())),
];

#[cfg(test)]
mod tests {
    use crate::story::{Told, id, on, rows_of};

    use super::*;

    fn moved(action: &str, to: u128, time: &str) -> Told {
        let ids = format!("\"from\":\"{}\",\"to\":\"{}\",\"action\":\"{action}\"", id(0xB), id(to));
        on("ui_transition.observed", time).with(&ids)
    }

    #[test]
    fn what_leads_from_a_screen_is_flagged_if_one_of_its_events_cannot_be_folded() {
        let unfoldable = on("ui_transition.observed", "10:00:02").data(r#"{"from":7}"#);
        let story = [moved("click Search", 1, "10:00:01"), unfoldable, moved("wait", 2, "10:00:03")];
        let rows = rows_of::<RcmTransition>(story);
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.count == 1 && row.flags.contains("unfoldable_event")), "{rows:?}");
    }

    #[test]
    fn each_way_is_counted_by_itself() {
        let rows = rows_of::<RcmTransition>([
            moved("click Search", 1, "10:00:03"),
            moved("click Search", 2, "10:00:02"),
            moved("wait", 1, "10:00:05"),
            moved("click Search", 1, "10:00:01"),
        ]);
        let counts: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.to_state.uuid(), row.count)).collect();
        assert_eq!(counts, [("click Search", id(1), 2), ("click Search", id(2), 1), ("wait", id(1), 1)]);
        let seconds = |time: DateTime<Utc>| time.timestamp() % 60;
        assert_eq!((seconds(rows[0].first_seen_at), seconds(rows[0].last_seen_at)), (1, 3));
        assert_eq!(rows[0].from_state.uuid(), id(0xB));
    }
}
