//! Attributes: the rules that CloudEvents and the ledger have for them, whatever mode they came in.

use std::{borrow::Cow, str::FromStr};

use bytestring::ByteString;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, Serializer};

use super::{replayed::OWN, subject::Subject};
use crate::{
    catalogue::{self, SCHEMA},
    envelope::Event,
    id::{EventId, InvalidId, OrgId, SHARED_ORG, SubjectId},
    refusal::{Code, Refusal},
    time,
};

/// The longest `source`, in bytes.
const SOURCE_BYTES_MAX: usize = 1024;
/// The longest value of any other attribute: the leaf's length field of 16 bits has one value less.
const BYTES_MAX: usize = 65_534;
/// The families whose events are about the org itself.
const ABOUT_ORGS: [&str; 3] = ["org", "lookup", "org_policy"];
/// The families of what is everyone's: they are the shared org's alone.
const OF_EVERYONE: [&str; 2] = ["requirement", "payer_requirement"];
/// How far ahead of the ledger's clock an event may have happened.
pub(super) const AHEAD_MAX: TimeDelta = TimeDelta::hours(24);

/// Whether CloudEvents has it that this attribute is text; extensions may be booleans and integers.
pub(super) fn is_text(name: &str) -> bool {
    matches!(name, "specversion" | "id" | "source" | "type" | "subject" | "time" | "datacontenttype" | "dataschema")
}

/// Whether a content type, parameters aside, is JSON.
pub(super) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// The attributes of a message, as they come in.
#[derive(Default)]
pub(super) struct Attributes<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Attributes<'a> {
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Refusal> {
        // CloudEvents allows letters and digits; emitters use these too, and nothing is lost by keeping them.
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')) {
            return Err(invalid(format!("{name:?} is no attribute name; name it with lower-case letters and digits")));
        }
        let bytes_max = if name == "source" { SOURCE_BYTES_MAX } else { BYTES_MAX };
        if value.len() > bytes_max {
            return Err(invalid(format!("{name} has {} bytes; send at most {bytes_max}", value.len())));
        }
        if value.contains('\0') {
            let reason = format!("{name} has a NUL character, which cannot be stored; send text without it");
            return Err(Refusal::new(Code::UnstorableText, reason));
        }
        self.0.push((name, value));
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(named, _)| named == name).map(|(_, value)| &**value)
    }

    /// Takes an attribute out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let index = self.0.iter().position(|(named, _)| named == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// The attributes by their names; extensions sorted bytewise.
#[derive(Default)]
struct Named<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    datacontenttype: Option<Cow<'a, str>>,
    dataschema: Option<Cow<'a, str>>,
    orgid: Option<Cow<'a, str>>,
    correlationid: Option<Cow<'a, str>>,
    causationid: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
    extensions: Extensions<'a>,
}

impl<'a> Named<'a> {
    fn of(Attributes(mut attributes): Attributes<'a>) -> Result<Self, Refusal> {
        attributes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(pair) = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::new(Code::DuplicateKey, format!("{} is given twice; send it once", pair[0].0)));
        }
        let mut named = Self::default();
        for (name, value) in attributes {
            let place = match &*name {
                "specversion" => &mut named.specversion,
                "id" => &mut named.id,
                "source" => &mut named.source,
                "type" => &mut named.event_type,
                "subject" => &mut named.subject,
                "time" => &mut named.time,
                "datacontenttype" => &mut named.datacontenttype,
                "dataschema" => &mut named.dataschema,
                "orgid" => &mut named.orgid,
                "correlationid" => &mut named.correlationid,
                "causationid" => &mut named.causationid,
                "traceparent" => &mut named.traceparent,
                _ => {
                    named.extensions.add(name, value)?;
                    continue;
                }
            };
            *place = Some(value);
        }
        Ok(named)
    }
}

/// The event that these attributes and data make, if they keep the rules.
pub(super) fn event(
    attributes: Attributes<'_>,
    subject: &Subject<'_>,
    data: ByteString,
    now: DateTime<Utc>,
) -> Result<Event, Refusal> {
    let named = Named::of(attributes)?;
    if required(named.specversion, "specversion")? != "1.0" {
        return Err(invalid("specversion is not 1.0; send CloudEvents 1.0"));
    }
    let org_id: OrgId = id(&required(named.orgid, "orgid")?, "orgid")?;
    if org_id != subject.org_id {
        let reason = format!("orgid is {org_id} and the subject says {}; publish to the event's org", subject.org_id);
        return Err(Refusal::new(Code::OrgMismatch, reason));
    }
    let event_type = required(named.event_type, "type")?;
    if event_type != subject.event_type {
        let reason = format!("type is {event_type:?} and the subject says {:?}; make them agree", subject.event_type);
        return Err(Refusal::new(Code::TypeMismatch, reason));
    }
    let event_id: EventId = id(&required(named.id, "id")?, "id")?;
    let source = source(required(named.source, "source")?)?;
    let subject_id: SubjectId = id(&required(named.subject, "subject")?, "subject")?;
    let family = catalogue::family(&event_type);
    if ABOUT_ORGS.contains(&family) && subject_id != org_id.subject() {
        return Err(invalid(format!("subject is {subject_id}; {event_type} has the org's id there: {org_id}")));
    }
    if OF_EVERYONE.contains(&family) && org_id != SHARED_ORG {
        let reason = format!("{event_type} is the shared org's, {SHARED_ORG}; an org's own are its org_policy events");
        return Err(invalid(reason));
    }
    if family == "org_policy" && org_id == SHARED_ORG {
        return Err(invalid("the shared org has no policies of its own; publish requirement.set, which is everyone's"));
    }
    let occurred_at = occurred_at(named.time.as_deref(), now)?;
    if let Some(content_type) = named.datacontenttype.filter(|content_type| !is_json(content_type)) {
        return Err(invalid(format!("datacontenttype is {content_type:?}; send application/json")));
    }
    Ok(Event {
        org_id,
        event_id,
        schema_version: schema_version(named.dataschema.as_deref(), &event_type)?,
        event_type: event_type.into_owned(),
        subject_id,
        source,
        occurred_at,
        correlation_id: named.correlationid.map(Cow::into_owned),
        causation_id: named.causationid.map(Cow::into_owned),
        traceparent: named.traceparent.map(Cow::into_owned),
        extensions: named.extensions.json(),
        data,
    })
}

