//! `runledger import`: `event-log`, a process-mining log becomes run and step events; `legacy`, the old tables do, and
//! `legacy-requirements`, the old table of field requirements; what was imported, and taking it back.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use events::{
    Event,
    id::{OrgId, RunId, Seq},
};
use ledger::stream::EventStream;
use serde_json::json;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::wait;
use crate::{
    event_log::{self, ColumnNames, Ending, Endings, EventLog, Rejects, Run, Survey, Target},
    output,
    progress::Progress,
    publisher::{Acknowledged, Publication, Publisher},
    settings::Settings,
};

mod legacy;
mod legacy_requirements;
mod list;
mod revert;

use revert::Retracted;

/// So many cases may be read ahead of the one that is being published.
const CASES_AHEAD_MAX: usize = 64;

/// Bring in what other systems recorded, take it back: event-log, legacy, legacy-requirements, list, revert
#[derive(Args)]
pub struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    EventLog(ImportEventLog),
    Legacy(Box<legacy::Legacy>),
    LegacyRequirements(Box<legacy_requirements::LegacyRequirements>),
    List(list::List),
    Revert(revert::Revert),
}

/// Import a process-mining log, CSV or XES, gzip or not: a case becomes a run, a line a step
///
/// All ids are derived from the content, so importing the same file again changes nothing, but that runs
/// of it come back which `import revert` has taken away. A run ends
/// with the last line of its case, if that line's activity is known to be an end: BILLED, PAID, COMPLETE,
/// COMPLETED, CLOSED, END, FINISHED (completed), DELETE, DELETED, CANCEL, CANCELLED, CANCELED, WITHDRAWN
/// (cancelled), FAILED (failed), in capitals or not, and what --ended says; otherwise it is left running.
#[derive(Args)]
struct ImportEventLog {
    /// The log
    file: PathBuf,
    /// The column with the case [default: case_id, case, case:concept:name, …]
    #[arg(long, value_name = "COLUMN")]
    case: Option<String>,
    /// The column with the activity [default: activity, concept:name, …]
    #[arg(long, value_name = "COLUMN")]
    activity: Option<String>,
    /// The column with the time; without a zone it is UTC [default: timestamp, time:timestamp, time, …]
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// The column that tells starts from completions, if there is one [default: lifecycle, lifecycle:transition, status]
    #[arg(long, value_name = "COLUMN")]
    status: Option<String>,
    /// How times are written, as in strftime, e.g. "%d.%m.%Y %H:%M" [default: year-month-day hour:minute:second]
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    /// What stands between the columns of a CSV file; \t for a tab
    #[arg(long, default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,
    /// Into this org, which is registered
    #[arg(long, conflicts_with = "org_name")]
    org: Option<OrgId>,
    /// Into an org of this name, which the import registers [default: the file's name]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    org_name: Option<String>,
    /// Where lines that cannot be used go [default: NAME.rejects.csv in the working directory]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// An activity that ends a case, and how: completed, failed, cancelled or timeout; may be repeated
    #[arg(long, value_name = "ACTIVITY=STATUS", value_parser = parse_ending)]
    ended: Vec<(String, Ending)>,
    /// Do not wait until the runs can be seen; those of a reverted import stay retracted
    #[arg(long)]
    no_wait: bool,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b'"' | b'\n' | b'\r'] => Err("a quote or a line end cannot stand between columns".to_owned()),
        [byte] => Ok(*byte),
        _ => Err("give one ASCII character".to_owned()),
    }
}

fn parse_ending(text: &str) -> Result<(String, Ending), String> {
    let (activity, status) = text.rsplit_once('=').ok_or("give ACTIVITY=STATUS, e.g. REJECTED=failed")?;
    Ok((activity.to_owned(), status.parse()?))
}

impl Import {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.what {
            What::EventLog(command) => command.run(settings).await,
            What::Legacy(command) => command.run(settings).await,
            What::LegacyRequirements(command) => command.run(settings).await,
            What::List(command) => command.run(settings).await,
            What::Revert(command) => command.run(settings).await,
        }
    }
}

impl ImportEventLog {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if !self.no_wait {
            settings
                .database_url()
                .context("to see the runs arrive, the import needs the database; or pass --no-wait")?;
        }
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let name = event_log::name_of(&self.file);
        let rejects = self.rejects.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.rejects.csv")));

