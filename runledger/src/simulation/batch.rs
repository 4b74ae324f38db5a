//! Batches: the runs of an org that begin within an hour come in one, a row each.
//!
//! A batch is told along with its runs, so the memory needed does not grow with their number. It is done with
//! when the hour is over and its runs have ended; rows whose runs have not are given up.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData,
    id::{BatchId, EventId, OrgId, RowId, RunId},
    payload::{
        BatchAttributes, BatchCompleted, BatchRowAdded, BatchRowCompleted, BatchRowFailed, BatchRowSkipped,
        BatchRowStarted, BatchStarted, BatchSubmitted, RunCreated,
    },
};

use super::Simulation;

/// What the batch of a run that begins at this time is called.
pub fn external_id(begin: DateTime<Utc>) -> String {
    format!("B-{}", begin.format("%m%d-%H"))
}

/// The batches that runs still come in.
pub struct Batches<'a> {
    simulation: &'a Simulation,
    /// By the hour since 1970 in which their runs begin.
    open: BTreeMap<(i64, OrgId), Batch>,
}

struct Batch {
    org_id: OrgId,
    batch_id: BatchId,
    rows: i32,
    /// Rows whose runs have not ended.
    open_rows: Vec<RowId>,
    latest: DateTime<Utc>,
    events_told: i64,
}

impl<'a> Batches<'a> {
    pub fn of(simulation: &'a Simulation) -> Self {
        Self { simulation, open: BTreeMap::new() }
    }

    /// What a run, given by its events, means to its batch, and the ends of batches whose hour is over.
    pub fn tell(&mut self, run: &[Event]) -> anyhow::Result<Vec<Event>> {
        let Some(first) = run.first() else { return Ok(Vec::new()) };
        let (org_id, begin) = (first.org_id, first.occurred_at);
        let hour = begin.timestamp().div_euclid(3_600);
        let mut events = Vec::new();
        while let Some(entry) = self.open.first_entry()
            && entry.key().0 < hour
        {
            entry.remove().end(self.simulation, &mut events)?;
        }
        if !self.open.contains_key(&(hour, org_id)) {
            let batch = Batch::submit(self.simulation, org_id, begin - TimeDelta::seconds(5), &mut events)?;
            self.open.insert((hour, org_id), batch);
        }
        if let Some(batch) = self.open.get_mut(&(hour, org_id)) {
            batch.add(self.simulation, run, &mut events)?;
        }
        Ok(events)
    }
}

impl Batch {
    fn submit(
        simulation: &Simulation,
        org_id: OrgId,
        time: DateTime<Utc>,
        events: &mut Vec<Event>,
    ) -> anyhow::Result<Self> {
        let external_id = external_id(time + TimeDelta::seconds(5));
        let batch_id = simulation.id(&format!("batch {external_id} of {org_id}"))?;
        let mut batch = Self { org_id, batch_id, rows: 0, open_rows: Vec::new(), latest: time, events_told: 0 };
        let attributes = BatchAttributes {
            name: Some(format!("worklist of {}", time.format("%-d %B, %H:%M")).into()),
            external_id: Some(external_id.as_str().try_into()?),
            ..BatchAttributes::default()
        };
        batch.event(simulation, time, &BatchSubmitted(attributes), events)?;
        batch.event(simulation, time + TimeDelta::seconds(2), &BatchStarted::default(), events)?;
        Ok(batch)
    }

    fn add(&mut self, simulation: &Simulation, run: &[Event], events: &mut Vec<Event>) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let run_id = RunId::of_subject(first.subject_id);
        let row_id = simulation.id::<RowId>(&format!("row of {run_id}"))?;
        self.rows += 1;
        let external_id = serde_json::from_str::<RunCreated>(&first.data)?.0.external_id;
        let added = BatchRowAdded { row_id, row_number: Some(self.rows), run_id: None, external_id };
        self.event(simulation, first.occurred_at - TimeDelta::seconds(1), &added, events)?;
        if let Some(started) = run.iter().find(|event| event.event_type == "run.started") {
            let row = BatchRowStarted { row_id, row_number: None, run_id: Some(run_id) };
            self.event(simulation, started.occurred_at, &row, events)?;
        }
        let (row_number, run_id, time) = (None, Some(run_id), last.occurred_at + TimeDelta::milliseconds(20));
        match last.event_type.as_str() {
            "run.completed" => self.event(simulation, time, &BatchRowCompleted { row_id, row_number, run_id }, events),
            "run.cancelled" => {
                let reason = Some("its run was cancelled".into());
                self.event(simulation, time, &BatchRowSkipped { row_id, row_number, run_id, reason }, events)
            }
            "run.failed" | "run.timed_out" => {
                let error_message = "its run did not reach its goal".into();
                let row = BatchRowFailed { row_id, row_number, run_id, error_message, error_details: None };
                self.event(simulation, time, &row, events)
            }
            _ => {
                self.latest = self.latest.max(time);
                self.open_rows.push(row_id);
                Ok(())
            }
        }
    }

    fn end(mut self, simulation: &Simulation, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let time = self.latest + TimeDelta::seconds(30);
        for row_id in std::mem::take(&mut self.open_rows) {
            let error_message = "given up: its run does not end".into();
            let row = BatchRowFailed { row_id, row_number: None, run_id: None, error_message, error_details: None };
            self.event(simulation, time, &row, events)?;
        }
        self.event(simulation, time + TimeDelta::seconds(1), &BatchCompleted {}, events)
    }

    fn event<T: EventData>(
        &mut self,
        simulation: &Simulation,
        time: DateTime<Utc>,
        payload: &T,
        events: &mut Vec<Event>,
    ) -> anyhow::Result<()> {
        self.events_told += 1;
        self.latest = self.latest.max(time);
        let mut event = Event::new(self.org_id, self.batch_id.subject(), "/worklists", payload)?;
        event.event_id = simulation.id::<EventId>(&format!("event {} of batch {}", self.events_told, self.batch_id))?;
        event.occurred_at = time;
        event.set_sequence(self.events_told);
        events.push(event);
        Ok(())
    }
}
