//! Rules: JSON Logic (jsonlogic.com), so that a form in a browser, a service in any language and this program come
//! to the same answer.
//!
//! A rule is checked when it comes in: operators of JSON Logic with the number of arguments that they take. `map`,
//! `filter` and `reduce` are left out, and going through a list within going through a list is refused, because a
//! small rule could otherwise take any amount of time or memory; `log`, because it is none.

use datalogic_rs::Engine;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use super::value::Json;
use crate::refusal::{Code, Refusal};

/// The longest rule, in bytes.
const BYTES_MAX: usize = 8 * 1024;

/// The operators, each with how many arguments it takes, from and to.
const OPERATORS: &[(&str, usize, usize)] = &[
    ("var", 1, 2),
    ("missing", 1, usize::MAX),
    ("missing_some", 2, 2),
    ("if", 2, usize::MAX),
    ("?:", 3, 3),
    ("==", 2, 2),
    ("===", 2, 2),
    ("!=", 2, 2),
    ("!==", 2, 2),
    ("!", 1, 1),
    ("!!", 1, 1),
    ("or", 1, usize::MAX),
    ("and", 1, usize::MAX),
    (">", 2, 2),
    (">=", 2, 2),
    ("<", 2, 3),
    ("<=", 2, 3),
    ("max", 1, usize::MAX),
    ("min", 1, usize::MAX),
    ("+", 1, usize::MAX),
    ("-", 1, 2),
    ("*", 2, usize::MAX),
    ("/", 2, 2),
    ("%", 2, 2),
    ("all", 2, 2),
    ("none", 2, 2),
    ("some", 2, 2),
    ("in", 2, 2),
    ("merge", 1, usize::MAX),
    ("cat", 1, usize::MAX),
    ("substr", 2, 3),
];

/// Those that go through a list.
const THROUGH_LISTS: [&str; 3] = ["all", "none", "some"];

/// When a conditional requirement holds: an operation of JSON Logic over what is known of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Rule(Json);

/// The rule cannot be evaluated over this data, as when it divides by zero.
#[derive(Debug, thiserror::Error)]
#[error("the rule {rule} has no answer: {why}")]
pub struct NoAnswer {
    rule: String,
    why: String,
}

impl Rule {
    /// The rule as it was sent.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the rule holds for this JSON object, the context of a run.
    ///
    /// # Errors
    /// When the rule cannot be evaluated over it.
    pub fn holds(&self, context: &str) -> Result<bool, NoAnswer> {
        let truth = format!("{{\"!!\":[{}]}}", self.as_str());
        let answer = Engine::new().eval_str(truth.as_str(), context);
        answer
            .map(|answer| answer == "true")
            .map_err(|error| NoAnswer { rule: self.as_str().to_owned(), why: error.to_string() })
    }
}

impl From<Rule> for Json {
    fn from(Rule(json): Rule) -> Self {
        json
    }
}

impl TryFrom<Json> for Rule {
    type Error = Refusal;

    fn try_from(json: Json) -> Result<Self, Refusal> {
        let bytes = json.as_str().len();
        if bytes > BYTES_MAX {
            return Err(refusal("", &format!("it has {bytes} bytes; send at most {BYTES_MAX}")));
        }
        let value: Value = serde_json::from_str(json.as_str()).map_err(|error| Refusal::of_serde(&error))?;
        if !value.is_object() {
            return Err(refusal("", "it is no operation; send one, such as {\"==\":[{\"var\":\"plan\"},\"HMO\"]}"));
        }
        check(&value, "", false)?;
        Ok(Self(json))
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

fn check(value: &Value, path: &str, is_in_list: bool) -> Result<(), Refusal> {
    match value {
        Value::Array(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(place, value)| check(value, &format!("{path}/{place}"), is_in_list)),
        Value::Object(members) => {
            let mut members = members.iter();
            let (Some((name, arguments)), None) = (members.next(), members.next()) else {
                return Err(refusal(path, "an operation is an object with one member, its operator"));
            };
            let arguments_count = arguments.as_array().map_or(1, Vec::len);
            let Some((_, least, most)) = OPERATORS.iter().find(|(operator, ..)| operator == name) else {
                let known: Vec<_> = OPERATORS.iter().map(|(operator, ..)| *operator).collect();
                return Err(refusal(path, &format!("there is no operator {name:?}; use one of {}", known.join(" "))));
            };
            if !(*least..=*most).contains(&arguments_count) {
                let count = match *most {
                    usize::MAX => format!("{least} or more"),
                    most if most == *least => least.to_string(),
                    most => format!("{least} to {most}"),
                };
                return Err(refusal(path, &format!("{name:?} has {arguments_count} arguments; give it {count}")));
            }
            let goes_through_list = THROUGH_LISTS.contains(&name.as_str());
            if goes_through_list && is_in_list {
                return Err(refusal(path, &format!("{name:?} stands within another that goes through a list")));
            }
            check(arguments, &format!("{path}/{name}"), is_in_list || goes_through_list)
        }
        _ => Ok(()),
    }
}

fn refusal(path: &str, why: &str) -> Refusal {
    let at = if path.is_empty() { String::new() } else { format!("at {path}: ") };
    Refusal::new(Code::InvalidEvent, format!("it is no JSON Logic rule: {at}{why}"))
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Rule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "minProperties": 1, "maxProperties": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_holds_or_not_for_a_context() {
        let adult = rule(r#"{"and":[{">=":[{"var":"age"},18]},{"in":[{"var":"plan.type"},["HMO","EPO"]]}]}"#).unwrap();
        assert!(adult.holds(r#"{"age":18,"plan":{"type":"EPO"}}"#).unwrap());
        assert!(!adult.holds(r#"{"age":18,"plan":{"type":"PPO"}}"#).unwrap());
        assert!(!adult.holds("{}").unwrap());
        let some = rule(r#"{"some":[{"var":"codes"},{"==":[{"var":""},"E11"]}]}"#).unwrap();
        assert!(some.holds(r#"{"codes":["I10","E11"]}"#).unwrap());
        assert!(!some.holds(r#"{"codes":[]}"#).unwrap());
    }

    #[test]
    fn a_rule_without_an_answer_says_so() {
        let error = rule(r#"{"==":[{"%":[1,{"var":"n"}]},0]}"#).unwrap().holds(r#"{"n":0}"#).unwrap_err();
        assert!(error.to_string().contains("has no answer"), "{error}");
    }

    #[test]
    fn what_is_no_json_logic_is_refused_with_the_place() {
        for (text, why) in [
            (r#""plan == HMO""#, "no operation"),
            ("true", "no operation"),
            (r#"{"frobnicate":[1]}"#, "frobnicate"),
            (r#"{"and":[true,{"==":[1]}]}"#, "at /and/1: \"==\" has 1 arguments"),
            (r#"{"==":[1,2],"!=":[1,2]}"#, "one member"),
            (r#"{"!":[{}]}"#, "at /!/0"),
            (r#"{"reduce":[[1,2],{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"x"]}"#, "reduce"),
            (r#"{"some":[[1,2],{"some":[[1,2],true]}]}"#, "at /some/1"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let long = format!(r#"{{"==":[1,"{}"]}}"#, "x".repeat(BYTES_MAX));
        assert!(rule(&long).unwrap_err().contains("at most"));
    }

    #[test]
    fn every_operator_is_one_that_the_engine_has() {
        let known: Vec<_> = Engine::new().builtin_operator_names().collect();
        for (operator, ..) in OPERATORS {
            assert!(known.contains(operator), "{operator}");
        }
    }
}
