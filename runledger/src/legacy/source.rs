//! The old database: which tables it has, and their rows. All SQL that it sees stands here.
//!
//! Everything is read in one REPEATABLE READ READ ONLY transaction, so whatever the old system does meanwhile, what
//! is imported and what is reconciled are one state of it; and nothing is ever written. Each table is read by a cursor,
//! in the order of `trace_id`, so that memory does not grow with the tables, and of a value comes no more than shows
//! that it is too long. Types matter little: columns come as the text that PostgreSQL has for them, times in UTC.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row as _, ValueRef, postgres::PgConnectOptions, raw_sql,
};

use super::{
    LegacyError,
    row::{Row, VALUE_BYTES_MAX},
    table::Table,
};

/// Rows are fetched so many at a time.
const ROWS_AT_ONCE: usize = 100;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);

/// A table as the old database has it.
#[derive(Clone, Debug)]
pub struct Shape {
    pub table: &'static Table,
    /// Those of its columns that are there; none of an absent table.
    pub present: Vec<&'static str>,
    /// Those that hold arrays, which are read as JSON.
    arrays: Vec<&'static str>,
    /// Columns that have no meaning here.
    pub extra: Vec<String>,
}

impl Shape {
    pub fn is_absent(&self) -> bool {
        self.present.is_empty()
    }
}

/// A connection to the old database, in its one transaction.
pub struct Source {
    conn: PgConnection,
    place: String,
    schema: String,
    shapes: Vec<Shape>,
}

impl Source {
    /// Connects, begins the transaction and looks at the tables.
    pub async fn open(url: &str, schema: &str, tables: &[&'static Table]) -> Result<Self, LegacyError> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let options = PgConnectOptions::from_str(url).ok();
        let options = options.filter(|_| matches!(scheme, Some("postgres" | "postgresql"))).ok_or(LegacyError::Url)?;
        let options = options.application_name("runledger import").disable_statement_logging();
        let database = options.get_database().unwrap_or("the default database");
        let place = format!("{database} at {}:{}", options.get_host(), options.get_port());
        let unusable = |source| LegacyError::Connect { place: place.clone(), source };
        let connecting = tokio::time::timeout(CONNECT_TIME_MAX, options.connect()).await;
        let mut conn = connecting.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut)).map_err(unusable)?;
        // The same rows have to give the same texts, wherever they are read; and nothing may end what takes long.
        let settings = "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO';
                        SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;
                        SET client_encoding = 'UTF8'; SET statement_timeout = 0; SET lock_timeout = 0;
                        SET idle_in_transaction_session_timeout = 0; SET cursor_tuple_fraction = 1.0";
        conn.execute(raw_sql(settings)).await.map_err(unusable)?;
        conn.execute(raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await.map_err(unusable)?;
        let mut source = Self { conn, place, schema: schema.to_owned(), shapes: Vec::new() };
        for table in tables {
            let shape = source.shape(table).await?;
            source.shapes.push(shape);
        }
        if source.shapes.iter().all(Shape::is_absent) {
            let tables: Vec<_> = tables.iter().map(|table| table.name).collect();
            let tables = tables.join(", ");
            return Err(LegacyError::NoTables { schema: source.schema, place: source.place, tables });
        }
        Ok(source)
    }

