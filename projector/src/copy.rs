//! Rows as PostgreSQL's binary COPY takes them: how a rebuild loads tables that have no indexes and no
//! row-level security yet. Format: PostgreSQL's documentation of COPY, "Binary Format".

use chrono::{DateTime, Utc};
use half::f16;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Microseconds from 1970 to 2000, from which PostgreSQL counts.
const EPOCH_US: i64 = 946_684_800_000_000;
const TEXT_OID: u32 = 25;

/// A column: its name, and how a row's value is written.
pub type Column<Row> = (&'static str, fn(&Row, &mut Value<'_>));

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The table, without a schema.
    pub table: &'static str,
    columns: Vec<&'static str>,
    data: Vec<u8>,
    on_trial: bool,
}

impl Copy {
    /// Encodes the rows.
    pub fn of<Row>(table: &'static str, columns: &[Column<Row>], rows: &[Row]) -> Self {
        let mut data = SIGNATURE.to_vec();
        for row in rows {
            data.extend((columns.len() as i16).to_be_bytes());
            for (_, write) in columns {
                write(row, &mut Value(&mut data));
            }
        }
        data.extend((-1i16).to_be_bytes());
        Self { table, columns: columns.iter().map(|(name, _)| *name).collect(), data, on_trial: false }
    }

    /// The same, only to see whether PostgreSQL takes the rows: [`load`](Self::load) leaves none of them.
    pub fn on_trial(self) -> Self {
        Self { on_trial: true, ..self }
    }

    /// Loads the rows into the table of this name in `schema`.
    ///
    /// # Errors
    /// When PostgreSQL fails or refuses a row.
    pub async fn load(self, schema: &str, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.on_trial {
            return self.send(schema, conn).await;
        }
        let mut trial = conn.begin().await?;
        self.send(schema, &mut trial).await?;
        trial.rollback().await
    }

    async fn send(self, schema: &str, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let statement =
            format!("COPY {schema}.{} ({}) FROM STDIN WITH (FORMAT binary)", self.table, self.columns.join(", "));
        let mut copy = conn.copy_in_raw(&statement).await?;
        copy.send(self.data).await?;
        copy.finish().await?;
        Ok(())
    }
}

/// Where a value goes. Each column writes one value of its type, or null.
pub struct Value<'a>(&'a mut Vec<u8>);

impl Value<'_> {
    /// A `uuid`.
    pub fn uuid(&mut self, value: impl Into<Option<Uuid>>) {
        self.bytes(value.into().as_ref().map(|uuid| uuid.as_bytes().as_slice()));
    }

    /// A `text`.
    pub fn text<'t>(&mut self, value: impl Into<Option<&'t str>>) {
        self.bytes(value.into().map(str::as_bytes));
    }

    /// A `jsonb`.
    pub fn jsonb<'t>(&mut self, value: impl Into<Option<&'t str>>) {
        const VERSION: u8 = 1;
        self.parts(value.into().map(|json| [&[VERSION], json.as_bytes()]));
    }

    /// An `int`.
    pub fn int(&mut self, value: impl Into<Option<i32>>) {
        self.bytes(value.into().map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
    }

    /// A `bigint`.
    pub fn bigint(&mut self, value: impl Into<Option<i64>>) {
        self.bytes(value.into().map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    }

    /// A `timestamptz`.
    pub fn timestamptz(&mut self, value: impl Into<Option<DateTime<Utc>>>) {
        self.bigint(value.into().map(|time| time.timestamp_micros() - EPOCH_US));
    }

    /// A `bytea`.
    pub fn bytea<'b>(&mut self, value: impl Into<Option<&'b [u8; 32]>>) {
        self.bytes(value.into().map(<[u8; 32]>::as_slice));
    }

    /// A `halfvec`: its dimensions, two bytes of nothing, and its numbers in 16 bits.
    pub fn halfvec<'v>(&mut self, value: impl Into<Option<&'v [f32]>>) {
        let bytes = value.into().map(|numbers| {
            let numbers = numbers.iter().map(|number| f16::from_f32(*number).to_bits());
            [numbers.len() as u16, 0].into_iter().chain(numbers).flat_map(u16::to_be_bytes).collect::<Vec<_>>()
        });
        self.bytes(bytes.as_deref());
    }

    /// A `text[]`.
    pub fn text_array<'t>(&mut self, values: impl ExactSizeIterator<Item = &'t str>) {
        let length = self.0.len();
        self.0.extend([0; 4]);
        let start = self.0.len();
        let dimensions = i32::from(values.len() > 0);
        self.0.extend([dimensions, 0, TEXT_OID as i32].into_iter().flat_map(i32::to_be_bytes));
        if dimensions > 0 {
            self.0.extend([values.len() as i32, 1].into_iter().flat_map(i32::to_be_bytes));
        }
        values.for_each(|value| self.text(value));
        let bytes = (self.0.len() - start) as i32;
        self.0[length..start].copy_from_slice(&bytes.to_be_bytes());
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.parts(value.map(|bytes| [&[], bytes]));
    }

    fn parts(&mut self, value: Option<[&[u8]; 2]>) {
        match value {
            None => self.0.extend((-1i32).to_be_bytes()),
            Some([first, second]) => {
                self.0.extend(((first.len() + second.len()) as i32).to_be_bytes());
                self.0.extend(first);
                self.0.extend(second);
            }
        }
    }
}
