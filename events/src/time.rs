//! Times as events carry them: RFC 3339 in, whole microseconds of UTC inside, RFC 3339 out.
//!
//! The ledger keeps whole microseconds, because PostgreSQL does; what is finer is cut off, so that
//! the same text always becomes the same time. Everyone who reads or writes a time uses this.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

/// The years that a time may be in, in UTC: RFC 3339 has four digits, and what it calls 0000 is
/// 1 BC to PostgreSQL, which no reader of a time expects.
pub const YEARS: RangeInclusive<i32> = 1..=9999;

/// Text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time: {why}; send RFC 3339 such as 2026-03-01T08:30:00.250Z")]
pub struct InvalidTime {
    text: String,
    why: &'static str,
}

/// The time that the text names, cut to whole microseconds. A leap second (`:60`) is the second
/// that follows.
pub fn parse(text: &str) -> Result<DateTime<Utc>, InvalidTime> {
    instant(text.as_bytes()).map_err(|why| InvalidTime { text: text.chars().take(64).collect(), why })
}

/// The time as RFC 3339 in UTC, with as many decimals as it needs: none, three or six.
pub fn format(time: DateTime<Utc>) -> String {
    cut(time).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The time in whole microseconds.
pub fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

/// The clock of this machine in whole microseconds.
pub fn now() -> DateTime<Utc> {
    cut(Utc::now())
}

fn instant(text: &[u8]) -> Result<DateTime<Utc>, &'static str> {
    const SHAPE: &str = "it is not written as year-month-dayThour:minute:second and offset";
    let (clock, rest) = text.split_at_checked(19).ok_or(SHAPE)?;
    let separators = [clock[4], clock[7], clock[10].to_ascii_uppercase(), clock[13], clock[16]];
    if separators != *b"--T::" {
        return Err(SHAPE);
    }
    let part = |from: usize, to: usize| number(&clock[from..to]).ok_or(SHAPE);
    let date = NaiveDate::from_ymd_opt(part(0, 4)? as i32, part(5, 7)?, part(8, 10)?).ok_or("there is no such day")?;
    let second = part(17, 19)?;
    let (micros, offset) = micros(rest).ok_or(SHAPE)?;
    let time = NaiveTime::from_hms_micro_opt(part(11, 13)?, part(14, 16)?, second.min(59), micros)
        .filter(|_| second <= 60)
        .ok_or("there is no such time of day")?;
    let leap = TimeDelta::seconds(i64::from(second == 60));
    let utc =
        (date.and_time(time).and_utc() + leap).checked_sub_signed(offset_of(offset)?).ok_or("it is out of range")?;
    if YEARS.contains(&utc.year()) { Ok(utc) } else { Err("in UTC it is not in the years 0001 to 9999") }
}

/// The microseconds that the fraction at the start of `rest` stands for, and what follows it.
fn micros(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = digits.min(6);
    let micros = number(&rest[..kept])? * 10_u32.pow(6 - kept as u32);
    Some((micros, &rest[digits..]))
}

fn offset_of(text: &[u8]) -> Result<TimeDelta, &'static str> {
    const SHAPE: &str = "its offset from UTC is not Z or an offset from -23:59 to +23:59";
    let (sign, hours, minutes) = match text {
        b"Z" | b"z" => return Ok(TimeDelta::zero()),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => (*sign, number(&[*h1, *h2]), number(&[*m1, *m2])),
        _ => return Err(SHAPE),
    };
    match (hours, minutes) {
        (Some(hours @ 0..24), Some(minutes @ 0..60)) => {
            let offset = TimeDelta::minutes(i64::from(hours * 60 + minutes));
            Ok(if sign == b'-' { -offset } else { offset })
        }
        _ => Err(SHAPE),
    }
}

/// The number that one to nine decimal digits stand for.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_utc_and_whole_microseconds() {
        for (text, utc) in [
            ("2026-03-01T08:30:00Z", "2026-03-01T08:30:00Z"),
            ("2026-03-01t08:30:00z", "2026-03-01T08:30:00Z"),
            ("2026-03-01T08:30:00.25+01:30", "2026-03-01T07:00:00.250Z"),
            ("2026-03-01T00:15:00-00:30", "2026-03-01T00:45:00Z"),
            ("2026-03-01T08:30:00.123456789Z", "2026-03-01T08:30:00.123456Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59Z"),
            ("0000-12-31T23:59:59-00:01", "0001-01-01T00:00:59Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format(parse(text).unwrap()), utc, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_that_follows() {
        assert_eq!(format(parse("2016-12-31T23:59:60Z").unwrap()), "2017-01-01T00:00:00Z");
        assert_eq!(format(parse("2016-12-31T23:59:60.5Z").unwrap()), "2017-01-01T00:00:00.500Z");
        assert!(parse("2016-12-31T23:59:61Z").is_err());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "infinity",
            "now",
            "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T08:60:00Z",
            "2026-03-01T08:30:00+24:00",
            "2026-03-01T08:30:00+0100",
            "2026-03-01T08:30:00",
            "2026-03-01T08:30:00.Z",
            "2026-03-01 08:30:00Z",
            "2026-03-01",
            "10000-01-01T00:00:00Z",
            "294277-01-01T00:00:00Z",
            "+2026-03-01T08:30:00Z",
            "9999-12-31T23:59:59-00:01",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "2026-03-01T08:30:00Zé",
            "٢٠٢٦-03-01T08:30:00Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
