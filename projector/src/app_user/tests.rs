use super::{AppUser, AppUserRow};
use crate::story::{Told, on, rows_of};

fn user_of(story: impl IntoIterator<Item = Told>) -> Option<AppUserRow> {
    rows_of::<AppUser>(story).pop()
}

fn registered() -> Told {
    on("user.registered", "10:00:00")
        .with(r#""email":"ada@example.org","display_name":"Ada","roles":["biller","admin"]"#)
}

#[test]
fn a_registered_user_is_active_and_has_the_roles_in_the_order_sent() {
    let user = user_of([registered()]).unwrap();
    assert_eq!((user.email.as_str(), user.display_name.as_deref()), ("ada@example.org", Some("Ada")));
    assert_eq!((user.roles, user.status), (vec!["biller".to_owned(), "admin".to_owned()], "active"));
}

#[test]
fn an_update_replaces_the_roles_as_a_whole_and_leaves_what_it_does_not_name() {
    let updated = on("user.updated", "10:00:01").with(r#""email":"ada@example.net","roles":[]"#);
    let user = user_of([updated, registered()]).unwrap();
    assert_eq!((user.email.as_str(), user.display_name.as_deref()), ("ada@example.net", Some("Ada")));
    assert_eq!(user.roles, Vec::<String>::new());
}

#[test]
fn a_deactivated_user_stays_so_until_registered_again() {
    let deactivated = on("user.deactivated", "10:00:05");
    assert_eq!(user_of([deactivated.clone(), registered()]).unwrap().status, "deactivated");
    let again = registered().at("10:00:06".to_owned());
    assert_eq!(user_of([deactivated, registered(), again]).unwrap().status, "active");
}

#[test]
fn a_user_without_an_address_has_no_row() {
    assert_eq!(user_of([on("user.deactivated", "10:00:00")]), None);
}