fn required<'a>(value: Option<Cow<'a, str>>, name: &str) -> Result<Cow<'a, str>, Refusal> {
    value.ok_or_else(|| invalid(format!("{name} is missing; every event has it")))
}

fn id<T: FromStr<Err = InvalidId>>(value: &str, name: &str) -> Result<T, Refusal> {
    value.parse().map_err(|error| Refusal::new(Code::InvalidId, format!("{name}: {error}")))
}

fn source(source: Cow<'_, str>) -> Result<String, Refusal> {
    if source.is_empty() || source.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(invalid(format!("source {source:?} is no URI-reference; name the service, such as /scheduler")));
    }
    Ok(source.into_owned())
}

fn occurred_at(value: Option<&str>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
    let refuse = |reason: String| Refusal::new(Code::InvalidTime, reason);
    let value = value.ok_or_else(|| refuse("time is missing; every event has it".to_owned()))?;
    let time = time::parse(value).map_err(|error| refuse(format!("time: {error}")))?;
    if time <= now + AHEAD_MAX {
        return Ok(time);
    }
    let reason = format!("time is {value}, more than 24 hours after {}; correct the clock", time::format(now));
    Err(Refusal::new(Code::TimeInFuture, reason))
}

/// The version that `dataschema` names; 1 if it is absent.
fn schema_version(dataschema: Option<&str>, event_type: &str) -> Result<i16, Refusal> {
    let Some(dataschema) = dataschema else { return Ok(1) };
    let digits = dataschema
        .strip_prefix(SCHEMA)
        .and_then(|rest| rest.rsplit_once(':'))
        .filter(|(schema_type, _)| *schema_type == event_type)
        .map(|(_, digits)| digits)
        .filter(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() && !digits.starts_with('0')
        })
        .ok_or_else(|| {
            invalid(format!("dataschema is {dataschema:?}; send {SCHEMA}{event_type}:<version>, versions count from 1"))
        })?;
    digits.parse().map_err(|_| {
        let reason = format!("there is no version {digits} of {event_type}; upgrade runledger or correct dataschema");
        Refusal::new(Code::UnknownVersion, reason)
    })
}

/// Attributes without a column, sorted by name.
#[derive(Default)]
struct Extensions<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Extensions<'a> {
    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Refusal> {
        match &*name {
            own if OWN.contains(&own) => Err(invalid(format!("{own} is the ledger's own; leave it out"))),
            "data" | "data_base64" => Err(invalid(format!("{name} is no attribute; send it as the payload"))),
            "sequence" if !is_sequence(&value) => {
                Err(invalid(format!("sequence is {value:?}; send ten digits, from 0000000001 on")))
            }
            _ => {
                self.0.push((name, value));
                Ok(())
            }
        }
    }

    fn json(&self) -> Option<String> {
        if self.0.is_empty() { None } else { serde_json::to_string(self).ok() }
    }
}

impl Serialize for Extensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn is_sequence(value: &str) -> bool {
    value.len() == 10 && value.bytes().all(|byte| byte.is_ascii_digit()) && value != "0000000000"
}

/// Every attribute of the event, as it is sent.
pub(super) fn of_event(event: &Event) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut attributes: Vec<(Cow<'_, str>, Cow<'_, str>)> = vec![
        ("specversion".into(), "1.0".into()),
        ("id".into(), event.event_id.to_string().into()),
        ("source".into(), event.source.as_str().into()),
        ("type".into(), event.event_type.as_str().into()),
        ("subject".into(), event.subject_id.to_string().into()),
        ("time".into(), time::format(event.occurred_at).into()),
        ("datacontenttype".into(), "application/json".into()),
        ("dataschema".into(), catalogue::dataschema(&event.event_type, event.schema_version).into()),
        ("orgid".into(), event.org_id.to_string().into()),
    ];
    let traces = [
        ("correlationid", &event.correlation_id),
        ("causationid", &event.causation_id),
        ("traceparent", &event.traceparent),
    ];
    attributes.extend(traces.into_iter().filter_map(|(name, value)| Some((name.into(), value.as_deref()?.into()))));
    attributes.extend(event.extension_map().into_iter().map(|(name, value)| (name.into(), value.into())));
    attributes
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidEvent, reason)
}
