//! The search for the event that makes PostgreSQL refuse an org's rows: batches are halved until it is alone,
//! parked then, and batches grow again.

use std::{collections::HashMap, sync::Mutex};

use events::id::{OrgId, Seq};
use ledger::read::Page;

use super::{BATCH_EVENTS_MAX, lock};

/// Orgs in which PostgreSQL has refused rows a short while ago.
#[derive(Default)]
pub struct Trials(Mutex<HashMap<OrgId, Trial>>);

/// How far the search has come in an org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The size of the next batch.
    pub events_max: i64,
    culprit: Option<(Seq, String)>,
}

impl Default for Trial {
    fn default() -> Self {
        Self { events_max: BATCH_EVENTS_MAX, culprit: None }
    }
}

impl Trial {
    /// The event to park. It comes first in the page, or another process has gone past it meanwhile
    /// and what is refused now is another event's fault.
    pub fn culprit_in(self, page: &Page) -> Option<(Seq, String)> {
        let first = page.events.first()?.seq;
        self.culprit.filter(|(seq, _)| *seq == first)
    }
}

impl Trials {
    /// What is tried in this org; where nothing was refused, all of a batch.
    pub fn of(&self, org_id: OrgId) -> Trial {
        lock(&self.0).get(&org_id).cloned().unwrap_or_default()
    }

    /// PostgreSQL refused the rows of this page: half of it is tried next, or, if it is a single
    /// event, that event is parked.
    pub fn narrow_down(&self, org_id: OrgId, page: &Page, error: &sqlx::Error) {
        let first = page.events.first().map_or(page.through, |event| event.seq);
        let culprit = (page.events.len() <= 1).then(|| (first, format!("PostgreSQL refuses the row: {error}")));
        let events_max = (page.events.len() as i64 / 2).max(1);
        lock(&self.0).insert(org_id, Trial { events_max, culprit });
    }

    /// A batch went well: the next one may be twice as large.
    pub fn widen(&self, org_id: OrgId) {
        let mut trials = lock(&self.0);
        if let Some(trial) = trials.remove(&org_id)
            && trial.events_max * 2 < BATCH_EVENTS_MAX
        {
            trials.insert(org_id, Trial { events_max: trial.events_max * 2, culprit: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{on, recorded, subject};

    /// The events from this seq on, as the ledger gives them out.
    fn page_from(seq: i64, events: usize) -> Page {
        let all = recorded((0..9).map(|_| on("org.updated", "10:00:00")));
        let events: Vec<_> = all.into_iter().skip(seq as usize - 1).take(events).collect();
        Page { through: events.last().unwrap().seq, events }
    }

    #[test]
    fn a_refused_batch_is_halved_until_one_event_is_to_be_parked() {
        let (trials, org_id) = (Trials::default(), subject().org_id);
        let refuse = |page: &Page| trials.narrow_down(org_id, page, &sqlx::Error::RowNotFound);
        refuse(&page_from(3, 4));
        assert_eq!(trials.of(org_id), Trial { events_max: 2, culprit: None });
        refuse(&page_from(3, 2));
        refuse(&page_from(3, 1));
        let (seq, reason) = trials.of(org_id).culprit_in(&page_from(3, 1)).unwrap();
        assert_eq!(seq, Seq::new(3));
        assert!(reason.contains("PostgreSQL refuses the row"), "{reason}");
    }

    #[test]
    fn batches_grow_again_once_the_culprit_is_gone() {
        let (trials, org_id) = (Trials::default(), subject().org_id);
        trials.narrow_down(org_id, &page_from(3, 1), &sqlx::Error::RowNotFound);
        trials.widen(org_id);
        assert_eq!(trials.of(org_id), Trial { events_max: 2, culprit: None });
        (0..20).for_each(|_| trials.widen(org_id));
        assert_eq!(trials.of(org_id), Trial::default());
    }

    #[test]
    fn a_culprit_that_another_process_has_gone_past_is_not_blamed_for_the_next_event() {
        let stale = Trial { events_max: 1, culprit: Some((Seq::new(3), "refused".to_owned())) };
        assert_eq!(stale.clone().culprit_in(&page_from(4, 1)), None);
        assert_eq!(stale.clone().culprit_in(&page_from(2, 2)), None);
        assert!(stale.culprit_in(&page_from(3, 1)).is_some());
    }
}
