//! The cases: each measures one row of the table or a few, and is one line in the registry below.

use anyhow::{Result, bail};
use futures::future::BoxFuture;

use crate::{arena::Arena, growth, measurement::Results};

mod as_of;
mod import;
pub mod latency;
mod ledger;
mod micro_states;
mod prediction;
mod queries;
mod rebuild;
mod requirements;
mod verify;
pub mod visible;

/// What can be run by itself.
#[derive(Debug)]
pub struct Case {
    /// The rows it gives; each is a name for it.
    pub rows: &'static [&'static str],
    /// What it measures.
    pub about: &'static str,
    /// Measures it.
    pub run: for<'a> fn(&'a mut Arena, &'a mut Results) -> BoxFuture<'a, Result<()>>,
}

/// In the order in which they run: first those that drain the backlog, then those that look at what was drained.
const CASES: &[Case] = &[
    Case {
        rows: &["ledger"],
        about: "draining the backlog into the ledger, against binary COPY of the same rows",
        run: |arena, results| Box::pin(ledger::measure(arena, results)),
    },
    Case {
        rows: &["visible", "naive", "memory"],
        about: "draining the backlog until every run and step is visible, against COPY and the naive loop",
        run: |arena, results| Box::pin(visible::measure(arena, results)),
    },
    Case {
        rows: &["rebuild"],
        about: "runs and steps again from the ledger, against INSERT … SELECT",
        run: |arena, results| Box::pin(rebuild::measure(arena, results)),
    },
    Case {
        rows: &["verify"],
        about: "recomputing the integrity tree, against reading the events in order",
        run: |arena, results| Box::pin(verify::measure(arena, results)),
    },
    Case {
        rows: &["as-of"],
        about: "a run of 200 events as it was, in a ledger with the whole backlog",
        run: |arena, results| Box::pin(as_of::measure(arena, results)),
    },
    Case {
        rows: &["import"],
        about: "an event log, from the file until the ledger has all of its events",
        run: |arena, results| Box::pin(import::measure(arena, results)),
    },
    Case {
        rows: &["latency"],
        about: "from publishing an event until its run's row shows it, at three rates",
        run: |arena, results| Box::pin(latency::measure(arena, results)),
    },
    Case {
        rows: &["page", "deep-page", "run", "context"],
        about: "questions of tenants, with a million runs of 20 orgs",
        run: |arena, results| Box::pin(queries::measure(arena, results)),
    },
    Case {
        rows: &["requirements"],
        about: "what has to be known for an org, a payer and a kind of task, with rules of 500 orgs and 200 payers",
        run: |arena, results| Box::pin(requirements::measure(arena, results)),
    },
    Case {
        rows: &["nearest", "recall"],
        about: "the screens nearest to one, with 100,000 screens of 20 orgs, and how many of them are found",
        run: |arena, results| Box::pin(micro_states::measure(arena, results)),
    },
    Case {
        rows: &["prediction"],
        about: "what comes next on a simulated portal, against what is most frequent",
        run: |arena, results| Box::pin(prediction::measure(arena, results)),
    },
];

/// The cases of these rows, each once, in the order of the registry; `all` are those of growth only if they are meant too.
pub fn chosen(rows: &[String], with_growth: bool) -> Result<Vec<&'static Case>> {
    let every = || CASES.iter().chain(growth::CASES);
    if let Some(unknown) = rows.iter().find(|row| *row != "all" && !every().any(|case| case.gives(row))) {
        bail!("there is no row {unknown:?}; these there are:\n{}", list());
    }
    let all = rows.iter().any(|row| row == "all");
    let named = |case: &&Case| rows.iter().any(|row| case.gives(row));
    let (cases, growth) = (CASES.iter().filter(|case| all || named(case)), growth::CASES.iter());
    Ok(cases.chain(growth.filter(|case| all && with_growth || named(case))).collect())
}

impl Case {
    fn gives(&self, row: &str) -> bool {
        self.rows.contains(&row)
    }
}

/// All rows, for people.
pub fn list() -> String {
    let lines = CASES.iter().chain(growth::CASES).map(|case| format!("{:24} {}\n", case.rows.join(", "), case.about));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        chosen(&names, false).unwrap().iter().map(|case| case.rows[0]).collect()
    }

    #[test]
    fn a_case_runs_once_however_many_of_its_rows_are_named() {
        assert_eq!(rows(&["memory", "visible", "ledger"]), ["ledger", "visible"]);
        assert_eq!(rows(&["all"]).len(), CASES.len());
    }

    #[test]
    fn an_unknown_row_is_answered_with_those_there_are() {
        let error = chosen(&["speed".to_owned()], true).unwrap_err().to_string();
        assert!(error.contains("speed") && error.contains("latency"), "{error}");
    }

    #[test]
    fn no_row_is_given_by_two_cases() {
        let mut rows: Vec<_> = CASES.iter().chain(growth::CASES).flat_map(|case| case.rows).collect();
        let count = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count);
    }
}
