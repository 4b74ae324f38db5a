//! Integers of payloads: any JSON number that is one, `1e2` as well as `100`, within its column.
//!
//! The payload files name these functions in `deserialize_with`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

use crate::refusal::{Code, Refusal};

/// Beyond this a 64-bit float no longer tells neighbouring integers apart.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// An integer, or none for `null`.
pub fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    deserializer.deserialize_option(Integer(PhantomData))
}

/// The attempt of a step: 0 or more, 0 for `null`.
pub fn attempt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    at_least(0, optional(deserializer)?.unwrap_or(0))
}

/// How many there are: 0 or more, or none for `null`.
pub fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    optional(deserializer)?.map(|count| at_least(0, count)).transpose()
}

/// What is counted from 1, such as the attempt that a retry begins.
pub fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    at_least(1, deserializer.deserialize_i64(Integer(PhantomData))?.unwrap_or(0))
}

fn at_least<E: Error>(least: i32, number: i32) -> Result<i32, E> {
    if number >= least {
        return Ok(number);
    }
    Err(E::custom(Refusal::new(Code::InvalidEvent, format!("it is {number}; send {least} or more"))))
}

struct Integer<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Integer<T> {
    fn fit<E: Error>(integer: impl TryInto<i64> + fmt::Display + Copy) -> Result<Option<T>, E> {
        let fitting = integer.try_into().ok().and_then(|integer| T::try_from(integer).ok());
        fitting.map(Some).ok_or_else(|| out_of_range::<T, E>(integer))
    }
}

fn out_of_range<T, E: Error>(number: impl fmt::Display) -> E {
    let bits = size_of::<T>() * 8;
    E::custom(Refusal::new(Code::NumberOutOfRange, format!("{number} is no integer of {bits} bits")))
}

impl<'de, T: TryFrom<i64>> Visitor<'de> for Integer<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Self::Value, E> {
        Self::fit(integer)
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<Self::Value, E> {
        Self::fit(integer)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(serde::de::Unexpected::Float(number), &self));
        }
        if number.abs() > EXACT_MAX {
            return Err(out_of_range::<T, E>(number));
        }
        Self::fit(number as i64)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_i64(self)
    }
}
