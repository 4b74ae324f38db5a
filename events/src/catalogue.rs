//! Every event type that the ledger knows, with its newest version and its payload.
//!
//! The list below is the registry: a new event type is one line in it and one file in
//! [`crate::payload`]. The door ([`crate::wire`]) decodes every payload before it lets an
//! event in, and the folds decode it again when they read; both call [`decode`], so what is in the
//! ledger can be folded. Types that start with `custom.` have no payload here: they are kept in the
//! ledger and projected nowhere.
//!
//! An event keeps the version that it was written with. [`decode`] reads it strictly as that version
//! and lifts it to the newest ([`crate::upcast`]), so the folds know the newest only.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    payload,
    refusal::{Code, Refusal},
    upcast,
};

/// What types start with that need no schema.
pub const CUSTOM: &str = "custom.";

/// What an event's `dataschema` starts with.
pub(crate) const SCHEMA: &str = "urn:runledger:";

/// A payload of an event type; what emitters send.
pub trait EventData: Serialize + DeserializeOwned {
    /// The event type, e.g. `run.started`.
    const TYPE: &'static str;
    /// The newest version of its schema, from 1.
    const VERSION: i16;
}

/// An event type of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// `<family>.<past-tense verb>`.
    pub name: &'static str,
    /// The newest version of its schema, from 1.
    pub version: i16,
    decode: fn(&str) -> Result<Payload, Fault>,
    #[cfg(feature = "schema")]
    schema: fn() -> schemars::Schema,
}

impl EventType {
    /// What stands before the first dot, such as `run`.
    pub fn family(&self) -> &'static str {
        family(self.name)
    }

    /// The JSON Schema of the payload's newest version; its `$id` is the event's `dataschema`.
    #[cfg(feature = "schema")]
    pub fn schema(&self) -> schemars::Schema {
        titled((self.schema)(), self.name, self.version)
    }
}

#[cfg(feature = "schema")]
pub(crate) fn titled(mut schema: schemars::Schema, event_type: &str, version: i16) -> schemars::Schema {
    schema.insert("$id".to_owned(), dataschema(event_type, version).into());
    schema.insert("title".to_owned(), event_type.into());
    schema
}

macro_rules! catalogue {
    ($($variant:ident = $name:literal $version:literal)+) => {
        /// A decoded payload, in its newest version.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Payload {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant(payload::$variant),
            )+
            /// Of a type that starts with `custom.`: nothing is known of it, no fold takes it.
            Custom,
        }

        $(
            impl EventData for payload::$variant {
                const TYPE: &'static str = $name;
                const VERSION: i16 = $version;
            }

            impl From<payload::$variant> for Payload {
                fn from(payload: payload::$variant) -> Self {
                    Self::$variant(payload)
                }
            }
        )+

        /// Every event type, family by family.
        pub const EVENT_TYPES: &[EventType] = &[$(
            EventType {
                name: $name,
                version: $version,
                decode: read::<payload::$variant>,
                #[cfg(feature = "schema")]
                schema: || schemars::schema_for!(payload::$variant),
            },
        )+];
    };
}

catalogue! {
    OrgRegistered = "org.registered" 1
    OrgUpdated = "org.updated" 1
    OrgDeactivated = "org.deactivated" 1
    UserRegistered = "user.registered" 1
    UserUpdated = "user.updated" 1
    UserDeactivated = "user.deactivated" 1
    LookupValueAdded = "lookup.value_added" 1
    PortalTypeDefined = "portal_type.defined" 1
    PortalTypeRetired = "portal_type.retired" 1
    EndpointRegistered = "endpoint.registered" 1
    EndpointUpdated = "endpoint.updated" 1
    EndpointRetired = "endpoint.retired" 1
    TaskTypeDefined = "task_type.defined" 1
    TaskTypeRetired = "task_type.retired" 1
    TaskSignatureRecorded = "task_signature.recorded" 1
    RequirementSet = "requirement.set" 1
    RequirementWithdrawn = "requirement.withdrawn" 1
    PayerRequirementSet = "payer_requirement.set" 1
    PayerRequirementWithdrawn = "payer_requirement.withdrawn" 1
    OrgPolicySet = "org_policy.set" 1
    OrgPolicyWithdrawn = "org_policy.withdrawn" 1
    RunCreated = "run.created" 1
    RunStarted = "run.started" 1
    RunContextAdded = "run.context_added" 1
    RunEndpointUsed = "run.endpoint_used" 1
    RunCompleted = "run.completed" 1
    RunFailed = "run.failed" 1
    RunCancelled = "run.cancelled" 1
    RunTimedOut = "run.timed_out" 1
    RunRetracted = "run.retracted" 1
    RunReinstated = "run.reinstated" 1
    StepCreated = "step.created" 1
    StepStarted = "step.started" 1
    StepRetried = "step.retried" 1
    StepEventLogged = "step.event_logged" 1
    StepScreenshotCaptured = "step.screenshot_captured" 2
    StepCompleted = "step.completed" 1
    StepFailed = "step.failed" 1
    StepSkipped = "step.skipped" 1
    WorkflowCreated = "workflow.created" 1
    WorkflowRevised = "workflow.revised" 1
    WorkflowArchived = "workflow.archived" 1
    BatchSubmitted = "batch.submitted" 1
    BatchStarted = "batch.started" 1
    BatchCompleted = "batch.completed" 1
    BatchFailed = "batch.failed" 1
    BatchCancelled = "batch.cancelled" 1
    BatchRowAdded = "batch_row.added" 1
    BatchRowStarted = "batch_row.started" 1
    BatchRowCompleted = "batch_row.completed" 1
    BatchRowFailed = "batch_row.failed" 1
    BatchRowSkipped = "batch_row.skipped" 1
    MicroStateObserved = "micro_state.observed" 1
    MicroStateLabelled = "micro_state.labelled" 1
    MacroStateDefined = "macro_state.defined" 1
    UiTransitionObserved = "ui_transition.observed" 1
}

