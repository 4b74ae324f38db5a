use super::{Organization, OrganizationRow};
use crate::story::{Told, on, rows_of};

fn org_of(story: impl IntoIterator<Item = Told>) -> Option<OrganizationRow> {
    rows_of::<Organization>(story).pop()
}

fn registered() -> Told {
    on("org.registered", "10:00:00").with(r#""name":"St. Mary","org_type":"hospital","settings":{"tz":"UTC"}"#)
}

#[test]
fn a_registered_org_is_active() {
    let org = org_of([registered()]).unwrap();
    assert_eq!((org.name.as_str(), org.org_type.as_deref(), org.status), ("St. Mary", Some("hospital"), "active"));
    assert_eq!(org.settings, r#"{"tz":"UTC"}"#);
}

#[test]
fn an_update_changes_what_it_names_and_leaves_the_rest() {
    let updated = on("org.updated", "10:00:01").with(r#""name":"St. Mary's","settings":{}"#);
    let org = org_of([registered(), updated]).unwrap();
    assert_eq!(
        (org.name.as_str(), org.org_type.as_deref(), org.settings.as_str()),
        ("St. Mary's", Some("hospital"), "{}")
    );
    assert_eq!((org.updated_at - org.created_at).num_seconds(), 1);
}

#[test]
fn the_later_of_registration_and_deactivation_decides_and_an_update_does_not() {
    let deactivated = on("org.deactivated", "10:00:05");
    let updated = on("org.updated", "10:00:06").with(r#""name":"n""#);
    assert_eq!(org_of([registered(), deactivated.clone(), updated]).unwrap().status, "deactivated");
    let again = registered().at("10:00:07".to_owned());
    assert_eq!(org_of([registered(), deactivated, again]).unwrap().status, "active");
}

#[test]
fn an_org_without_a_name_has_no_row() {
    assert_eq!(org_of([on("org.deactivated", "10:00:00")]), None);
}
