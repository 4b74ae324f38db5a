//! The headers of a message in one piece of memory: a ledger holds thousands of messages, each with a
//! dozen headers.

use std::fmt::Display;

/// Names and values, in the order they came; nothing is known of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    /// Where each name and each value ends.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// No headers, with room for so many of the usual size.
    pub fn with_capacity(headers: usize) -> Self {
        Self { bytes: Vec::with_capacity(headers * 48), ends: Vec::with_capacity(headers) }
    }

    /// Adds one behind the others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.push_value(value);
    }

    /// Adds one whose name can only be displayed.
    pub(crate) fn push_displayed(&mut self, name: impl Display, value: &[u8]) {
        use std::io::Write;
        // A vector takes all that is written to it.
        let _ = write!(self.bytes, "{name}");
        self.push_value(value);
    }

    fn push_value(&mut self, value: &[u8]) {
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let header = (&self.bytes[start..name_end], &self.bytes[name_end..end]);
            start = end;
            header
        })
    }

    /// How many bytes the names and values have.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Headers {
    fn from_iter<T: IntoIterator<Item = (&'a [u8], &'a [u8])>>(headers: T) -> Self {
        let headers = headers.into_iter();
        let mut all = Self::with_capacity(headers.size_hint().0);
        headers.for_each(|(name, value)| all.push(name, value));
        all
    }
}
