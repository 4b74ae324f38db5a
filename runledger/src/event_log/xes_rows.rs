//! The events of an XES file as rows: an event's attributes by their names, its trace's with `case:`
//! before them. Attributes within attributes, and lists, are passed over.

use std::sync::Arc;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{LogError, Reject, Row, source::Source};

pub struct XesRows {
    reader: Reader<Source>,
    buffer: Vec<u8>,
    /// The names of the elements that lie open, without their prefix.
    open: Vec<String>,
    trace: Vec<(Arc<str>, String)>,
    event: Vec<(Arc<str>, String)>,
    event_line: u64,
}

impl XesRows {
    pub fn begin(source: Source) -> Self {
        let reader = Reader::from_reader(source);
        Self { reader, buffer: Vec::new(), open: Vec::new(), trace: Vec::new(), event: Vec::new(), event_line: 0 }
    }

    pub fn next(&mut self) -> Result<Option<Result<Row, Reject>>, LogError> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().next_piece();
            let line = self.reader.get_ref().line();
            match self.reader.read_event_into(&mut self.buffer) {
                Ok(Event::Start(element)) => {
                    let element = element.into_owned();
                    self.begin_element(&element, line)?;
                    self.open.push(local_name(&element));
                }
                Ok(Event::Empty(element)) => {
                    let element = element.into_owned();
                    self.begin_element(&element, line)?;
                }
                Ok(Event::End(_)) => {
                    let ended = self.open.pop();
                    if ended.as_deref() == Some("event") && self.is_in(&["log", "trace"]) {
                        return Ok(Some(Ok(self.row())));
                    }
                }
                Ok(Event::Eof) if self.open.is_empty() => return Ok(None),
                Ok(Event::Eof) => return Err(self.fault(&format!("it ends within <{}>", self.open.join("><")))),
                Ok(_) => {}
                Err(quick_xml::Error::Io(error)) => {
                    let error = std::io::Error::new(error.kind(), error.to_string());
                    return Err(self.reader.get_ref().fault(error));
                }
                Err(error) => return Err(self.fault(&error.to_string())),
            }
        }
    }

    fn is_in(&self, path: &[&str]) -> bool {
        self.open.iter().eq(path.iter())
    }

    fn begin_element(&mut self, element: &BytesStart<'_>, line: u64) -> Result<(), LogError> {
        if self.is_in(&["log"]) {
            self.trace.clear();
        } else if self.is_in(&["log", "trace"]) && local_name(element) == "event" {
            self.event.clear();
            self.event_line = line;
        } else if self.is_in(&["log", "trace"]) {
            let attribute = self.attribute(element)?;
            self.trace.extend(attribute.map(|(key, value)| (format!("case:{key}").into(), value)));
        } else if self.is_in(&["log", "trace", "event"]) {
            let attribute = self.attribute(element)?;
            self.event.extend(attribute.map(|(key, value)| (key.into(), value)));
        }
        Ok(())
    }

    /// The key and the value that an element such as `<string key="…" value="…"/>` has, if it has.
    fn attribute(&self, element: &BytesStart<'_>) -> Result<Option<(String, String)>, LogError> {
        let read = |name| -> Result<Option<String>, LogError> {
            let found = element.try_get_attribute(name).map_err(|error| self.fault(&error.to_string()))?;
            let value = found
                .map(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).map(|value| value.into_owned()));
            value.transpose().map_err(|error| self.fault(&error.to_string()))
        };
        let (key, value) = (read("key")?, read("value")?);
        Ok(key.zip(value).filter(|(_, value)| !value.is_empty()))
    }

    fn row(&mut self) -> Row {
        let fields: Vec<_> = self.trace.iter().cloned().chain(self.event.drain(..)).collect();
        let raw = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        Row { line: self.event_line, fields, raw: raw.into_bytes() }
    }

    fn fault(&self, reason: &str) -> LogError {
        let source = self.reader.get_ref();
        let (path, line, column) = (source.path().to_owned(), source.line(), source.column());
        LogError::Xml { path, line, column, reason: reason.to_owned() }
    }
}

fn local_name(element: &BytesStart<'_>) -> String {
    let name = element.name().into_inner();
    let name: &[u8] = name.as_ref();
    let name = String::from_utf8_lossy(name);
    name.rsplit(':').next().unwrap_or_default().to_owned()
}
