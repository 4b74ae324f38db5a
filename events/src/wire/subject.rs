//! Subjects: `runledger.events.<org_id>.<type>`. NATS permissions are granted on them, so the org
//! that stands there is the one that counts.

use std::str::FromStr;

use crate::{
    envelope::Event,
    id::OrgId,
    refusal::{Code, Refusal},
};

/// What the subject of every event starts with.
pub const EVENTS: &str = "runledger.events.";

/// The subject that the event is published to.
pub fn subject(event: &Event) -> String {
    format!("{EVENTS}{}.{}", event.org_id, event.event_type)
}

/// The org that a subject names, in letters of either case, whatever else is wrong with it.
pub fn org_of_subject(subject: &[u8]) -> Option<OrgId> {
    let rest = subject.strip_prefix(EVENTS.as_bytes())?;
    let org = rest.split(|byte| *byte == b'.').next()?;
    OrgId::from_str(std::str::from_utf8(org).ok()?).ok()
}

/// A subject taken apart.
pub(super) struct Subject<'a> {
    pub org_id: OrgId,
    pub event_type: &'a str,
}

impl<'a> Subject<'a> {
    pub fn parse(subject: &'a str) -> Result<Self, Refusal> {
        let (org, event_type) = subject
            .strip_prefix(EVENTS)
            .map(|rest| rest.split_once('.').unwrap_or((rest, "")))
            .ok_or_else(|| mismatch(&format!("the subject {subject:?} does not start with {EVENTS}")))?;
        match OrgId::from_str(org) {
            Ok(org_id) if !org.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(Self { org_id, event_type }),
            Err(error) if error.is_nil() => {
                Err(Refusal::new(Code::InvalidId, format!("the org in the subject: {error}")))
            }
            _ => Err(mismatch(&format!("{org:?} in the subject is no org id"))),
        }
    }
}

fn mismatch(what: &str) -> Refusal {
    let reason = format!("{what}; publish to {EVENTS}<org id, lower case and hyphenated>.<type>");
    Refusal::new(Code::OrgMismatch, reason)
}
