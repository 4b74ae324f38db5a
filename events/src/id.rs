//! The ids of everything that events name: UUIDs as newtypes, parsed at the edge, never nil.
//!
//! An id is a hyphenated UUID of 36 characters; letters of either case are read, lower case is
//! written. The one list below is the registry: a new kind of id is one line in it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use crate::refusal::{Code, Refusal};

/// Text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no valid id: {why}; send a hyphenated UUID such as 018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21")]
pub struct InvalidId {
    text: String,
    why: &'static str,
}

impl InvalidId {
    /// Whether it is the nil UUID, which is well-formed but stands for nothing.
    pub fn is_nil(&self) -> bool {
        self.why == NIL
    }
}

const NIL: &str = "the nil UUID stands for nothing";

fn parse(text: &str) -> Result<Uuid, InvalidId> {
    let invalid = |why| InvalidId { text: text.chars().take(64).collect(), why };
    if text.len() != 36 {
        return Err(invalid("a UUID has 36 characters"));
    }
    let uuid =
        Uuid::try_parse(text).map_err(|_| invalid("it is not made of hexadecimal digits and hyphens as a UUID is"))?;
    if uuid.is_nil() {
        return Err(invalid(NIL));
    }
    Ok(uuid)
}

struct IdVisitor;

impl de::Visitor<'_> for IdVisitor {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse(text).map_err(|error| E::custom(Refusal::new(Code::InvalidId, error.to_string())))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline, transparent))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, unique in the world; ids made later sort later.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as a plain UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl TryFrom<Uuid> for $name {
            type Error = InvalidId;

            /// Fails for the nil UUID only.
            fn try_from(uuid: Uuid) -> Result<Self, InvalidId> {
                if uuid.is_nil() { parse(&uuid.to_string()).map(Self) } else { Ok(Self(uuid)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(IdVisitor).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )+};
}

ids! {
    /// An organisation: whose data it is. Leads every key and every subject.
    OrgId
    /// An event, unique within its org: the idempotency key.
    EventId
    /// What an event is about: for run and step events the run, for others the org, the user, the workflow, the batch.
    SubjectId
    /// A run of a workflow.
    RunId
    /// A step of a run. Unique within its run only.
    StepId
    /// A workflow definition.
    WorkflowId
    /// A node of a workflow's graph.
    NodeId
    /// A person or a service account of an org.
    UserId
    /// A portal, phone line or fax line that a run used.
    EndpointId
    /// A kind of portal, such as a payer's or a clearing house's.
    PortalTypeId
    /// A kind of task that runs carry out.
    TaskTypeId
    /// Who pays for care: an insurer, or a public programme.
    PayerId
    /// A way of carrying out a task on a portal.
    TaskSignatureId
    /// A batch of rows, each of which causes a run.
    BatchId
    /// A row of a batch. Unique within its batch only.
    RowId
    /// A screen as a service saw it.
    MicroStateId
    /// Screens that are one and the same to a service.
    MacroStateId
}

/// The org whose data everyone may read. It is registered by the system.
pub const SHARED_ORG: OrgId = OrgId(Uuid::from_u128(0x00000000_0000_4000_8000_000000000001));

impl RunId {
    /// The run that a run or step event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of this run's events.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl WorkflowId {
    /// The workflow that a workflow event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of this workflow's events.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl BatchId {
    /// The batch that an event of it or of its rows with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of the events of this batch and of its rows.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl OrgId {
    /// The subject of this org's own events, such as `org.registered`.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl TaskTypeId {
    /// The task type that an event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of this task type's events, and of what everyone has to know for it.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl PayerId {
    /// The payer that a payer_requirement event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of what this payer wants to know.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl MicroStateId {
    /// The screen that a micro_state event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }

    /// The subject of this screen's events.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

impl MacroStateId {
    /// The kind of screen that a macro_state event with this subject is about.
    pub const fn of_subject(subject: SubjectId) -> Self {
        Self(subject.0)
    }
}

impl UserId {
    /// The subject of this user's events.
    pub const fn subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

/// The place of an event in its org's ledger: 1, 2, 3 … without gaps. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct Seq(i64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The seq with this number; negative numbers are read as zero.
    pub const fn new(number: i64) -> Self {
        Self(if number < 0 { 0 } else { number })
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The seq that follows.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_hyphenated_uuid_that_is_not_nil() {
        assert!("018F6E2A-7c1b-7d60-9a33-5b1f4c0d9e21".parse::<RunId>().is_ok());
        for bad in [
            "",
            "018f6e2a7c1b7d609a335b1f4c0d9e21",
            "{018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21}",
            "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e2g",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