    /// The old tables, in the order given.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    async fn shape(&mut self, table: &'static Table) -> Result<Shape, LegacyError> {
        let columns = "SELECT a.attname::text, t.typname::text, c.relkind = 'v' AND pg_get_viewdef(c.oid) LIKE '%user_workflow_run%'
             FROM pg_catalog.pg_attribute a
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
             WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum";
        let columns = sqlx::query_as::<_, (String, String, bool)>(columns).bind(&self.schema).bind(table.name);
        let columns = columns.fetch_all(&mut self.conn).await.map_err(Self::failed(table.name))?;
        let mut shape = Shape { table, present: Vec::new(), arrays: Vec::new(), extra: Vec::new() };
        if columns.is_empty() {
            return Ok(shape);
        }
        let schema = || self.schema.clone();
        if columns.iter().any(|(_, _, is_own_view)| *is_own_view) {
            return Err(LegacyError::OwnView { schema: schema(), table: table.name });
        }
        for column in table.columns {
            match columns.iter().find(|(name, _, _)| name == column.name) {
                Some((_, data_type, _)) if column.is_integer && !matches!(&**data_type, "int2" | "int4" | "int8") => {
                    let (column, data_type) = (column.name, data_type.clone());
                    return Err(LegacyError::NoInteger { schema: schema(), table: table.name, column, data_type });
                }
                Some((_, data_type, _)) => {
                    shape.present.push(column.name);
                    shape.arrays.extend(data_type.starts_with('_').then_some(column.name));
                }
                None if column.is_required => {
                    return Err(LegacyError::NoColumn { schema: schema(), table: table.name, column: column.name });
                }
                None => {}
            }
        }
        let names = columns.into_iter().map(|(name, _, _)| name);
        shape.extra = names.filter(|name| !shape.present.contains(&name.as_str())).collect();
        Ok(shape)
    }

    fn failed(what: &str) -> impl FnOnce(sqlx::Error) -> LegacyError {
        move |source| LegacyError::Read { what: what.to_owned(), source }
    }

    /// How many rows the table has.
    pub async fn count(&mut self, shape: &Shape) -> Result<u64, LegacyError> {
        if shape.is_absent() {
            return Ok(0);
        }
        let count = format!("SELECT count(*) FROM {}", self.name(shape));
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).persistent(false);
        Ok(count.fetch_one(&mut self.conn).await.map_err(Self::failed(shape.table.name))?.unsigned_abs())
    }

    /// Begins to read all tables, from their first rows on.
    pub async fn rewind(&mut self) -> Result<(), LegacyError> {
        let declared = self.shapes.iter().filter(|shape| !shape.is_absent());
        let declare = declared
            .map(|shape| format!("DECLARE old_{} NO SCROLL CURSOR FOR {};", shape.table.name, self.select(shape)));
        let declare = format!("CLOSE ALL; {}", declare.collect::<String>());
        self.conn.execute(raw_sql(AssertSqlSafe(declare))).await.map_err(Self::failed("the schema"))?;
        Ok(())
    }

    /// The next rows of a table; none at its end.
    pub async fn fetch(&mut self, shape: &Shape) -> Result<Vec<Row>, LegacyError> {
        if shape.is_absent() {
            return Ok(Vec::new());
        }
        let table = shape.table;
        let fetch = format!("FETCH FORWARD {ROWS_AT_ONCE} FROM old_{}", table.name);
        let row = |row: sqlx::postgres::PgRow| -> Result<Row, sqlx::Error> {
            let mut fields = BTreeMap::new();
            for (place, name) in shape.present.iter().enumerate() {
                if let Some(bytes) = bytes(&row, place)? {
                    fields.insert(*name, bytes);
                }
            }
            let extra = if is_extra_kept(shape) { bytes(&row, shape.present.len())? } else { None };
            Ok(Row::new(table, fields, extra))
        };
        // One by one: a row drops what is too long before the next one comes.
        let rows = raw_sql(AssertSqlSafe(fetch)).fetch(&mut self.conn).and_then(async |found| row(found));
        rows.try_collect().await.map_err(Self::failed(table.name))
    }

    fn name(&self, shape: &Shape) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(shape.table.name))
    }

    fn select(&self, shape: &Shape) -> String {
        let text = |name: &&str| match shape.arrays.contains(name) {
            true => cut(&format!("to_json(t.{})::text", quoted(name))),
            false => cut(&format!("t.{}::text", quoted(name))),
        };
        let mut columns: Vec<_> = shape.present.iter().map(text).collect();
        if is_extra_kept(shape) {
            // Not `jsonb`, which fails on what the door refuses row by row.
            let extra: Vec<_> = shape.extra.iter().map(|name| format!("t.{}", quoted(name))).collect();
            columns.push(cut(&format!("(SELECT row_to_json(x)::text FROM (SELECT {}) x)", extra.join(", "))));
        }
        // Rows without a trace come last.
        let order = shape.table.order.iter().chain([&shape.table.key]).filter(|name| shape.present.contains(name));
        let order: Vec<_> = order.map(|name| format!("t.{} NULLS LAST", quoted(name))).collect();
        format!("SELECT {} FROM {} t ORDER BY {}", columns.join(", "), self.name(shape), order.join(", "))
    }
}

/// No more of a text than shows that it is too long.
fn cut(text: &str) -> String {
    format!("left({text}, {})", VALUE_BYTES_MAX + 1)
}

fn is_extra_kept(shape: &Shape) -> bool {
    shape.table.keeps_extra && !shape.extra.is_empty()
}

fn bytes(row: &sqlx::postgres::PgRow, place: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let value = row.try_get_raw(place)?;
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