/// The event type of this name, unless the catalogue does not have it.
pub fn find(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.iter().find(|event_type| event_type.name == name)
}

/// The family of an event type: what stands before the first dot.
pub fn family(event_type: &str) -> &str {
    event_type.split_once('.').map_or(event_type, |(family, _)| family)
}

/// The payload of an event of this type and version, as the newest version has it.
///
/// # Errors
/// `unknown_type`, `unknown_version`, `invalid_event`, `invalid_id`, `number_out_of_range` and
/// `invalid_embedding`; the reason names the JSON path.
pub fn decode(event_type: &str, version: i16, data: &str) -> Result<Payload, Refusal> {
    if version < 1 {
        return Err(Refusal::new(Code::InvalidEvent, format!("there is no version {version}; versions count from 1")));
    }
    if event_type.strip_prefix(CUSTOM).is_some_and(|name| !name.is_empty()) {
        return Ok(Payload::Custom);
    }
    let Some(known) = find(event_type) else {
        let reason = format!(
            "this version of runledger knows no event type {event_type:?}; correct it, let it start with `custom.`, \
             or upgrade runledger"
        );
        return Err(Refusal::new(Code::UnknownType, reason));
    };
    if version > known.version {
        let reason = format!(
            "this version of runledger knows {event_type} up to version {}, not {version}; upgrade runledger",
            known.version
        );
        return Err(Refusal::new(Code::UnknownVersion, reason));
    }
    let decode = match upcast::find(event_type, version) {
        Some(upcaster) => upcaster.decode,
        None => known.decode,
    };
    decode(data).map_err(|fault| fault.refusal(known, version))
}

/// What `dataschema` says of this type and version.
pub fn dataschema(event_type: &str, version: i16) -> String {
    format!("{SCHEMA}{event_type}:{version}")
}

/// Why data is no payload of its type and version.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The field at this path is missing.
    Missing(String),
    /// Whatever else.
    Other(Refusal),
}

impl Fault {
    fn refusal(self, known: &EventType, version: i16) -> Refusal {
        let EventType { name, version: newest, .. } = known;
        let Refusal { code, mut reason } = match self {
            Self::Missing(path) => {
                let reason = format!("{path} is missing; version {version} of {name} requires it");
                Refusal::new(Code::InvalidEvent, reason)
            }
            Self::Other(refusal) => refusal,
        };
        if version < *newest {
            let urn = dataschema(name, *newest);
            reason = format!("{reason}. It was read as version {version}; for version {newest} send dataschema {urn}");
        }
        Refusal::new(code, reason)
    }
}

/// Reads a payload of one version; what comes out is of the newest.
pub(crate) fn read<T: DeserializeOwned + Into<Payload>>(data: &str) -> Result<Payload, Fault> {
    // serde would take an array for a struct, field by field.
    if !data.trim_start().starts_with('{') {
        return Err(Fault::Other(Refusal::new(Code::InvalidEvent, "data is not an object; send an object")));
    }
    let payload = serde_json::from_str::<T>(data);
    payload.map(T::into).map_err(|error| located::<T>(data).unwrap_or_else(|| Fault::Other(Refusal::of_serde(&error))))
}

/// Reads again what could not be read, this time noting where; that would slow down every event.
fn located<T: DeserializeOwned>(data: &str) -> Option<Fault> {
    let error = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(data)).err()?;
    let path = error.path().to_string();
    let at = if path == "." { "data".to_owned() } else { format!("data.{path}") };
    let Refusal { code, reason } = Refusal::of_serde(error.inner());
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    Some(match missing {
        Some(field) => Fault::Missing(format!("{at}.{field}")),
        None => Fault::Other(Refusal::new(code, format!("{at}: {reason}"))),
    })
}

#[cfg(test)]
mod tests;
