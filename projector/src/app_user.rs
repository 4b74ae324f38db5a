//! The people and service accounts of an org: `app_user`. The subject is the user.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{OrgId, UserId},
    payload::value::{Text, TextList},
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp},
    write::{column, json_array, texts},
};

/// The fold of a user's events.
pub type AppUser = Entity<UserAttributes>;

/// What the events of a user say about them.
#[derive(Debug, Default)]
pub struct UserAttributes {
    email: Latest<String>,
    display_name: Latest<String>,
    roles: Latest<Vec<String>>,
}

/// A row of `app_user`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct AppUserRow {
    pub org_id: OrgId,
    pub user_id: UserId,
    pub email: String,
    pub display_name: Option<String>,
    pub roles: Vec<String>,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Attributes for UserAttributes {
    const TABLE: &'static str = "app_user";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "user";
    const TYPES: &'static [&'static str] = &["user.registered", "user.updated", "user.deactivated"];
    type Row = AppUserRow;
    const COLUMNS: &'static [Column<AppUserRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("user_id", |row, value| value.uuid(row.user_id.uuid())),
        ("email", |row, value| value.text(row.email.as_str())),
        ("display_name", |row, value| value.text(row.display_name.as_deref())),
        ("roles", |row, value| value.text_array(row.roles.iter().map(String::as_str))),
        ("status", |row, value| value.text(row.status)),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        match payload {
            Payload::UserRegistered(sent) => {
                self.know(stamp, sent.email, sent.display_name, sent.roles);
                Some(true)
            }
            Payload::UserUpdated(sent) => {
                self.know(stamp, sent.email, sent.display_name, sent.roles);
                None
            }
            Payload::UserDeactivated(_) => Some(false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => None,
        }
    }

    fn row(&self, standing: Standing) -> Option<AppUserRow> {
        Some(AppUserRow {
            org_id: standing.subject.org_id,
            user_id: UserId::try_from(standing.subject.subject_id.uuid()).ok()?,
            email: self.email.get()?.clone(),
            display_name: self.display_name.get().cloned(),
            roles: self.roles.get().cloned().unwrap_or_default(),
            status: standing.status("deactivated"),
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[AppUserRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        query_file!(
            "src/app_user/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.user_id.uuid()),
            &column(rows, |row| row.email.as_str()) as _,
            &column(rows, |row| row.display_name.as_deref()) as _,
            &column(rows, |row| json_array(&row.roles)),
            &column(rows, |row| row.status) as _,
            &column(rows, |row| row.created_at),
            &column(rows, |row| row.updated_at),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl UserAttributes {
    fn know(&mut self, stamp: Stamp, email: Text, display_name: Option<Text>, roles: Option<TextList>) {
        self.email.offer(stamp, email.into());
        self.display_name.offer_some(stamp, display_name.map(String::from));
        self.roles.offer_some(stamp, roles.as_ref().map(texts));
    }
}

#[cfg(test)]
mod tests;
