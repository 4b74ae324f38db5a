//! Strings: their characters, their escapes, and what PostgreSQL cannot hold.

use std::borrow::Cow;

use super::{JsonFault, Scanner};
use crate::refusal::Code;

impl<'a> Scanner<'a> {
    /// The string that starts here, with its escapes resolved.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut resolved = self.text[start..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(resolved));
                }
                Some(b'\\') => resolved.push(self.escape()?),
                Some(_) => return Err(self.malformed("there is a control character in a string")),
                None => return Err(self.malformed("the string does not end")),
            }
            let start = self.at;
            self.plain();
            resolved.push_str(&self.text[start..self.at]);
        }
    }

    /// Goes on to the first byte that is not simply part of a string.
    fn plain(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
        self.at += length.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        self.at += 1;
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.malformed("there is no such escape")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonFault> {
        let lone_surrogate = self.fault(Code::UnstorableText, "there is half a surrogate pair");
        let nul = self.fault(Code::UnstorableText, "there is a NUL character");
        let mut code_point = self.code_unit()?;
        if (0xD800..0xDC00).contains(&code_point) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let low = self.code_unit()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(lone_surrogate);
            }
            code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
        }
        match char::from_u32(code_point) {
            Some('\0') => Err(nul),
            Some(character) => Ok(character),
            None => Err(lone_surrogate),
        }
    }

    /// The four hexadecimal digits behind the `u` that stands here.
    fn code_unit(&mut self) -> Result<u32, JsonFault> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.malformed("there are no four hexadecimal digits after \\u"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}
