//! How costs grow: with the events in the ledger, with orgs, with processes, with one org that has most of the events, and
//! with the size of a run. One round each; a curve each in the chart.

use crate::cases::Case;

mod bytes;
mod drain;
mod events;
mod large_run;
mod orgs;
mod processes;

/// In the order in which they run.
pub const CASES: &[Case] = &[
    Case {
        rows: &["growth-orgs", "hot-org"],
        about: "cost of an event with 1, 100 and 5,000 orgs, and with one that has nine of ten runs",
        run: |arena, results| Box::pin(orgs::measure(arena, results)),
    },
    Case {
        rows: &["growth-processes"],
        about: "1, 2 and 4 ledger and projector processes",
        run: |arena, results| Box::pin(processes::measure(arena, results)),
    },
    Case {
        rows: &["growth-run"],
        about: "one run of 1,000, 10,000 and 100,000 events: live, folded anew, shown",
        run: |arena, results| Box::pin(large_run::measure(arena, results)),
    },
    Case {
        rows: &["bytes"],
        about: "stored bytes an event, by table and index",
        run: |arena, results| Box::pin(bytes::measure(arena, results)),
    },
    Case {
        rows: &["growth-events", "rebuild-memory"],
        about: "cost of an event with 100 k, 1 M and 10 M events in the ledger, and a rebuild of the most",
        run: |arena, results| Box::pin(events::measure(arena, results)),
    },
];
