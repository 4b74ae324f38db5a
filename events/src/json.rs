//! The strict JSON scanner that every payload passes before it is stored.
//!
//! It accepts what RFC 8259 accepts, less what PostgreSQL's `jsonb` would refuse or rewrite later:
//! NUL characters and lone surrogates, duplicate keys, numbers beyond its range; and less documents
//! so deep or wide that handling them is an attack. It changes nothing: what passes is kept byte
//! for byte. Called by [`crate::wire`]; time and memory are linear in the input, whatever it is.

use std::{borrow::Cow, collections::HashSet, mem};

use crate::refusal::Code;

mod number;
mod string;

/// Objects and arrays may stand this deep in each other.
pub const DEPTH_MAX: usize = 64;
/// A document may have this many keys, those of all its objects together.
pub const KEYS_MAX: usize = 10_000;
/// Up to this many keys of one object are compared one by one, more of them by a hash set.
const KEYS_COMPARED_MAX: usize = 16;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct JsonFault {
    /// The reason code of an event with this text.
    pub code: Code,
    /// Counted from 0.
    pub offset: usize,
    what: &'static str,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key with its escapes resolved.
    pub name: Cow<'a, str>,
    /// The value exactly as written, without the white space around it.
    pub value: &'a str,
}

/// Whether the bytes are one JSON document that can be stored.
pub fn check(bytes: &[u8]) -> Result<(), JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonFault {
        code: Code::InvalidUtf8,
        offset: error.valid_up_to(),
        what: "the bytes are not UTF-8",
    })?;
    check_text(text)
}

/// [`check`] for what is known to be UTF-8.
pub fn check_text(text: &str) -> Result<(), JsonFault> {
    let mut scanner = Scanner::start(text);
    scanner.value(0)?;
    scanner.end()
}

/// The members of the object that the text is, in the order written. Each value is held to the
/// limits of a document of its own.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, JsonFault> {
    let mut scanner = Scanner::start(text);
    if scanner.peek() != Some(b'{') {
        check_text(text)?;
        return Err(scanner.fault(Code::InvalidEvent, "the document is not an object"));
    }
    let mut members = Vec::with_capacity(12);
    scanner.object(|scanner, name| {
        let keys_left = mem::replace(&mut scanner.keys_left, KEYS_MAX);
        let start = scanner.at;
        scanner.value(0)?;
        scanner.keys_left = keys_left;
        members.push(Member { name, value: &text[start..scanner.at] });
        Ok(())
    })?;
    scanner.end()?;
    Ok(members)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    keys_left: usize,
    /// The keys of every object that is open, the innermost's last.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    fn start(text: &'a str) -> Self {
        let mut scanner = Self { text, at: 0, keys_left: KEYS_MAX, names: Vec::new() };
        scanner.space();
        scanner
    }

    fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("something follows the JSON document")),
        }
    }

    /// A value with this many objects and arrays around it.
    fn value(&mut self, depth: usize) -> Result<(), JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{' | b'[') if depth == DEPTH_MAX => {
                Err(self.fault(Code::TooComplex, "objects and arrays stand more than 64 deep in each other"))
            }
            Some(b'{') => self.object(|scanner, _| scanner.value(depth + 1)),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(0xEF) if self.at == 0 => Err(self.malformed("there is a byte-order mark")),
            Some(_) => Err(self.malformed("there is no JSON value")),
            None => Err(self.malformed("the JSON ends too early")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonFault> {
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "there is no comma or closing bracket")?;
            self.space();
        }
    }

    /// An object; `member` is called at the start of each value and scans it.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        let first = self.names.len();
        let mut many = HashSet::new();
        loop {
            let name = self.name(first, &mut many)?;
            self.space();
            self.expect(b':', "there is no colon after the key")?;
            self.space();
            member(self, name)?;
            self.space();
            if self.take(b'}') {
                self.names.truncate(first);
                return Ok(());
            }
            self.expect(b',', "there is no comma or closing brace")?;
            self.space();
        }
    }

    /// A key that is new in its object, whose earlier keys stand in `names` from `first` on or,
    /// once they are many, in the set.
    fn name(&mut self, first: usize, many: &mut HashSet<Cow<'a, str>>) -> Result<Cow<'a, str>, JsonFault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.malformed("there is no key in quotation marks"));
        }
        let name = self.string()?;
        let fault = |code, what| Err(JsonFault { code, offset: start, what });
        if self.keys_left == 0 {
            return fault(Code::TooComplex, "there are more than 10,000 keys");
        }
        self.keys_left -= 1;
        if self.names.len() - first == KEYS_COMPARED_MAX {
            many.extend(self.names.drain(first..));
        }
        let is_new = if many.is_empty() {
            !self.names[first..].contains(&name) && {
                self.names.push(name.clone());
                true
            }
        } else {
            many.insert(name.clone())
        };
        if is_new { Ok(name) } else { fault(Code::DuplicateKey, "a key of this object is repeated") }
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), JsonFault> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.malformed("there is no JSON value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), JsonFault> {
        if self.take(byte) { Ok(()) } else { Err(self.malformed(otherwise)) }
    }

    fn malformed(&self, what: &'static str) -> JsonFault {
        self.fault(Code::MalformedJson, what)
    }

    fn fault(&self, code: Code, what: &'static str) -> JsonFault {
        JsonFault { code, offset: self.at, what }
    }
}

#[cfg(test)]
mod tests;
