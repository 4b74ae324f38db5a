//! Commits what partitions bring, on the connection that holds their leases.
//!
//! Invariant: a message counts as read when, and only when, it is committed as appended or as a dead letter: its
//! partition's cursor moves in the same transaction.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use events::{
    Code, Event, Refusal,
    id::{EventId, SubjectId},
    wire,
};
use metrics::{counter, histogram};
use sqlx::{Connection, PgConnection};
use tokio::{sync::Notify, time::Instant};

use super::{
    IngestError,
    announce::{self, Announcer},
    cursor::Cursor,
    feed::Fed,
    lane::Lane,
};
use crate::{
    append::{self, AppendError, Appended, CursorMoves, Heads, Ids, Outcome},
    connection::{refuses_data, within},
    dead_letter,
    recent::{Commit, INCARNATION, Incarnation, Recent},
    stream::{Delivery, EventStream, STREAM},
};

/// How long a batch may take; a slow disk is no dead server.
const COMMIT_MAX: Duration = Duration::from_secs(120);

/// What the door says of a delivery.
type Verdict = Result<Event, Refusal>;

pub(super) struct Writer {
    pub(super) conn: PgConnection,
    pub(super) stream: EventStream,
    /// Of the partitions whose leases the connection holds.
    pub(super) cursors: BTreeMap<u32, Cursor>,
    heads: Heads,
    /// New events are the rule. After a repeated one, ids are looked up until a batch has none.
    ids: Ids,
    announcer: Announcer,
    org_registered: Arc<Notify>,
    /// For a projector in this process.
    recent: Option<Arc<Recent>>,
    /// What the connection is to.
    incarnation: Incarnation,
}

impl Writer {
    pub(super) async fn new(mut conn: PgConnection, stream: EventStream, lane: &Lane) -> Result<Self, sqlx::Error> {
        let incarnation = sqlx::query_scalar(INCARNATION).fetch_one(&mut conn).await?;
        Ok(Self {
            conn,
            stream,
            cursors: BTreeMap::new(),
            heads: Heads::default(),
            ids: Ids::TakenForNew,
            announcer: lane.announcer.clone(),
            org_registered: lane.org_registered.clone(),
            recent: lane.recent.clone(),
            incarnation,
        })
    }

    /// Commits deliveries, those of each partition in their order. A part that the database refuses for its data
    /// is halved until the culprit is alone.
    pub(super) async fn commit(&mut self, batch: &[Fed]) -> Result<(), IngestError> {
        let now = crate::now();
        let verdicts: Vec<Verdict> = batch.iter().map(|fed| wire::admit(&fed.delivery.message(), now)).collect();
        within(COMMIT_MAX, self.commit_verdicts(batch, &verdicts)).await
    }

