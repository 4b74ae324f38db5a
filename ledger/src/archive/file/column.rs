//! Columns of a row group, one after the other: Rust values to pages and back.

use std::{io::Write, sync::Arc};

use bytes::{Buf, Bytes};
use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, ByteArrayType, DataType},
    errors::{ParquetError, Result},
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
        writer::SerializedRowGroupWriter,
    },
};

/// Writes the columns of a row group in the order of the schema.
pub(super) struct ColumnWriters<'g, 'f, W: Write>(&'g mut SerializedRowGroupWriter<'f, W>);

impl<'g, 'f, W: Write + Send> ColumnWriters<'g, 'f, W> {
    pub(super) fn of(group: &'g mut SerializedRowGroupWriter<'f, W>) -> Self {
        Self(group)
    }

    /// The next column, which has a value in every row.
    pub(super) fn required<T: DataType>(&mut self, values: impl Iterator<Item = T::T>) -> Result<()> {
        self.write::<T>(&values.collect::<Vec<_>>(), None)
    }

    /// The next column, which has text in some rows.
    pub(super) fn optional<'t>(&mut self, texts: impl Iterator<Item = Option<&'t str>> + Clone) -> Result<()> {
        let levels: Vec<i16> = texts.clone().map(|text| text.is_some().into()).collect();
        let values: Vec<ByteArray> = texts.flatten().map(|text| text.as_bytes().to_vec().into()).collect();
        self.write::<ByteArrayType>(&values, Some(&levels))
    }

    fn write<T: DataType>(&mut self, values: &[T::T], levels: Option<&[i16]>) -> Result<()> {
        let column = self.0.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("the schema has fewer columns".to_owned()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

/// Reads the columns of a row group in the order of the schema, from the group's bytes.
pub(super) struct ColumnReaders<'m> {
    group: &'m RowGroupMetaData,
    bytes: Arc<Part>,
    next: usize,
}

impl<'m> ColumnReaders<'m> {
    /// `bytes` are those of the file from `start` on, to the end of the group.
    pub(super) fn of(group: &'m RowGroupMetaData, start: u64, bytes: Bytes) -> Self {
        Self { group, bytes: Arc::new(Part { start, bytes }), next: 0 }
    }

    /// The next column, which has a value in every row.
    pub(super) fn required<T: DataType>(&mut self) -> Result<Vec<T::T>> {
        let (values, _) = self.read::<T>()?;
        Ok(values)
    }

    /// The next column, which has text in some rows.
    pub(super) fn optional(&mut self) -> Result<Vec<Option<ByteArray>>> {
        let (values, levels) = self.read::<ByteArrayType>()?;
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
    }

    fn read<T: DataType>(&mut self) -> Result<(Vec<T::T>, Vec<i16>)> {
        let column = self.group.column(self.next);
        self.next += 1;
        let rows = usize::try_from(self.group.num_rows()).unwrap_or_default();
        let pages = SerializedPageReader::new(self.bytes.clone(), column, rows, None)?;
        let mut reader = ColumnReaderImpl::<T>::new(column.column_descr_ptr(), Box::new(pages));
        let is_optional = column.column_descr().max_def_level() > 0;
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let mut read = 0;
        while read < rows {
            let (records, ..) =
                reader.read_records(rows - read, is_optional.then_some(&mut levels), None, &mut values)?;
            if records == 0 {
                return Err(ParquetError::EOF(format!("a column ends after {read} of {rows} rows")));
            }
            read += records;
        }
        Ok((values, levels))
    }
}

/// A part of a file, addressed as in the whole.
struct Part {
    start: u64,
    bytes: Bytes,
}

impl Part {
    fn from(&self, at: u64) -> Result<Bytes> {
        let outside = || ParquetError::EOF("a page lies outside its row group".to_owned());
        let at = at.checked_sub(self.start).and_then(|at| usize::try_from(at).ok()).ok_or_else(outside)?;
        if at <= self.bytes.len() { Ok(self.bytes.slice(at..)) } else { Err(outside()) }
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page reaches beyond its row group".to_owned()));
        }
        Ok(bytes.split_to(length))
    }
}
