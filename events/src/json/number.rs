//! Numbers: integers of 64 bits, and fractions that both a 64-bit float and PostgreSQL's `numeric`
//! can hold.

use super::{JsonFault, Scanner};
use crate::refusal::Code;

/// So many digits cannot leave the range of 64 bits.
const DIGITS_SAFE: usize = 18;
/// `numeric` holds this many decimals.
const DECIMALS_MAX: i64 = 16_383;

impl<'a> Scanner<'a> {
    /// The number that starts here.
    pub(super) fn number(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        self.take(b'-');
        let digits = match self.peek() {
            Some(b'0') => {
                self.at += 1;
                1
            }
            _ => self.digits()?,
        };
        let decimals = if self.take(b'.') { self.digits()? } else { 0 };
        let exponent = if self.take(b'e') || self.take(b'E') { Some(self.exponent()?) } else { None };
        let literal = &self.text[start..self.at];

        let in_range = if decimals == 0 && exponent.is_none() {
            digits <= DIGITS_SAFE || literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok()
        } else {
            fraction_in_range(literal, decimals, exponent.unwrap_or("0"))
        };
        if in_range {
            return Ok(());
        }
        Err(JsonFault { code: Code::NumberOutOfRange, offset: start, what: "there is a number out of range" })
    }

    /// One digit or more; says how many.
    fn digits(&mut self) -> Result<usize, JsonFault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed("a digit is missing")) } else { Ok(self.at - start) }
    }

    fn exponent(&mut self) -> Result<&'a str, JsonFault> {
        let start = self.at;
        if !self.take(b'-') {
            self.take(b'+');
        }
        self.digits()?;
        Ok(&self.text[start..self.at])
    }
}

fn fraction_in_range(literal: &str, decimals: usize, exponent: &str) -> bool {
    // `numeric` counts the zeros of `0e-20000` as decimals too, and so refuses it.
    let Ok(exponent) = exponent.parse::<i32>() else { return false };
    let decimals = i64::try_from(decimals).unwrap_or(i64::MAX).saturating_sub(i64::from(exponent));
    if decimals > DECIMALS_MAX || i64::from(exponent) > DECIMALS_MAX {
        return false;
    }
    let Ok(float) = literal.parse::<f64>() else { return false };
    let is_zero = || !mantissa(literal).bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    float.is_finite() && (float != 0.0 || is_zero())
}

fn mantissa(literal: &str) -> &str {
    literal.split(['e', 'E']).next().unwrap_or(literal)
}
