//! `runledger tail`: follows events as they are appended.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args;
use events::{
    RecordedEvent,
    id::{EventId, OrgId, RunId, Seq, SubjectId},
};
use ledger::read::{self, Limit};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{output, service, settings::Settings};

const PAGE: Limit = Limit { events_max: 1_000, bytes_max: 4 * 1024 * 1024 };
/// How often it looks for more.
const INTERVAL: Duration = Duration::from_millis(200);

/// Follow events live, from now on or from a seq on
#[derive(Args)]
pub struct Tail {
    /// Of this org only, read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// About this run only
    #[arg(long)]
    run: Option<RunId>,
    /// Of this type, or of this family with a final dot (`step.`), only
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Begin with this seq in each org [default: only what is new]
    #[arg(long, value_name = "SEQ")]
    from: Option<i64>,
    /// Stop at the end instead of waiting for more
    #[arg(long)]
    no_follow: bool,
    /// Print JSON, one event a line, payload included
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let shutdown = service::shutdown_on_signal()?;
        let mut positions: BTreeMap<OrgId, Seq> = BTreeMap::new();
        let mut first_look = true;
        while !shutdown.is_cancelled() {
            let mut heads = read::heads(&mut conn).await?;
            heads.retain(|(org_id, _)| self.org.is_none_or(|only| only == *org_id));
            for (org_id, head) in heads {
                let start = match self.from {
                    Some(from) => Seq::new(from - 1),
                    None if first_look => head,
                    None => Seq::ZERO,
                };
                let position = positions.entry(org_id).or_insert(start);
                *position = self.print_after(&mut conn, org_id, *position, head).await?;
            }
            first_look = false;
            if self.no_follow {
                break;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints what stands behind `after`, and says how far it came.
    async fn print_after(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        mut after: Seq,
        head: Seq,
    ) -> anyhow::Result<Seq> {
        while after < head {
            let page = read::events_after(conn, org_id, after, &[], PAGE).await?;
            for recorded in page.events.iter().filter(|recorded| self.wants(recorded)) {
                self.print(recorded)?;
            }
            if page.through <= after {
                anyhow::bail!(
                    "the events of org {org_id} behind seq {after} are missing; run `runledger verify --org {org_id}`"
                );
            }
            after = page.through;
        }
        Ok(after)
    }

    fn wants(&self, recorded: &RecordedEvent) -> bool {
        let event = &recorded.event;
        let of_type = self.event_type.as_deref().is_none_or(|wanted| {
            event.event_type == wanted || wanted.ends_with('.') && event.event_type.starts_with(wanted)
        });
        of_type && self.run.is_none_or(|run| run.subject() == event.subject_id)
    }

    fn print(&self, recorded: &RecordedEvent) -> anyhow::Result<()> {
        let event = &recorded.event;
        if self.json {
            return output::json(&Line::of(recorded)?);
        }
        let data: String = event.data.chars().take(120).collect();
        let line = format!(
            "{} {:>7}  {}  {:<24} {}  {}",
            event.org_id,
            recorded.seq.get(),
            event.occurred_at.format("%Y-%m-%d %H:%M:%S%.3f"),
            event.event_type,
            event.subject_id,
            data
        );
        Ok(output::print(output::printable(&line))?)
    }
}

/// An event as `--json` prints it; payload and extensions as they stand in the ledger, on one line.
#[derive(Serialize)]
struct Line<'a> {
    org_id: OrgId,
    seq: Seq,
    event_id: EventId,
    event_type: &'a str,
    schema_version: i16,
    subject_id: SubjectId,
    source: &'a str,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    correlation_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    extensions: Option<&'a RawValue>,
    data: Box<RawValue>,
}

impl<'a> Line<'a> {
    fn of(recorded: &'a RecordedEvent) -> anyhow::Result<Self> {
        let event = &recorded.event;
        Ok(Self {
            org_id: event.org_id,
            seq: recorded.seq,
            event_id: event.event_id,
            event_type: &event.event_type,
            schema_version: event.schema_version,
            subject_id: event.subject_id,
            source: &event.source,
            occurred_at: event.occurred_at,
            recorded_at: recorded.recorded_at,
            correlation_id: event.correlation_id.as_deref(),
            causation_id: event.causation_id.as_deref(),
            traceparent: event.traceparent.as_deref(),
            extensions: event.extensions.as_deref().map(serde_json::from_str).transpose()?,
            // Line ends stand between tokens only: in a string they are escapes.
            data: RawValue::from_string(event.data.replace(['\n', '\r'], " "))?,
        })
    }
}
