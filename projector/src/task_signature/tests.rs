use proptest::prelude::*;

use super::TaskSignature;
use crate::{
    entity::any_order::any_order,
    story::{Told, id, on, rows_of},
};

fn recorded(time: &str, source: &str) -> Told {
    on("task_signature.recorded", time).with(&format!(r#""source":"{source}""#))
}

#[test]
fn what_was_recorded_last_stands_alone() {
    let first = recorded("10:00:00", "ai").with(&format!(r#""alias_of":"{}""#, id(5)));
    let row = rows_of::<TaskSignature>([first.clone()]).pop().unwrap();
    assert_eq!((row.source, row.alias_of.map(|of| of.uuid()), row.step_labels), ("ai", Some(id(5)), Vec::new()));
    let second = recorded("10:00:01", "human").with(r#""step_labels":["log in","search"]"#);
    let row = rows_of::<TaskSignature>([second, first]).pop().unwrap();
    assert_eq!((row.source, row.alias_of, row.step_labels.len()), ("human", None, 2));
}

any_order!(
    TaskSignature,
    ("human|ai", 1..4u128, any::<bool>()).prop_map(|(source, of, is_alias)| match is_alias {
        true => recorded("", &source).with(&format!(r#""alias_of":"{}""#, id(of))),
        false => recorded("", &source).with(&format!(r#""step_labels":["{of}"],"task_type_id":"{}""#, id(of))),
    })
);
