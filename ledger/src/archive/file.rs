//! The format of an archive file: Parquet, zstd, one row an event in the order of seq, every column of
//! `ledger.event` as it stands there. Payload and extensions are their exact bytes, times are whole
//! microseconds of UTC. The seqs have no gap, so a row's place tells its seq.
//!
//! The file's key-value metadata say whose events it holds: `runledger.archive` (the version of the format, 1),
//! `runledger.org_id`, `runledger.first_seq`, `runledger.last_seq`, and of the RFC 6962 tree over all leaves up to
//! the last, in hexadecimal digits, `runledger.frontier` (largest subtree first, separated by spaces) and
//! `runledger.root`.

mod column;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use chrono::DateTime;
use events::{
    Event, RecordedEvent,
    id::{EventId, OrgId, Seq, SubjectId},
};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArrayType, FixedLenByteArrayType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader},
        properties::WriterProperties,
        writer::SerializedFileWriter,
    },
    schema::{parser::parse_message_type, types::Type},
};
use sqlx::types::uuid::Uuid;

use self::column::{ColumnReaders, ColumnWriters};
use super::{ArchiveFile, FileError, store::Stored};
use crate::{
    merkle::{self, Frontier},
    read::Limit,
};

/// What a row group holds at most, and so what a reader has in memory.
pub const GROUP: Limit = Limit { events_max: 4_096, bytes_max: 8 << 20 };

const VERSION: &str = "1";

/// The footer of a file of a million events is a few hundred KiB.
const FOOTER_GUESS: u64 = 256 << 10;

const SCHEMA: &str = "
    message event {
        REQUIRED FIXED_LEN_BYTE_ARRAY (16) org_id (UUID);
        REQUIRED FIXED_LEN_BYTE_ARRAY (16) event_id (UUID);
        REQUIRED FIXED_LEN_BYTE_ARRAY (16) subject_id (UUID);
        REQUIRED INT64 seq;
        REQUIRED INT64 occurred_at (TIMESTAMP(MICROS,true));
        REQUIRED INT64 recorded_at (TIMESTAMP(MICROS,true));
        REQUIRED INT32 schema_version (INTEGER(16,true));
        REQUIRED FIXED_LEN_BYTE_ARRAY (32) leaf_hash;
        REQUIRED BYTE_ARRAY event_type (STRING);
        REQUIRED BYTE_ARRAY source (STRING);
        OPTIONAL BYTE_ARRAY correlation_id (STRING);
        OPTIONAL BYTE_ARRAY causation_id (STRING);
        OPTIONAL BYTE_ARRAY traceparent (STRING);
        OPTIONAL BYTE_ARRAY extensions (JSON);
        REQUIRED BYTE_ARRAY data (JSON);
    }";

fn schema() -> Result<Arc<Type>, ParquetError> {
    parse_message_type(SCHEMA).map(Arc::new)
}

/// Makes the bytes of a file, row group by row group.
pub(crate) struct Writer(SerializedFileWriter<Vec<u8>>);

