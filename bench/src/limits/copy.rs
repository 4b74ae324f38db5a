//! The limit of appending: the rows of the backlog by binary COPY, on one connection, in one transaction, into a table of
//! the ledger's columns, checks and indexes.
//!
//! The rows are encoded beforehand and read from a file, so that hardly anything but PostgreSQL is timed. They are those
//! that the ledger makes of the backlog, leaf hashes included, in the order of the stream.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Read, Seek, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use events::{
    Event,
    id::{OrgId, Seq},
};
use ledger::merkle;
use sqlx::{Executor, PgConnection};

use crate::{database::CaseDatabase, workload::Workload};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COLUMNS: i16 = 15;
/// Microseconds from 1970 to 2000, from which PostgreSQL counts.
const EPOCH_US: i64 = 946_684_800_000_000;
const CHUNK_BYTES: usize = 1 << 20;

/// Rows as COPY takes them, in a file that nobody else sees.
#[derive(Debug)]
pub struct CopyFile {
    file: Mutex<File>,
    rows: u64,
}

impl CopyFile {
    /// Encodes the workload.
    pub fn write(workload: &Workload) -> Result<Self> {
        let mut file = BufWriter::with_capacity(CHUNK_BYTES, tempfile::tempfile()?);
        file.write_all(SIGNATURE)?;
        let mut heads: HashMap<OrgId, Seq> = HashMap::new();
        let (mut row, recorded_at) = (Vec::new(), events::time::now());
        for event in workload.registrations()?.into_iter().map(Ok).chain(workload.events()) {
            let event = event?;
            let seq = heads.entry(event.org_id).or_insert(Seq::ZERO);
            *seq = seq.next();
            row.clear();
            encode(&mut row, &event, *seq, recorded_at);
            file.write_all(&row)?;
        }
        file.write_all(&(-1i16).to_be_bytes())?;
        let file = file.into_inner().map_err(|error| error.into_error())?;
        Ok(Self { file: Mutex::new(file), rows: workload.len_with_registrations() })
    }

    /// Loads the rows into a new table; gives the time from the first byte to the commit.
    pub async fn load(&self, database: &CaseDatabase) -> Result<Duration> {
        let mut conn = database.connect().await?;
        // A transaction of its own: rows that are copied into a table of the same transaction could go without a log.
        conn.execute("CREATE TABLE limit_event (LIKE ledger.event INCLUDING ALL)").await?;
        let began = Instant::now();
        let copied = self.send(&mut conn).await?;
        let took = began.elapsed();
        ensure!(copied == self.rows, "COPY took {copied} of {} rows", self.rows);
        Ok(took)
    }

    async fn send(&self, conn: &mut PgConnection) -> Result<u64> {
        let statement = "COPY limit_event (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version,
             leaf_hash, event_type, source, correlation_id, causation_id, traceparent, extensions, data)
             FROM STDIN WITH (FORMAT binary)";
        let mut copy = conn.copy_in_raw(statement).await?;
        self.chunk_from(0)?;
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(copy.finish().await?);
            }
            copy.send(chunk).await?;
        }
    }

    fn chunk_from(&self, place: u64) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(std::io::SeekFrom::Start(place))?;
        Ok(())
    }

    fn chunk(&self) -> Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&mut *file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }
}

fn encode(row: &mut Vec<u8>, event: &Event, seq: Seq, recorded_at: DateTime<Utc>) {
    row.extend(COLUMNS.to_be_bytes());
    let mut value = |bytes: Option<&[u8]>| match bytes {
        None => row.extend((-1i32).to_be_bytes()),
        Some(bytes) => {
            row.extend((bytes.len() as i32).to_be_bytes());
            row.extend(bytes);
        }
    };
    let micros = |time: DateTime<Utc>| (time.timestamp_micros() - EPOCH_US).to_be_bytes();
    value(Some(event.org_id.uuid().as_bytes()));
    value(Some(event.event_id.uuid().as_bytes()));
    value(Some(event.subject_id.uuid().as_bytes()));
    value(Some(&seq.get().to_be_bytes()));
    value(Some(&micros(event.occurred_at)));
    value(Some(&micros(recorded_at)));
    value(Some(&event.schema_version.to_be_bytes()));
    value(Some(&merkle::leaf_hash(event, seq, recorded_at)));
    value(Some(event.event_type.as_bytes()));
    value(Some(event.source.as_bytes()));
    for text in [&event.correlation_id, &event.causation_id, &event.traceparent, &event.extensions] {
        value(text.as_ref().map(String::as_bytes));
    }
    value(Some(event.data.as_bytes()));
}
