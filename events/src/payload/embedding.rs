//! Embeddings as events bring them: so many numbers, checked when they are read.
//!
//! Such an event has a thousand numbers, so they are read straight into 32-bit floats, and what is wrong with
//! them is said in one sentence with the code `invalid_embedding`.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};

use crate::refusal::{Code, Refusal};

/// So many numbers an embedding of a text has.
pub const TEXT_DIMENSIONS: usize = 768;
/// So many numbers an embedding of an image has.
pub const IMAGE_DIMENSIONS: usize = 512;

/// An embedding of so many numbers, all of them finite and at least one of them not zero.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Embedding<const DIMENSIONS: usize>(Box<[f32]>);

/// No number is NaN, so an embedding equals itself.
impl<const DIMENSIONS: usize> Eq for Embedding<DIMENSIONS> {}

impl<const DIMENSIONS: usize> Embedding<DIMENSIONS> {
    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The numbers, scaled to length 1: cosine distances stay the same, and no sum over them overflows.
    pub fn normalized(&self) -> Vec<f32> {
        let length = self.0.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        self.0.iter().map(|number| (f64::from(*number) / length) as f32).collect()
    }
}

impl<const DIMENSIONS: usize> TryFrom<Vec<f32>> for Embedding<DIMENSIONS> {
    type Error = Refusal;

    fn try_from(numbers: Vec<f32>) -> Result<Self, Refusal> {
        if numbers.len() != DIMENSIONS {
            return Err(refusal(format!("it has {} numbers; send {DIMENSIONS}", numbers.len())));
        }
        if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(refusal(format!("number {place}, from 0, is not finite; send numbers of 32-bit floats")));
        }
        if numbers.iter().all(|number| *number == 0.0) {
            return Err(refusal("all of its numbers are zero, so it points nowhere; leave it out".to_owned()));
        }
        Ok(Self(numbers.into()))
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal::new(Code::InvalidEmbedding, reason)
}

impl<const DIMENSIONS: usize> fmt::Debug for Embedding<DIMENSIONS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({:?}, … of {DIMENSIONS})", self.0.first())
    }
}

impl<'de, const DIMENSIONS: usize> Deserialize<'de> for Embedding<DIMENSIONS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers<const DIMENSIONS: usize>;

        impl<'de, const DIMENSIONS: usize> Visitor<'de> for Numbers<DIMENSIONS> {
            type Value = Vec<f32>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of {DIMENSIONS} numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f32>, A::Error> {
                let mut numbers = Vec::with_capacity(DIMENSIONS);
                while numbers.len() < DIMENSIONS {
                    let Some(Number(number)) = list.next_element()? else { return Ok(numbers) };
                    numbers.push(number);
                }
                let mut more = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    more += 1;
                }
                match more {
                    0 => Ok(numbers),
                    _ => Err(A::Error::custom(refusal(format!(
                        "it has {} numbers; send {DIMENSIONS}",
                        DIMENSIONS + more
                    )))),
                }
            }
        }

        Self::try_from(deserializer.deserialize_seq(Numbers::<DIMENSIONS>)?).map_err(D::Error::custom)
    }
}

/// A number of an embedding. What some encoders write for NaN, `null` or a text, is refused as one.
struct Number(f32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;

        impl NumberVisitor {
            fn no_number<E: Error>(what: &str) -> Result<Number, E> {
                Err(E::custom(refusal(format!("it holds {what} where a number belongs; send finite numbers"))))
            }
        }

        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number as f32))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f32))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f32))
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Number, E> {
                Self::no_number("a text")
            }

            fn visit_unit<E: Error>(self) -> Result<Number, E> {
                Self::no_number("null")
            }
        }

        deserializer.deserialize_any(NumberVisitor)
    }
}

#[cfg(feature = "schema")]
impl<const DIMENSIONS: usize> schemars::JsonSchema for Embedding<DIMENSIONS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Embedding{DIMENSIONS}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array", "items": { "type": "number" }, "minItems": DIMENSIONS, "maxItems": DIMENSIONS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Embedding<3>, (Code, String)> {
        serde_json::from_str(json).map_err(|error| {
            let Refusal { code, reason } = Refusal::of_serde(&error);
            (code, reason)
        })
    }

    #[test]
    fn an_embedding_is_so_many_finite_numbers_however_they_are_written() {
        assert_eq!(read("[1, -0.5, 2e0]").unwrap().as_slice(), [1.0, -0.5, 2.0]);
    }

    #[test]
    fn what_is_no_embedding_is_refused_as_one() {
        for (json, why) in [
            ("[1,2]", "it has 2 numbers; send 3"),
            ("[1,2,3,4,5]", "it has 5 numbers; send 3"),
            ("[]", "it has 0 numbers; send 3"),
            ("[0,0.0,-0]", "all of its numbers are zero"),
            ("[1,1e39,0]", "number 1, from 0, is not finite"),
            ("[1e-60,0,0]", "all of its numbers are zero"),
            (r#"["NaN",1,2]"#, "a text where a number belongs"),
            ("[1,2,null]", "null where a number belongs"),
        ] {
            let (code, reason) = read(json).unwrap_err();
            assert_eq!(code, Code::InvalidEmbedding, "{json}: {reason}");
            assert!(reason.contains(why), "{json}: {reason}");
        }
        assert_eq!(read(r#""1,2,3""#).unwrap_err().0, Code::InvalidEvent);
    }

    #[test]
    fn however_large_or_small_the_numbers_are_the_normalized_ones_have_length_one() {
        for json in ["[3e38,3e38,3e38]", "[1e-40,2e-40,0]", "[1,2,2]"] {
            let squares: f32 = read(json).unwrap().normalized().iter().map(|number| number * number).sum();
            assert!((squares - 1.0).abs() < 1e-5, "{json}: {squares}");
        }
    }
}