    async fn commit_verdicts(&mut self, batch: &[Fed], verdicts: &[Verdict]) -> Result<(), IngestError> {
        let mut parts = Vec::new();
        parts.push(0..batch.len());
        while let Some(part) = parts.pop() {
            match self.commit_part(&batch[part.clone()], &verdicts[part.clone()]).await {
                Err(IngestError::Append(AppendError::NotNew)) => {
                    self.ids = Ids::LookedUp;
                    parts.push(part);
                }
                Err(IngestError::Append(AppendError::HeadMoved)) => {
                    self.heads.forget();
                    parts.push(part);
                }
                Err(IngestError::Database(error) | IngestError::Append(AppendError::Database(error)))
                    if refuses_data(&error) && verdicts[part.clone()].iter().any(Result::is_ok) =>
                {
                    if part.len() > 1 {
                        let middle = part.start + part.len() / 2;
                        parts.push(middle..part.end);
                        parts.push(part.start..middle);
                        continue;
                    }
                    let reason = format!("PostgreSQL refused the event: {error}; please report this");
                    let refused = [Err(Refusal::new(Code::DatabaseRefused, reason))];
                    self.commit_part(&batch[part], &refused).await?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn commit_part(&mut self, batch: &[Fed], verdicts: &[Verdict]) -> Result<(), IngestError> {
        let started = Instant::now();
        let admitted: Vec<&Event> = verdicts.iter().flatten().collect();
        let moves = self.moves(batch);
        let appended = match self.append_at_once(batch, &admitted, &moves).await? {
            Some(appended) => appended,
            None => self.append_and_refuse(batch, verdicts, &admitted, &moves).await?,
        };
        if let Some(recent) = &self.recent {
            appended.recorded().into_iter().for_each(|(org_id, events)| recent.add(&self.incarnation, org_id, events));
        }
        let outcomes = appended.committed(&mut self.heads);
        for Fed { partition, delivery, .. } in batch {
            self.cursors.entry(*partition).and_modify(|cursor| cursor.moved_behind(delivery));
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Appended(_))) {
            self.ids = Ids::TakenForNew;
        }
        histogram!("runledger_append_seconds").record(started.elapsed().as_secs_f64());
        histogram!("runledger_append_batch_events").record(batch.len() as f64);
        self.tell(&admitted, &outcomes, &refusals(batch, verdicts, &outcomes)).await;
        Ok(())
    }

    /// How a batch moves the cursors.
    fn moves(&self, batch: &[Fed]) -> CursorMoves {
        let mut moves =
            CursorMoves { stream: STREAM, stream_created_at: self.stream.created_at, ..CursorMoves::default() };
        let last: BTreeMap<u32, &Delivery> = batch.iter().map(|fed| (fed.partition, &fed.delivery)).collect();
        for (partition, delivery) in last {
            let Some(cursor) = self.cursors.get(&partition) else { continue };
            moves.partitions.push(partition as i32);
            moves.before.push(cursor.stream_seq as i64);
            moves.stream_seqs.push(delivery.stream_seq as i64);
            moves.message_ats.push(delivery.stored_at);
        }
        moves
    }

    /// Most batches: new events of known orgs, nothing refused. None if this is no such batch.
    async fn append_at_once<'e>(
        &mut self,
        batch: &[Fed],
        admitted: &[&'e Event],
        moves: &CursorMoves,
    ) -> Result<Option<Appended<'e>>, AppendError> {
        if admitted.len() < batch.len() || self.ids == Ids::LookedUp {
            return Ok(None);
        }
        append::append_behind(&self.heads, &mut self.conn, admitted, crate::now(), moves).await
    }

    async fn append_and_refuse<'e>(
        &mut self,
        batch: &[Fed],
        verdicts: &[Verdict],
        admitted: &[&'e Event],
        moves: &CursorMoves,
    ) -> Result<Appended<'e>, IngestError> {
        append::make_partitions(&mut self.conn, admitted).await?;
        // A plan that was made while a partition was small would look each id up by reading the org from its first event.
        let mut tx = self.conn.begin_with("BEGIN; SET LOCAL plan_cache_mode = force_custom_plan").await?;
        let appended = append::append_read(&mut tx, admitted, crate::now(), self.ids, moves).await?;
        for Refused { delivery, refusal, .. } in refusals(batch, verdicts, &appended.outcomes) {
            dead_letter::store(&mut tx, self.stream.created_at, delivery, refusal).await?;
        }
        tx.commit().await?;
        Ok(appended)
    }

    /// Announces, counts and logs what was committed.
    async fn tell(&self, admitted: &[&Event], outcomes: &[Outcome], refused: &[Refused<'_>]) {
        let ranges = append::ranges(admitted, outcomes);
        let mut families = announce::families(admitted);
        for (org_id, (first, last)) in &ranges {
            counter!("runledger_appended_events_total").increment((last.get() - first.get() + 1) as u64);
            tracing::debug!(%org_id, %first, %last, "appended");
            self.announcer.appended(*org_id, Commit { first: *first, last: *last, families: families.remove(org_id) });
        }
        if ranges.values().any(|(first, _)| first.get() == 1) {
            self.org_registered.notify_one();
        }
        for Refused { delivery, event, refusal } in refused {
            let org_id = wire::org_of_subject(&delivery.subject);
            let org = org_id.map(tracing::field::display);
            let event_id = event.map(|event| event.event_id).as_ref().map(EventId::to_string);
            let run = event.map(|event| event.subject_id).as_ref().map(SubjectId::to_string);
            let subject = String::from_utf8_lossy(&delivery.subject);
            let (stream_seq, code, reason) = (delivery.stream_seq, refusal.code.as_str(), refusal.reason.as_str());
            counter!("runledger_refused_events_total", "code" => code).increment(1);
            match refusal.code {
                Code::Conflict => {
                    tracing::error!(org, event_id, run, ?subject, stream_seq, code, reason, "refused an event")
                }
                Code::OrgMismatch | Code::TypeMismatch => {
                    tracing::warn!(
                        org,
                        ?subject,
                        stream_seq,
                        code,
                        reason,
                        security = true,
                        "refused an event that claims to be another's"
                    );
                }
                _ => tracing::info!(org, event_id, run, ?subject, stream_seq, code, reason, "refused an event"),
            }
            self.announcer.refused(org_id, &delivery.subject, delivery.stream_seq, refusal).await;
        }
    }
}

/// A delivery that was refused, at the door or, when there is an event, by the ledger.
struct Refused<'a> {
    delivery: &'a Delivery,
    event: Option<&'a Event>,
    refusal: &'a Refusal,
}

fn refusals<'a>(batch: &'a [Fed], verdicts: &'a [Verdict], outcomes: &'a [Outcome]) -> Vec<Refused<'a>> {
    let mut outcomes = outcomes.iter();
    let mut refused = Vec::new();
    for (Fed { delivery, .. }, verdict) in batch.iter().zip(verdicts) {
        match verdict {
            Err(refusal) => refused.push(Refused { delivery, event: None, refusal }),
            Ok(event) => {
                if let Some(Outcome::Refused(refusal)) = outcomes.next() {
                    refused.push(Refused { delivery, event: Some(event), refusal });
                }
            }
        }
    }
    refused
}
