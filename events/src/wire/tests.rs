use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    id::{OrgId, Seq},
    time,
};

const ORG: &str = "8f1c2b1e-0c55-4f0e-9d7a-3f6f0d7f2b10";
const RUN: &str = "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21";
const EVENT: &str = "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e99";
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// A message in the making; it starts as a valid `run.started` in binary mode.
#[derive(Clone)]
struct Draft {
    subject: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Draft {
    fn binary() -> Self {
        let headers = attributes().into_iter().map(|(name, value)| (format!("ce-{name}"), value.into())).collect();
        Self { subject: format!("runledger.events.{ORG}.run.started").into(), headers, payload: b"{}".to_vec() }
    }

    /// Structured, with these members changed; `null` removes one.
    fn structured(changes: Value) -> Self {
        let mut event: Map<String, Value> =
            attributes().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        event.insert("data".to_owned(), json!({}));
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(event.remove(name)),
                value => drop(event.insert(name.clone(), value.clone())),
            }
        }
        Self::raw(&Value::from(event).to_string())
    }

    fn raw(text: &str) -> Self {
        Self { headers: Vec::new(), payload: text.into(), ..Self::binary() }
    }

    fn subject(mut self, subject: impl Into<Vec<u8>>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Of another type, in subject and attributes.
    fn of_type(self, event_type: &str) -> Self {
        self.subject(format!("runledger.events.{ORG}.{event_type}"))
            .with("ce-type", event_type)
            .with("ce-dataschema", &format!("urn:runledger:{event_type}:1"))
    }

    fn with(self, header: &str, value: &str) -> Self {
        let mut draft = self.without(header);
        draft.headers.push((header.to_owned(), value.into()));
        draft
    }

    fn without(mut self, header: &str) -> Self {
        self.headers.retain(|(name, _)| name != header);
        self
    }

    fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    fn admit(&self) -> Result<Event, Refusal> {
        let message = Message {
            subject: &self.subject,
            headers: self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect(),
            payload: self.payload.clone().into(),
        };
        admit(&message, now())
    }

    fn code(&self) -> Code {
        self.admit().unwrap_err().code
    }
}

fn attributes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("specversion", "1.0"),
        ("id", EVENT),
        ("source", "/scheduler"),
        ("type", "run.started"),
        ("subject", RUN),
        ("time", "2026-03-01T08:30:00.250Z"),
        ("datacontenttype", "application/json"),
        ("dataschema", "urn:runledger:run.started:1"),
        ("orgid", ORG),
    ]
}

fn now() -> DateTime<Utc> {
    time::parse("2026-03-01T09:00:00Z").unwrap()
}

