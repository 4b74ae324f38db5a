//! Taking runs off the record and bringing them back: the events that say so.
//!
//! Nothing is said of a run that stands there already, so whoever looks at the ledger first may be
//! interrupted and begin again. Called by `import` and `runs`.

use async_nats::Client;
use chrono::TimeDelta;
use events::{
    Event, EventData,
    id::UserId,
    payload::{RunReinstated, RunRetracted},
};
use ledger::correction::RecordedRun;

use crate::{
    progress::Progress,
    publisher::{Acknowledged, Publication, Publisher},
};

const SOURCE: &str = "/runledger/corrections";

/// What is to be said of runs, by whom, and for which import.
#[derive(Clone, Debug)]
pub struct Correction {
    pub said: Said,
    pub by: Option<UserId>,
    pub import_id: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Said {
    Retracted { reason: String },
    Reinstated { reason: Option<String> },
}

impl Correction {
    /// Whether to say it of this run: not if the run stands so already. What somebody retracted by hand is
    /// retracted for good, whatever imports are reverted or brought again.
    pub fn changes(&self, run: &RecordedRun) -> bool {
        match (&self.said, run.retraction()) {
            (Said::Retracted { .. }, None) => true,
            (Said::Retracted { .. }, Some(standing)) => {
                standing.import_id.is_some() && standing.import_id != self.import_id
            }
            (Said::Reinstated { .. }, standing) => standing.is_some(),
        }
    }

    /// The type of the events that say it.
    pub fn event_type(&self) -> &'static str {
        match self.said {
            Said::Retracted { .. } => RunRetracted::TYPE,
            Said::Reinstated { .. } => RunReinstated::TYPE,
        }
    }

    /// Says it of each of these runs, and returns when the stream has it.
    pub async fn publish(&self, client: &Client, runs: &[&RecordedRun]) -> anyhow::Result<Acknowledged> {
        let what = match self.said {
            Said::Retracted { .. } => "retracting runs",
            Said::Reinstated { .. } => "reinstating runs",
        };
        let progress = Progress::start(what, runs.len() as u64);
        let mut publisher = Publisher::new(client);
        for run in runs {
            publisher.publish(Publication::of(&self.event(run)?)).await?;
            progress.add(1);
        }
        let acknowledged = publisher.finish().await?;
        progress.finish();
        Ok(acknowledged)
    }

    fn event(&self, run: &RecordedRun) -> anyhow::Result<Event> {
        let by = self.by;
        match &self.said {
            Said::Retracted { reason } => {
                self.event_of(run, &RunRetracted { reason: reason.as_str().into(), retracted_by: by })
            }
            Said::Reinstated { reason } => {
                let reason = reason.as_deref().map(Into::into);
                self.event_of(run, &RunReinstated { reason, reinstated_by: by })
            }
        }
    }

    fn event_of<T: EventData>(&self, run: &RecordedRun, payload: &T) -> anyhow::Result<Event> {
        let mut event = Event::new(run.org_id, run.run_id.subject(), SOURCE, payload)?;
        // The later one counts: a clock that is behind must not make this the earlier.
        if let Some(before) = &run.correction {
            event.occurred_at = event.occurred_at.max(before.time + TimeDelta::microseconds(1));
        }
        if let Some(import_id) = &self.import_id {
            event.set_extension("importid", import_id);
        }
        if let Some(account) = account() {
            event.set_extension("authtype", "user");
            event.set_extension("authid", account);
        }
        Ok(event)
    }
}

/// The operating system's account that this runs in, so that who it was is on record without being asked.
fn account() -> Option<String> {
    let account = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()?;
    // What else an attribute may not have in it.
    Some(account).filter(|account| !account.is_empty() && !account.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use events::id::{OrgId, RunId, Seq};

    use super::*;

    fn corrected_at(time: DateTime<Utc>) -> RecordedRun {
        let correction =
            ledger::correction::Correction { is_retraction: true, seq: Seq::new(2), time, import_id: None };
        RecordedRun { org_id: OrgId::generate(), run_id: RunId::generate(), correction: Some(correction) }
    }

    fn retracted_with(import_id: Option<&str>) -> RecordedRun {
        let mut run = corrected_at(events::time::now());
        run.correction.as_mut().unwrap().import_id = import_id.map(str::to_owned);
        run
    }

    #[test]
    fn a_retraction_by_hand_is_the_last_word_of_retractions() {
        let retraction = |import_id: Option<&str>| Correction {
            said: Said::Retracted { reason: "wrong".to_owned() },
            by: None,
            import_id: import_id.map(str::to_owned),
        };
        let by_hand = [None, Some("x")].map(|standing| retraction(None).changes(&retracted_with(standing)));
        assert_eq!(by_hand, [false, true]);
        let reverting = [None, Some("x"), Some("y")].map(|it| retraction(Some("x")).changes(&retracted_with(it)));
        assert_eq!(reverting, [false, false, true]);
    }

    #[test]
    fn a_correction_is_later_than_the_one_that_it_answers_whatever_the_clock_says() {
        let correction = Correction { said: Said::Reinstated { reason: None }, by: None, import_id: None };
        let ahead = events::time::now() + TimeDelta::hours(1);
        assert_eq!(correction.event(&corrected_at(ahead)).unwrap().occurred_at, ahead + TimeDelta::microseconds(1));
        let behind = events::time::now() - TimeDelta::hours(1);
        assert!(correction.event(&corrected_at(behind)).unwrap().occurred_at > behind + TimeDelta::minutes(59));
    }

    #[test]
    fn a_correction_names_its_import_and_its_author() {
        let said = Said::Retracted { reason: "import x reverted".to_owned() };
        let correction = Correction { said, by: Some(UserId::generate()), import_id: Some("x".to_owned()) };
        let event = correction.event(&corrected_at(events::time::now())).unwrap();
        assert_eq!(event.extension_map().get("importid").map(String::as_str), Some("x"));
        let data: RunRetracted = serde_json::from_str(&event.data).unwrap();
        assert_eq!((data.reason.as_str(), data.retracted_by), ("import x reverted", correction.by));
    }
}
