use proptest::prelude::*;

use super::TaskType;
use crate::{
    entity::any_order::any_order,
    story::{Told, on, rows_of},
};

fn defined() -> Told {
    on("task_type.defined", "10:00:00")
        .with(r#""domain":"eligibility","action":"verify","display_name":"Verify eligibility""#)
}

#[test]
fn a_task_type_has_what_its_latest_definition_says() {
    let first = defined().with(r#""x12_transaction":"270/271""#);
    let row = rows_of::<TaskType>([first.clone()]).pop().unwrap();
    assert_eq!(
        (row.domain.as_str(), row.action.as_str(), row.display_name.as_str()),
        ("eligibility", "verify", "Verify eligibility")
    );
    assert_eq!((row.x12_transaction.as_deref(), row.status), (Some("270/271"), "active"));
    let row = rows_of::<TaskType>([defined().at("10:00:01".to_owned()), first]).pop().unwrap();
    assert_eq!((row.x12_transaction, (row.updated_at - row.created_at).num_seconds()), (None, 1));
}

any_order!(
    TaskType,
    (0..3u8, 270..279u16).prop_map(|(which, set)| match which {
        0 => defined(),
        1 => defined().with(&format!(r#""x12_transaction":"{set}""#)),
        _ => on("task_type.retired", ""),
    })
);
