//! Older versions of payloads, and the step from each to the version after it.
//!
//! An event keeps the version that it was written with; [`crate::catalogue::decode`] reads it strictly
//! as that version and takes it from step to step to the newest, for the door, the folds, replay and
//! as-of alike. A step is a pure function, [`From`]. To add a version: move the payload's struct into
//! `v1.rs` below its file, write the new struct and `From` one to the other, put a line into the list
//! below and raise the version in the catalogue. Tests fail until each older version has its step.

use crate::{
    catalogue::{self, Fault, Payload},
    payload::{self, step_screenshot_captured},
};

/// Reads a version of a type that is no longer the newest.
#[derive(Clone, Copy, Debug)]
pub struct Upcaster {
    /// `<family>.<past-tense verb>`.
    pub event_type: &'static str,
    /// The older version.
    pub version: i16,
    pub(crate) decode: fn(&str) -> Result<Payload, Fault>,
    #[cfg(feature = "schema")]
    schema: fn() -> schemars::Schema,
}

impl Upcaster {
    /// The JSON Schema of the older version.
    #[cfg(feature = "schema")]
    pub fn schema(&self) -> schemars::Schema {
        catalogue::titled((self.schema)(), self.event_type, self.version)
    }
}

macro_rules! upcasters {
    ($($event_type:literal $version:literal: $from:path => $to:path)+) => {
        $(
            impl From<$from> for Payload {
                fn from(older: $from) -> Self {
                    <$to>::from(older).into()
                }
            }
        )+

        /// Every older version of every type.
        pub const UPCASTERS: &[Upcaster] = &[$(
            Upcaster {
                event_type: $event_type,
                version: $version,
                decode: catalogue::read::<$from>,
                #[cfg(feature = "schema")]
                schema: || schemars::schema_for!($from),
            },
        )+];
    };
}

upcasters! {
    "step.screenshot_captured" 1: step_screenshot_captured::v1::StepScreenshotCaptured => payload::StepScreenshotCaptured
}

/// The upcaster of this version, unless it is the newest or there is none such.
pub fn find(event_type: &str, version: i16) -> Option<&'static Upcaster> {
    UPCASTERS.iter().find(|upcaster| upcaster.version == version && upcaster.event_type == event_type)
}

#[cfg(test)]
mod tests;
