//! Rewrites an archive file with one payload changed, as a forger would who leaves the rest as it is, or who makes the
//! leaf hash fit.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    column::{
        reader::{ColumnReader, ColumnReaderImpl},
        writer::ColumnWriterImpl,
    },
    data_type::DataType,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
};

/// Replaces the payload of the row at `index`.
pub fn replace_data(path: &Path, index: usize, data: &str) {
    replace(path, index, data, None);
}

/// Replaces the payload of the row at `index`, and its leaf hash by one.
pub fn replace(path: &Path, index: usize, data: &str, leaf_hash: Option<[u8; 32]>) {
    let forged = path.with_extension("forged");
    let original = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let metadata = original.metadata().file_metadata();
    let properties = WriterProperties::builder().set_key_value_metadata(metadata.key_value_metadata().cloned()).build();
    let schema = metadata.schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(File::create(&forged).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut seen = 0;
    for group in 0..original.num_row_groups() {
        let group = original.get_row_group(group).unwrap();
        let rows = group.metadata().num_rows() as usize;
        let mut copy = writer.next_row_group().unwrap();
        for column in 0..group.num_columns() {
            let metadata = group.metadata().column(column).clone();
            let is_data = metadata.column_descr().name() == "data";
            let leaf_hash = leaf_hash.filter(|_| metadata.column_descr().name() == "leaf_hash");
            let mut to = copy.next_column().unwrap().unwrap();
            match group.get_column_reader(column).unwrap() {
                ColumnReader::Int32ColumnReader(from) => copy_column(from, to.typed(), rows, |_| ()),
                ColumnReader::Int64ColumnReader(from) => copy_column(from, to.typed(), rows, |_| ()),
                ColumnReader::FixedLenByteArrayColumnReader(from) => copy_column(from, to.typed(), rows, |values| {
                    if let Some(leaf_hash) = leaf_hash.filter(|_| (seen..seen + rows).contains(&index)) {
                        values[index - seen] = leaf_hash.to_vec().into();
                    }
                }),
                ColumnReader::ByteArrayColumnReader(from) => copy_column(from, to.typed(), rows, |values| {
                    if is_data && (seen..seen + rows).contains(&index) {
                        values[index - seen] = data.as_bytes().to_vec().into();
                    }
                }),
                _ => panic!("an archive has no such column"),
            }
            to.close().unwrap();
        }
        copy.close().unwrap();
        seen += rows;
    }
    assert!(index < seen, "there is no such row");
    writer.close().unwrap();
    std::fs::rename(forged, path).unwrap();
}

fn copy_column<T: DataType>(
    mut from: ColumnReaderImpl<T>,
    to: &mut ColumnWriterImpl<'_, T>,
    rows: usize,
    change: impl FnOnce(&mut Vec<T::T>),
) {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        read += from.read_records(rows - read, Some(&mut levels), None, &mut values).unwrap().0;
    }
    change(&mut values);
    to.write_batch(&values, (!levels.is_empty()).then_some(&levels[..]), None).unwrap();
}