#[test]
fn both_modes_carry_the_same_event() {
    let binary = Draft::binary().with("ce-correlationid", "c 1").with("ce-tracestate", "a=b").admit().unwrap();
    let structured = Draft::structured(json!({ "correlationid": "c 1", "tracestate": "a=b" })).admit().unwrap();
    assert_eq!(binary, structured);
    assert_eq!(binary.org_id.to_string(), ORG);
    assert_eq!((binary.event_type.as_str(), binary.schema_version), ("run.started", 1));
    assert_eq!(time::format(binary.occurred_at), "2026-03-01T08:30:00.250Z");
    assert_eq!(binary.correlation_id.as_deref(), Some("c 1"));
    assert_eq!(binary.extensions.as_deref(), Some(r#"{"tracestate":"a=b"}"#));
}

#[test]
fn header_names_are_matched_without_regard_to_case_and_values_percent_decoded() {
    let mut draft = Draft::binary().with("Ce-CorrelationId", "caf%C3%A9%20%22%25%zz").with("Traceparent", "ignored");
    for (name, _) in &mut draft.headers {
        *name = name.to_ascii_uppercase();
    }
    let event = draft.admit().unwrap();
    assert_eq!(event.correlation_id.as_deref(), Some("café \"%%zz"));
    assert_eq!(event.traceparent, None);
}

#[test]
fn the_mode_is_structured_when_no_header_says_specversion() {
    let draft = Draft::structured(json!({}));
    assert!(draft.clone().with("content-type", "text/plain").with("ce-id", "x").admit().is_ok());
    assert_eq!(draft.with("ce-specversion", "1.0").code(), Code::InvalidEvent);
}

#[test]
fn data_is_kept_byte_for_byte() {
    let odd = " {\"context\" :{\"b\":-0,\"a\":1e2}}\n";
    assert_eq!(&*Draft::binary().payload(odd).admit().unwrap().data, odd);
    let event = Draft::structured(json!({})).payload;
    let text = String::from_utf8(event).unwrap().replace("\"data\":{}", &format!("\"data\":{odd}"));
    assert_eq!(&*Draft::raw(&text).admit().unwrap().data, odd.trim());
}

#[test]
fn base64_data_is_decoded() {
    let with = |encoded: Value| Draft::structured(json!({ "data": null, "data_base64": encoded }));
    assert_eq!(&*with(json!("eyB9Cg==")).admit().unwrap().data, "{ }\n");
    assert_eq!(&*with(json!("eyB9Cg")).admit().unwrap().data, "{ }\n");
    assert_eq!(with(json!("{}")).code(), Code::InvalidEvent);
    assert_eq!(with(json!(5)).code(), Code::InvalidEvent);
    assert_eq!(with(json!("/w==")).code(), Code::InvalidUtf8);
    assert_eq!(with(json!("")).code(), Code::MalformedJson);
    assert_eq!(with(json!("eyJhIjoxLCJhIjoxfQ==")).code(), Code::DuplicateKey);
    assert_eq!(Draft::structured(json!({ "data_base64": "e30=" })).code(), Code::InvalidEvent);
}

#[test]
fn an_event_without_data_is_refused() {
    assert_eq!(Draft::structured(json!({ "data": null })).code(), Code::InvalidEvent);
    assert_eq!(Draft::binary().payload("").code(), Code::MalformedJson);
    assert_eq!(Draft::raw("").code(), Code::MalformedJson);
    assert_eq!(Draft::raw("[]").code(), Code::InvalidEvent);
    assert_eq!(Draft::binary().payload("null").code(), Code::InvalidEvent);
}

#[test]
fn json_that_cannot_be_stored_is_refused_in_either_mode() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for (data, code) in [
        ("{\"a\":", Code::MalformedJson),
        ("{}{}", Code::MalformedJson),
        ("\u{feff}{}", Code::MalformedJson),
        (r#"{"a":"\u0000"}"#, Code::UnstorableText),
        (r#"{"a":"\ud800"}"#, Code::UnstorableText),
        (r#"{"a":1,"a":2}"#, Code::DuplicateKey),
        (r#"{"a":1e400}"#, Code::NumberOutOfRange),
        (r#"{"a":18446744073709551616}"#, Code::NumberOutOfRange),
        (&deep, Code::TooComplex),
    ] {
        assert_eq!(Draft::binary().payload(data).code(), code, "{data}");
        let text = String::from_utf8(Draft::structured(json!({})).payload).unwrap();
        assert_eq!(Draft::raw(&text.replace("\"data\":{}", &format!("\"data\":{data}"))).code(), code, "{data}");
    }
}

#[test]
fn the_limits_count_from_data_itself() {
    let deepest = format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63));
    assert!(Draft::binary().payload(deepest.clone()).admit().is_ok());
    let text = String::from_utf8(Draft::structured(json!({})).payload).unwrap();
    assert!(Draft::raw(&text.replace("\"data\":{}", &format!("\"data\":{deepest}"))).admit().is_ok());
}

#[test]
fn what_is_not_utf8_is_refused_wherever_it_stands() {
    assert_eq!(Draft::binary().payload(b"\"\xFF\"".to_vec()).code(), Code::InvalidUtf8);
    let mut subject = Draft::binary().subject;
    subject.push(0xFF);
    assert_eq!(Draft::binary().subject(subject).code(), Code::InvalidUtf8);
    let mut draft = Draft::binary();
    draft.headers.push(("x-other".to_owned(), vec![0xFF]));
    assert_eq!(draft.code(), Code::InvalidUtf8);
    assert_eq!(Draft::binary().with("ce-tracestate", "%FF").code(), Code::InvalidUtf8);
}

#[test]
fn the_org_in_the_subject_counts() {
    let subject = |org: &str| Draft::binary().subject(format!("runledger.events.{org}.run.started"));
    assert_eq!(subject("018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21").code(), Code::OrgMismatch);
    assert_eq!(subject(&ORG.to_uppercase()).code(), Code::OrgMismatch);
    assert_eq!(subject(&ORG.replace('-', "")).code(), Code::OrgMismatch);
    assert_eq!(subject("acme").code(), Code::OrgMismatch);
    assert_eq!(subject(NIL).code(), Code::InvalidId);
    assert_eq!(Draft::binary().subject("elsewhere").code(), Code::OrgMismatch);
    assert!(Draft::binary().with("ce-orgid", &ORG.to_uppercase()).admit().is_ok());
    assert_eq!(Draft::binary().with("ce-orgid", NIL).code(), Code::InvalidId);
    assert_eq!(Draft::binary().without("ce-orgid").code(), Code::InvalidEvent);
}

#[test]
fn the_type_in_the_subject_counts() {
    let subject = |event_type: &str| Draft::binary().subject(format!("runledger.events.{ORG}{event_type}"));
    assert_eq!(subject(".run.created").code(), Code::TypeMismatch);
    assert_eq!(subject(".run.started.x").code(), Code::TypeMismatch);
    assert_eq!(subject("").code(), Code::TypeMismatch);
    assert_eq!(Draft::binary().with("ce-type", "Run.started").code(), Code::TypeMismatch);
}

#[test]
fn a_subject_tells_its_org_whatever_else_is_wrong_with_it() {
    let org: OrgId = ORG.parse().unwrap();
    assert_eq!(org_of_subject(format!("runledger.events.{ORG}.x").as_bytes()), Some(org));
    assert_eq!(org_of_subject(format!("runledger.events.{}", ORG.to_uppercase()).as_bytes()), Some(org));
    let mut subject = format!("runledger.events.{ORG}.").into_bytes();
    subject.push(0xFF);
    assert_eq!(org_of_subject(&subject), Some(org));
    assert_eq!(org_of_subject(b"runledger.events.acme.run.started"), None);
    assert_eq!(org_of_subject(format!("other.{ORG}").as_bytes()), None);
}

#[test]
fn an_attribute_that_is_missing_or_wrong_is_refused() {
    for name in ["id", "source", "type", "subject", "orgid"] {
        let refusal = Draft::binary().without(&format!("ce-{name}")).admit().unwrap_err();
        assert_eq!(refusal.code, Code::InvalidEvent, "{name}");
        assert!(refusal.reason.contains(name), "{refusal}");
        assert_eq!(Draft::structured(json!({ name: null })).code(), Code::InvalidEvent, "{name}");
    }
    assert_eq!(Draft::binary().without("ce-time").code(), Code::InvalidTime);
    assert_eq!(Draft::structured(json!({ "specversion": null })).code(), Code::InvalidEvent);
    for (name, value, code) in [
        ("specversion", "0.3", Code::InvalidEvent),
        ("id", NIL, Code::InvalidId),
        ("id", "1", Code::InvalidId),
        ("id", "018f6e2a7c1b7d609a335b1f4c0d9e21", Code::InvalidId),
        ("subject", "", Code::InvalidId),
        ("source", "", Code::InvalidEvent),
        ("source", "the scheduler", Code::InvalidEvent),
        ("source", "a\u{1b}[31m", Code::InvalidEvent),
        ("source", &"s".repeat(1025), Code::InvalidEvent),
        ("tracestate", &"t".repeat(65_535), Code::InvalidEvent),
        ("tracestate", "a\0b", Code::UnstorableText),
        ("datacontenttype", "text/plain", Code::InvalidEvent),
        ("sequence", "7", Code::InvalidEvent),
        ("sequence", "0000000000", Code::InvalidEvent),
        ("sequence", "00000000007", Code::InvalidEvent),
        ("ledgerseq", "1", Code::InvalidEvent),
        ("recordedtime", "2026-03-01T08:30:00Z", Code::InvalidEvent),
        ("ledgerroot", "00", Code::InvalidEvent),
        ("my own", "x", Code::InvalidEvent),
        ("", "x", Code::InvalidEvent),
        ("data", "x", Code::InvalidEvent),
        ("data_base64", "x", Code::InvalidEvent),
    ] {
        let encoded = value.replace('\0', "%00");
        assert_eq!(Draft::binary().with(&format!("ce-{name}"), &encoded).code(), code, "{name} {value:.60}");
        if !name.starts_with("data") || name == "datacontenttype" {
            assert_eq!(Draft::structured(json!({ name: value })).code(), code, "{name} {value:.60}");
        }
    }
    for wrong in [json!(5), json!(true), json!({}), json!([]), json!(1.0)] {
        assert_eq!(Draft::structured(json!({ "id": wrong })).code(), Code::InvalidEvent, "{wrong}");
    }
}

#[test]
fn an_attribute_given_twice_is_refused() {
    let mut draft = Draft::binary();
    draft.headers.push(("CE-Id".to_owned(), EVENT.into()));
    assert_eq!(draft.code(), Code::DuplicateKey);
    let text = String::from_utf8(Draft::structured(json!({})).payload).unwrap();
    assert_eq!(Draft::raw(&text.replacen('{', "{\"i\\u0064\":\"x\",", 1)).code(), Code::DuplicateKey);
}

#[test]
fn the_content_type_may_stand_in_either_header_and_be_absent() {
    let without = Draft::binary().without("ce-datacontenttype");
    assert!(without.admit().is_ok());
    assert!(without.clone().with("Content-Type", "Application/JSON; charset=utf-8").admit().is_ok());
    assert_eq!(without.with("Content-Type", "text/plain").code(), Code::InvalidEvent);
}

#[test]
fn the_version_comes_from_dataschema() {
    let dataschema = |schema: &str| Draft::binary().with("ce-dataschema", schema);
    assert_eq!(Draft::binary().without("ce-dataschema").admit().unwrap().schema_version, 1);
    for malformed in [
        "",
        "urn:runledger:run.created:1",
        "urn:runledger:run.started",
        "urn:runledger:run.started:0",
        "https://x/y.json",
        "urn:runledger:run.started:01",
        "urn:runledger:run.started:+1",
        "urn:runledger:run.started:1 ",
    ] {
        assert_eq!(dataschema(malformed).code(), Code::InvalidEvent, "{malformed}");
    }
    assert_eq!(dataschema("urn:runledger:run.started:2").code(), Code::UnknownVersion);
    assert_eq!(dataschema("urn:runledger:run.started:99999999999999999999").code(), Code::UnknownVersion);
}

#[test]
fn an_event_of_ours_is_sent_as_the_newest_version_of_its_type() {
    let shots = r#"{"step_id":"018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e30","screenshots":[{"uri":"s3://shots/1"}]}"#;
    let payload: crate::payload::StepScreenshotCaptured = serde_json::from_str(shots).unwrap();
    let event = Event::new(ORG.parse().unwrap(), RUN.parse().unwrap(), "/emitter", &payload).unwrap();
    let dataschema = to_headers(&event).into_iter().find(|(name, _)| name == "ce-dataschema");
    assert_eq!(dataschema.unwrap().1, "urn:runledger:step.screenshot_captured:2");
}

#[test]
fn an_unknown_type_is_refused_unless_it_is_custom() {
    assert_eq!(Draft::binary().of_type("run.vanished").code(), Code::UnknownType);
    let custom = Draft::binary().of_type("custom.billing.sent").payload("[1, null]").admit().unwrap();
    assert_eq!(custom.event_type, "custom.billing.sent");
    assert!(Draft::binary().of_type("custom.x").payload("null").admit().is_ok());
    assert_eq!(Draft::binary().of_type("custom.x").payload("nul").code(), Code::MalformedJson);
}

#[test]
fn a_time_is_no_time_or_too_far_ahead_or_fine() {
    let at = |time: &str| Draft::binary().with("ce-time", time);
    for time in ["2026-02-30T00:00:00Z", "infinity", "2026-03-01T00:00:00+24:00", "10000-01-01T00:00:00Z", ""] {
        assert_eq!(at(time).code(), Code::InvalidTime, "{time}");
    }
    assert_eq!(at("2026-03-02T09:00:00.000001Z").code(), Code::TimeInFuture);
    for time in ["2026-03-02T09:00:00Z", "1999-01-01T00:00:00Z", "2016-12-31T23:59:60Z"] {
        assert!(at(time).admit().is_ok(), "{time}");
    }
}

#[test]
fn an_event_about_an_org_has_the_org_as_its_subject() {
    let registered = Draft::binary().of_type("org.registered").payload(r#"{"name":"Acme"}"#);
    assert_eq!(registered.code(), Code::InvalidEvent);
    assert!(registered.with("ce-subject", ORG).admit().is_ok());
}

#[test]
fn unknown_attributes_are_kept_sorted_as_canonical_strings() {
    let event =
        Draft::structured(json!({ "zeta": "\u{202e}=1+1", "beta": true, "alpha": -7, "gamma": null, "b2": "<b>" }));
    let event = event.admit().unwrap();
    let extensions = "{\"alpha\":\"-7\",\"b2\":\"<b>\",\"beta\":\"true\",\"zeta\":\"\u{202e}=1+1\"}";
    assert_eq!(event.extensions.as_deref(), Some(extensions));
    assert_eq!(Draft::structured(json!({ "alpha": 1.5 })).code(), Code::InvalidEvent);
    assert_eq!(Draft::structured(json!({ "alpha": {} })).code(), Code::InvalidEvent);
}

#[test]
fn the_first_check_that_fails_is_the_reason() {
    let wrong_org = Draft::binary().subject("runledger.events.acme.run.started").payload("{");
    assert_eq!(wrong_org.code(), Code::OrgMismatch);
    assert_eq!(wrong_org.payload(b"\xFF".to_vec()).code(), Code::InvalidUtf8);
    let wrong_json = Draft::binary().without("ce-id").payload("{");
    assert_eq!(wrong_json.code(), Code::MalformedJson);
    assert_eq!(Draft::binary().without("ce-id").payload("[]").code(), Code::InvalidEvent);
}

/// What the ledger adds to an event that leaves it.
const OWN_HEADERS: [&str; 3] = ["ce-ledgerseq", "ce-recordedtime", "ce-ledgerroot"];

#[test]
fn what_no_ledger_wrote_has_no_place_in_one() {
    let line =
        |changes: Value| Replayed::read(Draft::structured(changes).payload.into()).map_err(|refusal| refusal.code);
    let place = json!({ "ledgerseq": "7", "recordedtime": "2026-03-01T08:30:00.000001Z" });
    assert!(line(place.clone()).is_ok());
    for (name, value, code) in [
        ("ledgerseq", json!(null), Code::InvalidEvent),
        ("ledgerseq", json!("0"), Code::InvalidEvent),
        ("ledgerseq", json!("07"), Code::InvalidEvent),
        ("ledgerseq", json!("-1"), Code::InvalidEvent),
        ("ledgerseq", json!("9223372036854775808"), Code::InvalidEvent),
        ("recordedtime", json!(null), Code::InvalidEvent),
        ("recordedtime", json!("infinity"), Code::InvalidTime),
        ("ledgerroot", json!("00"), Code::InvalidEvent),
        ("ledgerroot", json!("é".repeat(32)), Code::InvalidEvent),
        ("orgid", json!(null), Code::InvalidEvent),
        ("orgid", json!("x"), Code::InvalidId),
        ("type", json!(null), Code::InvalidEvent),
        ("type", json!(""), Code::InvalidEvent),
        ("type", json!("run.started x"), Code::InvalidEvent),
        ("time", json!(null), Code::InvalidTime),
        ("data", json!(null), Code::InvalidEvent),
    ] {
        let mut changes = place.clone();
        changes[name] = value;
        assert_eq!(line(changes.clone()), Err(code), "{changes}");
    }
}

#[test]
fn what_only_a_new_event_must_keep_an_old_one_need_not() {
    let changes = json!({
        "ledgerseq": 7, "recordedtime": "2026-03-01T08:30:00Z", "type": "run.vanished",
        "dataschema": "urn:runledger:run.vanished:9", "time": "9999-12-31T23:59:59.999999Z",
    });
    let replayed = Replayed::read(Draft::structured(changes).payload.into()).unwrap();
    assert_eq!((replayed.seq.get(), replayed.event.schema_version, replayed.root), (7, 9, None));
}

#[test]
fn a_transition_comes_from_the_screen_that_it_is_about() {
    let transition = |subject: &str, from: &str| {
        let data = json!({ "from": from, "to": EVENT, "action": "click Search" });
        Draft::binary().of_type("ui_transition.observed").with("ce-subject", subject).payload(data.to_string()).admit()
    };
    assert!(transition(RUN, RUN).is_ok());
    assert!(transition(RUN, &RUN.to_uppercase()).is_ok());
    let Refusal { code, reason } = transition(RUN, EVENT).unwrap_err();
    assert_eq!(code, Code::InvalidEvent);
    assert!(reason.contains(&format!("data.from is {EVENT} and the subject is {RUN}")), "{reason}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || prop::option::of("[^\0]{0,12}");
    let data = prop_oneof![
        Just(" {\"context\":{\"a\" :1}}\n"),
        Just("{}"),
        Just("{\"external_id\":\"\u{e9}\\n%\"}"),
        Just("{\n}"),
    ];
    let extensions = prop::collection::btree_map("x[a-z0-9]{0,5}", "[^\0]{0,12}", 0..4);
    let micros = 0..4_000_000_000_i64;
    (text(), text(), text(), extensions, data, micros, "[!-~é]{1,20}", 1..9_999_999_999_i64).prop_map(
        |(correlation_id, causation_id, traceparent, extensions, data, micros, source, sequence)| {
            let mut event = Draft::binary().admit().unwrap();
            event.occurred_at = DateTime::from_timestamp_micros(micros).unwrap();
            (event.correlation_id, event.causation_id, event.traceparent) = (correlation_id, causation_id, traceparent);
            event.data = data.into();
            event.source = source;
            for (name, value) in extensions {
                event.set_extension(name, value);
            }
            event.set_sequence(sequence);
            assert_eq!(event.sequence(), Some(sequence));
            event
        },
    )
}

proptest! {
    #[test]
    fn an_event_written_in_either_mode_is_read_back_the_same(event in any_event()) {
        let subject = subject(&event);
        let headers = to_headers(&event);
        let binary = Message {
            subject: subject.as_bytes(),
            headers: headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
            payload: event.data.as_bytes().clone(),
        };
        prop_assert!(headers.iter().all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic())));
        prop_assert_eq!(admit(&binary, now()), Ok(event.clone()));

        let line = to_structured(&event);
        prop_assert!(!line.contains(['\n', '\r']));
        let structured = Message { subject: subject.as_bytes(), headers: Vec::new(), payload: line.into() };
        prop_assert_eq!(admit(&structured, now()), Ok(event));
    }

    #[test]
    fn an_event_that_leaves_the_ledger_comes_back_with_its_place(
        event in any_event(),
        seq in 1..i64::MAX,
        micros in 0..4_000_000_000_i64,
        root in prop::option::of(any::<[u8; 32]>()),
    ) {
        let recorded_at = DateTime::from_timestamp_micros(micros).unwrap();
        let replayed = Replayed { seq: Seq::new(seq), recorded_at, root, event };
        let line = replayed.to_structured();
        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(Replayed::read(line.into()), Ok(replayed.clone()));
        let own: Vec<_> = replayed.to_headers().into_iter().filter(|(name, _)| OWN_HEADERS.contains(&name.as_str())).collect();
        prop_assert_eq!(own.len(), 2 + usize::from(root.is_some()));
        prop_assert_eq!(&own[0].1, &seq.to_string());
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Replayed::read(line.into());
    }

    #[test]
    fn no_message_makes_the_door_panic(
        subject in prop::collection::vec(any::<u8>(), 0..80),
        headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let _ = org_of_subject(&subject);
        let _ = admit(&Message { subject: &subject, headers, payload: payload.into() }, now());
    }
}
