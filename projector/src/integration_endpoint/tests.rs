use proptest::prelude::*;

use super::{IntegrationEndpoint, IntegrationEndpointRow};
use crate::{
    entity::any_order::any_order,
    story::{Told, id, on, rows_of},
};

fn endpoint_of(story: impl IntoIterator<Item = Told>) -> Option<IntegrationEndpointRow> {
    rows_of::<IntegrationEndpoint>(story).pop()
}

fn registered() -> Told {
    on("endpoint.registered", "10:00:00")
        .with(r#""name":"St. Mary","auth_type":"password","secret_ref":"prod/st-mary","settings":{"attempts_max":3}"#)
        .with(&format!(r#""portal_type_id":"{}""#, id(7)))
}

#[test]
fn an_update_changes_what_it_names_and_leaves_the_rest() {
    let updated = on("endpoint.updated", "10:00:01").with(r#""secret_ref":"prod/st-mary-2","settings":{}"#);
    let row = endpoint_of([updated, registered()]).unwrap();
    assert_eq!((row.name.as_str(), row.secret_ref.as_deref()), ("St. Mary", Some("prod/st-mary-2")));
    assert_eq!((row.auth_type.as_deref(), row.settings.as_str()), (Some("password"), "{}"));
    assert_eq!((row.portal_type_id.map(|of| of.uuid()), row.status), (Some(id(7)), "active"));
}

#[test]
fn an_update_does_not_bring_back_what_was_retired_and_a_registration_does() {
    let (retired, updated) = (on("endpoint.retired", "10:00:05"), on("endpoint.updated", "10:00:06"));
    assert_eq!(endpoint_of([registered(), retired.clone(), updated]).unwrap().status, "retired");
    let again = registered().at("10:00:07".to_owned());
    assert_eq!(endpoint_of([registered(), retired, again]).unwrap().status, "active");
}

#[test]
fn an_endpoint_without_a_name_has_no_row() {
    assert_eq!(endpoint_of([on("endpoint.updated", "10:00:00").with(r#""auth_type":"none""#)]), None);
}

any_order!(
    IntegrationEndpoint,
    (0..4u8, "[a-b]").prop_map(|(which, text)| match which {
        0 => on("endpoint.registered", "").with(&format!(r#""name":"{text}","base_url":"{text}""#)),
        1 => on("endpoint.updated", "").with(&format!(r#""secret_ref":"{text}""#)),
        2 => on("endpoint.updated", "").with(&format!(r#""name":"{text}","settings":{{"{text}":1}}"#)),
        _ => on("endpoint.retired", ""),
    })
);