        if std::fs::canonicalize(&rejects)
            .is_ok_and(|rejects| std::fs::canonicalize(&self.file).is_ok_and(|file| file == rejects))
        {
            bail!("--rejects {} is the log itself; give another file", rejects.display());
        }
        let survey = self.survey(&rejects).await?;
        let org_name = self.org_name.clone().unwrap_or(name);
        let org_id = self.org.map_or_else(|| Target::org_of(&org_name), Ok)?;
        let target = Target {
            org_id,
            import_id: Target::import_id(org_id, survey.digest),
            endings: Endings::usual_and(self.ended.clone()),
        };
        let position = match self.no_wait {
            true => Seq::ZERO,
            false => revert::position(settings, &client, org_id).await?,
        };
        let mut publisher = Publisher::new(&client);
        if self.org.is_none() {
            publisher.publish(Publication::of(&target.registration(&org_name, survey.earliest)?)).await?;
        }
        let counts = (survey.cases.len(), survey.lines, survey.rejected);
        let (acknowledged, runs) = self.publish(publisher, survey, target.clone()).await?;
        let mut retracted = Retracted::default();
        if !self.no_wait {
            wait::until_projected(settings, &client, acknowledged.last_stream_seq, &[org_id]).await?;
            retracted = revert::reinstate(settings, &client, org_id, target.import_id, &runs, position).await?;
        }
        self.report(&target, counts, acknowledged, retracted, &rejects)?;
        Ok(ExitCode::SUCCESS)
    }

    fn log(&self, progress: &Progress) -> EventLog {
        let progress = progress.clone();
        EventLog {
            path: self.file.clone(),
            names: ColumnNames {
                case: self.case.clone(),
                activity: self.activity.clone(),
                time: self.time.clone(),
                status: self.status.clone(),
            },
            delimiter: self.delimiter,
            time_format: self.time_format.clone(),
            now: events::time::now(),
            on_read: Arc::new(move |bytes| progress.add(bytes)),
        }
    }

    fn progress(&self, what: &str) -> Progress {
        // A file that is not there is complained of when it is opened.
        Progress::start(what, std::fs::metadata(&self.file).map_or(0, |file| file.len()))
    }

    async fn survey(&self, rejects: &Path) -> anyhow::Result<Survey> {
        let progress = self.progress("reading the log, bytes");
        let (log, mut rejects) = (self.log(&progress), Rejects::new(rejects.to_owned()));
        let survey = spawn_blocking(move || log.survey(&mut rejects)).await?;
        progress.finish();
        Ok(survey?)
    }

    /// Reads cases in a thread of its own and publishes them as they come. Returns their runs too.
    async fn publish(
        &self,
        mut publisher: Publisher,
        survey: Survey,
        target: Target,
    ) -> anyhow::Result<(Acknowledged, Vec<RunId>)> {
        let progress = self.progress("importing the log, bytes");
        let log = self.log(&progress);
        let (sender, mut cases) = mpsc::channel::<Vec<Event>>(CASES_AHEAD_MAX);
        let reading = spawn_blocking(move || {
            log.each_case(&survey, |case, lines| -> anyhow::Result<()> {
                let events = Run::events_of(&target, &case, lines)?;
                sender.blocking_send(events).context("publishing has stopped")
            })
        });
        let mut runs = Vec::new();
        while let Some(events) = cases.recv().await {
            runs.extend(events.first().map(|event| RunId::of_subject(event.subject_id)));
            for event in &events {
                publisher.publish(Publication::of(event)).await?;
            }
        }
        reading.await??;
        let acknowledged = publisher.finish().await?;
        progress.finish();
        Ok((acknowledged, runs))
    }

    fn report(
        &self,
        target: &Target,
        (cases, lines, rejected): (usize, u64, u64),
        acknowledged: Acknowledged,
        retracted: Retracted,
        rejects: &Path,
    ) -> anyhow::Result<()> {
        let (org_id, events) = (target.org_id, acknowledged.messages);
        let rejects = (rejected > 0).then_some(rejects);
        if self.json {
            return output::json(&json!({
                "org_id": org_id, "import_id": target.import_id, "cases": cases, "lines": lines, "events": events,
                "rejected": rejected, "rejects": rejects, "reinstated": retracted.reinstated,
                "still_retracted": retracted.kept,
            }));
        }
        let file = output::printable(&self.file.to_string_lossy());
        output::print(format!("imported {file}: {cases} cases, {lines} lines, {events} events"))?;
        if retracted.reinstated > 0 {
            output::print(format!("runs that a revert had taken away and that are back: {}", retracted.reinstated))?;
        }
        if retracted.kept > 0 {
            let kept = retracted.kept;
            output::print(format!(
                "runs that stay retracted, by hand or since the import began: {kept}; `runledger runs reinstate` brings one back"
            ))?;
        }
        if let Some(rejects) = rejects {
            let rejects = output::printable(&rejects.to_string_lossy());
            output::print(format!("rejected lines: {rejected}, see {rejects} for their numbers and the reasons"))?;
        }
        output::print(format!("look at the runs: runledger runs list --org {org_id}"))?;
        output::print(format!("take it all back: runledger import revert {}", target.import_id))?;
        Ok(())
    }
}
