//! Each trace with all that belongs to it: the tables merged by `trace_id`, which all of them are read in the order of.
//! A row whose trace is not there shows when its turn has passed.

use std::collections::VecDeque;

use super::{
    LegacyError, Shape, Source,
    row::Row,
    table::{BINDINGS, CONTEXT, ENDPOINTS, EVENTS, SCREENSHOTS, STEPS, TRACE, Table},
};

/// What the merge comes upon.
pub enum Item {
    Trace(Box<Trace>),
    /// A row of whose `trace_id` there is no trace.
    Orphan(Row),
    /// A trace without, or with another's, `trace_id`: the code and the reason.
    NoTrace(Row, &'static str, &'static str),
}

/// A trace and its rows in the other tables, in the order of their keys. Held in memory as a whole.
pub struct Trace {
    pub row: Row,
    children: Vec<Row>,
}

impl Trace {
    pub fn new(row: Row, children: Vec<Row>) -> Self {
        Self { row, children }
    }

    pub fn steps(&self) -> impl Iterator<Item = &Row> {
        self.of(&STEPS)
    }

    pub fn events(&self) -> impl Iterator<Item = &Row> {
        self.of(&EVENTS)
    }

    pub fn screenshots(&self) -> impl Iterator<Item = &Row> {
        self.of(&SCREENSHOTS)
    }

    pub fn context(&self) -> impl Iterator<Item = &Row> {
        self.of(&CONTEXT)
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &Row> {
        self.of(&ENDPOINTS)
    }

    pub fn bindings(&self) -> impl Iterator<Item = &Row> {
        self.of(&BINDINGS)
    }

    fn of(&self, table: &'static Table) -> impl Iterator<Item = &Row> {
        self.children.iter().filter(move |row| row.table.name == table.name)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        [&self.row].into_iter().chain(&self.children)
    }
}

/// The merge.
pub struct Traces<'s> {
    source: &'s mut Source,
    traces: Cursor,
    children: Vec<Cursor>,
    last_trace_id: Option<i64>,
}

impl<'s> Traces<'s> {
    /// From the first trace on.
    pub async fn begin(source: &'s mut Source) -> Result<Self, LegacyError> {
        source.rewind().await?;
        let (traces, children) = source
            .shapes()
            .iter()
            .cloned()
            .map(Cursor::new)
            .partition::<Vec<_>, _>(|it| it.shape.table.name == TRACE.name);
        let Some(traces) = traces.into_iter().next() else {
            unreachable!("the source has a shape of every table, of absent ones too")
        };
        Ok(Self { source, traces, children, last_trace_id: None })
    }

    pub async fn next(&mut self) -> Result<Option<Item>, LegacyError> {
        let next_trace = self.traces.peek(self.source).await?.map(Row::trace_id);
        for children in &mut self.children {
            // Rows without a `trace_id` are the last of their table, and so is a trace without one.
            let is_orphan = |child: &Row| match (child.trace_id(), next_trace) {
                (Some(child), Some(Some(trace))) => child < trace,
                (None, Some(Some(_))) => false,
                _ => true,
            };
            if children.peek(self.source).await?.is_some_and(is_orphan) {
                return Ok(children.buffer.pop_front().map(Item::Orphan));
            }
        }
        let Some(row) = self.traces.buffer.pop_front() else { return Ok(None) };
        let Some(trace_id) = row.trace_id() else {
            return Ok(Some(Item::NoTrace(row, "no_key", "its trace_id is null")));
        };
        if self.last_trace_id.replace(trace_id) == Some(trace_id) {
            return Ok(Some(Item::NoTrace(row, "duplicate_key", "another row has its trace_id")));
        }
        let mut of_trace = Vec::new();
        for children in &mut self.children {
            while children.peek(self.source).await?.is_some_and(|child| child.trace_id() == Some(trace_id)) {
                of_trace.extend(children.buffer.pop_front());
            }
        }
        Ok(Some(Item::Trace(Box::new(Trace::new(row, of_trace)))))
    }
}

/// A table on its way past.
struct Cursor {
    shape: Shape,
    buffer: VecDeque<Row>,
    is_done: bool,
}

impl Cursor {
    fn new(shape: Shape) -> Self {
        Self { shape, buffer: VecDeque::new(), is_done: false }
    }

    async fn peek(&mut self, source: &mut Source) -> Result<Option<&Row>, LegacyError> {
        if self.buffer.is_empty() && !self.is_done {
            self.buffer = source.fetch(&self.shape).await?.into();
            self.is_done = self.buffer.is_empty();
        }
        Ok(self.buffer.front())
    }
}
