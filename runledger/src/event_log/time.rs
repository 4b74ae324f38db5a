//! Times as logs write them. A time without a zone is UTC.

use chrono::{
    DateTime, Datelike, NaiveTime, Utc,
    format::{self, Parsed, StrftimeItems},
};

const WITH_ZONE: &[&str] = &["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
const WITHOUT_ZONE: &[&str] = &[
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d %H:%M",
];
const DAY: &[&str] = &["%Y-%m-%d", "%Y/%m/%d"];

/// The time that the text names, in this format of `strftime` or, if none is given, a usual one.
pub fn parse(text: &str, format: Option<&str>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let found = match format {
        Some(format) => in_format(text, format),
        None => usual(text),
    };
    let found = found.map(events::time::cut).filter(|time| events::time::YEARS.contains(&time.year()));
    found.ok_or_else(|| match format {
        Some(format) => format!("{text:?} is no time in the format {format}"),
        None => format!("{text:?} is no time as 2026-03-01 08:30:00; if it is a time, give --time-format"),
    })
}

fn in_format(text: &str, format: &str) -> Option<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    format::parse(&mut parsed, text, StrftimeItems::new(format)).ok()?;
    let is_day = parsed.hour_mod_12().is_none() && parsed.timestamp().is_none();
    if parsed.offset().is_some() {
        parsed.to_datetime().map(|time| time.to_utc()).ok()
    } else if is_day {
        parsed.to_naive_date().map(|day| day.and_time(NaiveTime::MIN).and_utc()).ok()
    } else {
        parsed.to_naive_datetime_with_offset(0).map(|time| time.and_utc()).ok()
    }
}

fn usual(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let shapes = || WITHOUT_ZONE.iter().chain(WITH_ZONE).chain(DAY).find_map(|format| in_format(text, format));
    events::time::parse(text).ok().or_else(shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        for (text, utc) in [
            ("2012-12-16 19:33:10", "2012-12-16T19:33:10Z"),
            ("2012-12-16T19:33:10.5", "2012-12-16T19:33:10.500Z"),
            ("2012/12/16 19:33", "2012-12-16T19:33:00Z"),
            ("2012-12-16", "2012-12-16T00:00:00Z"),
            ("2012-12-16 19:33:10+0200", "2012-12-16T17:33:10Z"),
            ("2012-12-16T19:33:10.000+02:00", "2012-12-16T17:33:10Z"),
            ("2012-12-16 19:33:10 UTC", "2012-12-16T19:33:10Z"),
        ] {
            assert_eq!(parse(text, None).map(events::time::format).as_deref(), Ok(utc), "{text}");
        }
        assert_eq!(parse("16.12.12 19h", Some("%d.%m.%y %Hh")).ok(), None);
        let given = parse("16.12.2012 19:33", Some("%d.%m.%Y %H:%M")).unwrap();
        assert_eq!(events::time::format(given), "2012-12-16T19:33:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "yesterday", "2012-02-30 10:00:00", "12/16/2012", "0000-12-31 00:00:00", "+99999-01-01 00:00:00"]
        {
            assert!(parse(text, None).is_err(), "{text}");
        }
    }
}