impl Writer {
    pub(crate) fn new() -> Result<Self, ParquetError> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(properties)).map(Self)
    }

    /// Adds a row group and gives out the bytes that the file has grown by.
    pub(crate) fn write(&mut self, events: &[RecordedEvent]) -> Result<Vec<u8>, ParquetError> {
        let mut group = self.0.next_row_group()?;
        let mut columns = ColumnWriters::of(&mut group);
        let of = |text: &str| text.as_bytes().to_vec().into();
        let ids = |id: fn(&Event) -> Uuid| events.iter().map(move |e| id(&e.event).as_bytes().to_vec().into());
        columns.required::<FixedLenByteArrayType>(ids(|event| event.org_id.uuid()))?;
        columns.required::<FixedLenByteArrayType>(ids(|event| event.event_id.uuid()))?;
        columns.required::<FixedLenByteArrayType>(ids(|event| event.subject_id.uuid()))?;
        columns.required::<Int64Type>(events.iter().map(|e| e.seq.get()))?;
        columns.required::<Int64Type>(events.iter().map(|e| e.event.occurred_at.timestamp_micros()))?;
        columns.required::<Int64Type>(events.iter().map(|e| e.recorded_at.timestamp_micros()))?;
        columns.required::<Int32Type>(events.iter().map(|e| e.event.schema_version.into()))?;
        columns.required::<FixedLenByteArrayType>(events.iter().map(|e| e.leaf_hash.to_vec().into()))?;
        columns.required::<ByteArrayType>(events.iter().map(|e| of(&e.event.event_type)))?;
        columns.required::<ByteArrayType>(events.iter().map(|e| of(&e.event.source)))?;
        columns.optional(events.iter().map(|e| e.event.correlation_id.as_deref()))?;
        columns.optional(events.iter().map(|e| e.event.causation_id.as_deref()))?;
        columns.optional(events.iter().map(|e| e.event.traceparent.as_deref()))?;
        columns.optional(events.iter().map(|e| e.event.extensions.as_deref()))?;
        columns.required::<ByteArrayType>(events.iter().map(|e| of(&e.event.data)))?;
        group.close()?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.inner_mut()))
    }

    /// The last bytes of the file.
    pub(crate) fn finish(
        mut self,
        org_id: OrgId,
        first: Seq,
        last: Seq,
        tree: &Frontier,
    ) -> Result<Vec<u8>, ParquetError> {
        let frontier: Vec<String> = tree.roots().iter().map(|root| hex(root)).collect();
        for (key, value) in [
            ("runledger.archive", VERSION.to_owned()),
            ("runledger.org_id", org_id.to_string()),
            ("runledger.first_seq", first.to_string()),
            ("runledger.last_seq", last.to_string()),
            ("runledger.frontier", frontier.join(" ")),
            ("runledger.root", hex(&tree.root())),
        ] {
            self.0.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.0.into_inner()
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row group: so many events from `first` on, in these bytes of the file.
pub(crate) struct Group {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    range: Range<u64>,
}

/// A file that is open for reading.
pub(crate) struct Reader {
    stored: Stored,
    org_id: OrgId,
    metadata: Arc<ParquetMetaData>,
    /// Its row groups, in the order of seq.
    pub(crate) groups: Vec<Group>,
}

impl Reader {
    /// Opens the file and makes sure that it says it holds what the ledger knows of it.
    pub(crate) async fn open(file: &ArchiveFile) -> Result<Self, FileError> {
        let ArchiveFile { location, org_id, first, last, .. } = file;
        let (org_id, first, last) = (*org_id, *first, *last);
        let stored = Stored::new(location)?;
        let metadata = footer(&stored).await?;
        let other = |difference: String| FileError::Other { location: location.to_owned(), difference };
        if schema().ok().as_deref() != Some(metadata.file_metadata().schema()) {
            return Err(other("its columns are not those of events".to_owned()));
        }
        for (key, expected) in [
            ("runledger.archive", VERSION.to_owned()),
            ("runledger.org_id", org_id.to_string()),
            ("runledger.first_seq", first.to_string()),
            ("runledger.last_seq", last.to_string()),
        ] {
            let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
            let found = pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.clone());
            if found.as_ref() != Some(&expected) {
                return Err(other(format!("its {key} is {}, not {expected}", found.as_deref().unwrap_or("missing"))));
            }
        }
        let groups = groups(&metadata, first);
        if groups.last().map(|group| group.last) != Some(last) {
            return Err(other("the number of its rows is not that of its seqs".to_owned()));
        }
        Ok(Self { stored, org_id, metadata: Arc::new(metadata), groups })
    }

    /// The event at this seq is not the one that the ledger knows.
    pub(crate) fn disagreement(&self, seq: Seq) -> FileError {
        FileError::Disagrees { location: self.stored.location().to_owned(), seq }
    }

    /// The events of a row group, each of them as its leaf hash says.
    pub(crate) async fn read(&self, index: usize) -> Result<Vec<RecordedEvent>, FileError> {
        let group = &self.groups[index];
        let bytes = self.stored.range(group.range.clone()).await?;
        let (metadata, org_id, start, first) = (self.metadata.clone(), self.org_id, group.range.start, group.first);
        let decode = move || decode(&metadata, index, start, bytes, org_id, first);
        let decoded = tokio::task::spawn_blocking(decode).await;
        let location = || self.stored.location().to_owned();
        match decoded {
            Ok(Ok(events)) => Ok(events),
            Ok(Err(Undecodable::Row(seq))) => Err(FileError::Damaged { location: location(), seq }),
            // Which row it is that spoils the group cannot be said.
            Ok(Err(Undecodable::Group(error))) => {
                tracing::error!(location = location(), %first, %error, "a row group of an archive file cannot be decoded");
                Err(FileError::Damaged { location: location(), seq: first })
            }
            Err(panic) => {
                tracing::error!(location = location(), %first, %panic, "a row group of an archive file cannot be decoded");
                Err(FileError::Damaged { location: location(), seq: first })
            }
        }
    }
}

async fn footer(stored: &Stored) -> Result<ParquetMetaData, FileError> {
    let location = stored.location();
    let unreadable =
        |error: ParquetError| FileError::Unreadable { location: location.to_owned(), error: Box::new(error) };
    let truncated = || unreadable(ParquetError::General("it is no Parquet file, or not all of one".to_owned()));
    let (mut end, bytes) = stored.end(FOOTER_GUESS).await?;
    // The footer, its length, and four letters.
    let tail = end.len().checked_sub(8).map(|at| &end[at..]).ok_or_else(truncated)?;
    let length = tail[..4].try_into().map(u32::from_le_bytes).map_err(|_| truncated())?;
    if &tail[4..] != b"PAR1" || u64::from(length) + 8 > bytes {
        return Err(truncated());
    }
    let from_end = length as usize + 8;
    if from_end > end.len() {
        end = stored.range(bytes - from_end as u64..bytes).await?;
    }
    let footer = &end[end.len() - from_end..end.len() - 8];
    ParquetMetaDataReader::decode_metadata(footer).map_err(unreadable)
}

fn groups(metadata: &ParquetMetaData, first: Seq) -> Vec<Group> {
    let mut next = first;
    let group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let ranges = group.columns().iter().map(|column| column.byte_range());
        let (start, end) = ranges
            .fold((u64::MAX, 0), |(start, end), (at, length)| (start.min(at), end.max(at.saturating_add(length))));
        let first = next;
        next = Seq::new(first.get().saturating_add(group.num_rows().max(0)));
        Group { first, last: Seq::new(next.get() - 1), range: start.min(end)..end }
    };
    metadata.row_groups().iter().map(group).collect()
}

