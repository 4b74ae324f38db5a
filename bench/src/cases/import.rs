//! `runledger import event-log` of a log like a hospital's billing: cases of a few lines that interleave, most attributes
//! empty, some activities more than once. From the command's start until a ledger process that was waiting has appended
//! the last event.

use std::{
    fmt::Write as _,
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results, Samples},
    process::{self, Process},
};

const LINES_PER_CASE: u32 = 5;
/// Cases that go on at the same time.
const CASES_AT_A_TIME: u32 = 400;
const ACTIVITIES: [&str; LINES_PER_CASE as usize] = ["NEW", "CHANGE DIAGN", "FIN", "RELEASE", "BILLED"];
const HEADER: &str = "case_id,activity,lifecycle,resource,timestamp,actorange,blocked,casetype,closecode,diagnosis,\
                      flaga,flagb,iscancelled,isclosed,msgcount,speciality,state,version";

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let lines = if arena.size.short { 20_000 } else { 250_000 };
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("billing.csv");
    write_log(&log, lines / LINES_PER_CASE)?;
    let (mut events_rate, mut lines_rate) = (Samples::default(), Samples::default());
    for _ in 0..arena.size.rounds {
        let (events, seconds) = import(arena, &log).await?;
        eprintln!("  {:.0} events/s", events as f64 / seconds);
        events_rate.push(events as f64 / seconds);
        lines_rate.push(f64::from(lines) / seconds);
    }
    results.measurements.push(Measurement {
        row: "import".to_owned(),
        title: "import of an event log, events appended a second".to_owned(),
        unit: "events/s",
        samples: events_rate,
        goal: Some(Goal::AtLeast { target: 20_000.0, stretch: 40_000.0 }),
        parts: vec![Part { name: "lines of the log", unit: "lines/s", samples: lines_rate }],
    });
    Ok(())
}

/// How many events the ledger has in the end, and after how many seconds.
async fn import(arena: &mut Arena, log: &Path) -> Result<(u64, f64)> {
    let (database, account) = (arena.database().await?, arena.account().await?);
    arena.settle().await?;
    let mut ledger = Process::start("ledger", &database, &account)?;
    let began = Instant::now();
    let log = log.to_str().context("the temporary directory's name is not UTF-8")?;
    let command = ["import", "event-log", log, "--no-wait", "--json"];
    let (_, printed) = process::run(&command, &database, &account).await?;
    let printed: Value = serde_json::from_str(&printed).context("the import printed no JSON")?;
    let events = printed["events"].as_u64().context("the import does not say how many events it made")?;
    database.wait_for(events, "appended", &mut [&mut ledger], CaseDatabase::appended).await?;
    let seconds = began.elapsed().as_secs_f64();
    ledger.stop().await?;
    arena.drop(database).await?;
    Ok((events, seconds))
}

fn write_log(path: &Path, cases: u32) -> Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "{HEADER}")?;
    let mut chance = StdRng::seed_from_u64(17);
    let mut time = DateTime::from_timestamp(1_356_000_000, 0).context("no such time")?;
    let mut line = String::new();
    for wave in 0..cases.div_ceil(CASES_AT_A_TIME) {
        let of_wave = wave * CASES_AT_A_TIME..((wave + 1) * CASES_AT_A_TIME).min(cases);
        for (place, activity) in ACTIVITIES.into_iter().enumerate() {
            for case in of_wave.clone() {
                time += TimeDelta::seconds(chance.random_range(0..90));
                line.clear();
                write!(line, "P{case:06},{activity},complete,Res{},{},", case % 40, time.format("%Y-%m-%d %H:%M:%S"))?;
                let letter = char::from(b'A' + chance.random_range(0..26));
                match place {
                    0 => write!(line, "False,False,{letter},,{letter}40,True,,False,False,,{letter},In progress,")?,
                    1 => write!(line, ",,,,{letter}41,,,,,,,,")?,
                    4 => write!(line, ",,,{letter},,,,,True,{},,Billed,A", chance.random_range(0..4))?,
                    _ => write!(line, ",,,,,,,,,,,{},", ["Closed", "Released"][place - 2])?,
                }
                writeln!(file, "{line}")?;
            }
        }
    }
    Ok(file.flush()?)
}
