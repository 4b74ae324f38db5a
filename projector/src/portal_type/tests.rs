use proptest::prelude::*;

use super::{PortalType, PortalTypeRow};
use crate::{
    entity::any_order::any_order,
    story::{Told, on, rows_of},
};

fn portal_type_of(story: impl IntoIterator<Item = Told>) -> Option<PortalTypeRow> {
    rows_of::<PortalType>(story).pop()
}

fn defined() -> Told {
    on("portal_type.defined", "10:00:00").with(r#""name":"Northwind","channel_type":"web","settings":{"n":1.50}"#)
}

#[test]
fn a_definition_replaces_the_one_before_as_a_whole() {
    let first = portal_type_of([defined()]).unwrap();
    assert_eq!((first.channel_type.as_deref(), first.settings.as_str()), (Some("web"), r#"{"n":1.50}"#));
    let again = on("portal_type.defined", "10:00:01").with(r#""name":"Northwind Health""#);
    let row = portal_type_of([again, defined()]).unwrap();
    assert_eq!((row.name.as_str(), row.channel_type, row.settings.as_str()), ("Northwind Health", None, "{}"));
}

#[test]
fn what_is_retired_is_active_again_when_it_is_defined_again() {
    let retired = on("portal_type.retired", "10:00:05");
    assert_eq!(portal_type_of([retired.clone(), defined()]).unwrap().status, "retired");
    let again = defined().at("10:00:06".to_owned());
    assert_eq!(portal_type_of([again, retired.clone(), defined()]).unwrap().status, "active");
    assert_eq!(portal_type_of([retired]), None);
}

any_order!(
    PortalType,
    (0..3u8, "[a-b]").prop_map(|(which, name)| match which {
        0 => on("portal_type.defined", "").with(&format!(r#""name":"{name}""#)),
        1 => on("portal_type.defined", "").with(&format!(r#""name":"{name}","base_url":"{name}""#)),
        _ => on("portal_type.retired", ""),
    })
);