/// Why a row group gives no events.
enum Undecodable {
    /// The bytes are no row group.
    Group(ParquetError),
    /// This row is not what was written.
    Row(Seq),
}

impl From<ParquetError> for Undecodable {
    fn from(error: ParquetError) -> Self {
        Self::Group(error)
    }
}

fn decode(
    metadata: &ParquetMetaData,
    index: usize,
    start: u64,
    bytes: Bytes,
    org_id: OrgId,
    first: Seq,
) -> Result<Vec<RecordedEvent>, Undecodable> {
    let mut columns = ColumnReaders::of(metadata.row_group(index), start, bytes);
    let mut org_ids = columns.required::<FixedLenByteArrayType>()?.into_iter();
    let mut event_ids = columns.required::<FixedLenByteArrayType>()?.into_iter();
    let mut subject_ids = columns.required::<FixedLenByteArrayType>()?.into_iter();
    let mut seqs = columns.required::<Int64Type>()?.into_iter();
    let mut occurred_ats = columns.required::<Int64Type>()?.into_iter();
    let mut recorded_ats = columns.required::<Int64Type>()?.into_iter();
    let mut schema_versions = columns.required::<Int32Type>()?.into_iter();
    let mut leaf_hashes = columns.required::<FixedLenByteArrayType>()?.into_iter();
    let mut event_types = columns.required::<ByteArrayType>()?.into_iter();
    let mut sources = columns.required::<ByteArrayType>()?.into_iter();
    let mut correlation_ids = columns.optional()?.into_iter();
    let mut causation_ids = columns.optional()?.into_iter();
    let mut traceparents = columns.optional()?.into_iter();
    let mut extensions = columns.optional()?.into_iter();
    let mut data = columns.required::<ByteArrayType>()?.into_iter();
    // Every column has as many values as the group has rows. A row that is none is not what was written.
    let mut row = |seq: Seq| -> Option<RecordedEvent> {
        let uuid = |value: Option<parquet::data_type::FixedLenByteArray>| Uuid::from_slice(value?.data()).ok();
        let text = |value: parquet::data_type::ByteArray| String::from_utf8(value.data().to_vec()).ok();
        let optional = |value: Option<Option<parquet::data_type::ByteArray>>| match value? {
            Some(value) => text(value).map(Some),
            None => Some(None),
        };
        let time = |micros: Option<i64>| DateTime::from_timestamp_micros(micros?);
        // All are taken, so that the columns stay beside each other.
        let (org, event_id, subject_id) = (uuid(org_ids.next()), uuid(event_ids.next()), uuid(subject_ids.next()));
        let (stored_seq, occurred_at, recorded_at) =
            (seqs.next(), time(occurred_ats.next()), time(recorded_ats.next()));
        let (schema_version, leaf_hash) = (schema_versions.next(), leaf_hashes.next());
        let (event_type, source) = (event_types.next().and_then(text), sources.next().and_then(text));
        let (correlation_id, causation_id) = (optional(correlation_ids.next()), optional(causation_ids.next()));
        let (traceparent, extensions) = (optional(traceparents.next()), optional(extensions.next()));
        let data = data.next().and_then(text);
        if stored_seq != Some(seq.get()) || org != Some(org_id.uuid()) {
            return None;
        }
        let event = Event {
            org_id,
            event_id: EventId::try_from(event_id?).ok()?,
            event_type: event_type?,
            schema_version: schema_version?.try_into().ok()?,
            subject_id: SubjectId::try_from(subject_id?).ok()?,
            source: source?,
            occurred_at: occurred_at?,
            correlation_id: correlation_id?,
            causation_id: causation_id?,
            traceparent: traceparent?,
            extensions: extensions?,
            data: data?.into(),
        };
        let leaf_hash = leaf_hash?.data().try_into().ok()?;
        let recorded = RecordedEvent { seq, recorded_at: recorded_at?, leaf_hash, event };
        (merkle::leaf_hash(&recorded.event, seq, recorded.recorded_at) == leaf_hash).then_some(recorded)
    };
    let mut events = Vec::new();
    let mut seq = first;
    for _ in 0..metadata.row_group(index).num_rows() {
        events.push(row(seq).ok_or(Undecodable::Row(seq))?);
        seq = seq.next();
    }
    Ok(events)
}
