//! The people and service accounts of an org: `app_user`. The subject is the user.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EventId, OrgId, UserId},
    payload::value::{Text, TextList},
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::{Column, Copy},
    fold::{Latest, Span, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
    write::column,
};

/// What the events of a user say about them.
#[derive(Debug, Default)]
pub struct AppUser {
    seen: HashSet<EventId>,
    changed: bool,
    span: Span,
    email: Latest<String>,
    display_name: Latest<String>,
    roles: Latest<Vec<String>>,
    active: Latest<bool>,
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

const COLUMNS: &[Column<AppUserRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("user_id", |row, value| value.uuid(row.user_id.uuid())),
    ("email", |row, value| value.text(row.email.as_str())),
    ("display_name", |row, value| value.text(row.display_name.as_deref())),
    ("roles", |row, value| value.text_array(row.roles.iter().map(String::as_str))),
    ("status", |row, value| value.text(row.status)),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

impl Projection for AppUser {
    const NAME: &'static str = "app_user";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["app_user"];
    const FAMILIES: &'static [&'static str] = &["user"];
    const TYPES: &'static [&'static str] = &["user.registered", "user.updated", "user.deactivated"];
    type Rows = Vec<AppUserRow>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if !self.seen.insert(event.stamp.event_id) {
            return;
        }
        let Content::Payload(payload) = event.content else { return };
        let stamp = event.stamp;
        self.changed = true;
        self.span.include(stamp.time);
        match *payload {
            Payload::UserRegistered(sent) => {
                self.active.offer(stamp, true);
                self.know(stamp, sent.email, sent.display_name, sent.roles);
            }
            Payload::UserUpdated(sent) => self.know(stamp, sent.email, sent.display_name, sent.roles),
            Payload::UserDeactivated(_) => self.active.offer(stamp, false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Self::Rows) -> usize {
        if !std::mem::take(&mut self.changed) {
            return 0;
        }
        rows.extend(self.row(subject));
        self.weight()
    }

    fn forget_changes(&mut self) {
        self.changed = false;
    }

    fn copy(rows: &Self::Rows) -> Vec<Copy> {
        vec![Copy::of(Self::NAME, COLUMNS, rows)]
    }

    fn weight(&self) -> usize {
        let texts = [&self.email, &self.display_name].map(|text| text.get().map_or(0, String::len));
        let roles = self.roles.get().map_or(0, |roles| roles.iter().map(|role| role.len() + 24).sum::<usize>());
        size_of::<Self>() + self.seen.len() * 32 + texts.iter().sum::<usize>() + roles
    }

    async fn write(rows: &Self::Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        query_file!(
            "src/app_user/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.user_id.uuid()),
            &column(rows, |row| row.email.as_str()) as _,
            &column(rows, |row| row.display_name.as_deref()) as _,
            &column(rows, |row| serde_json::Value::from(row.roles.as_slice()).to_string()),
            &column(rows, |row| row.status) as _,
            &column(rows, |row| row.created_at),
            &column(rows, |row| row.updated_at),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl AppUser {
    fn know(&mut self, stamp: Stamp, email: Text, display_name: Option<Text>, roles: Option<TextList>) {
        self.email.offer(stamp, email.into());
        self.display_name.offer_some(stamp, display_name.map(String::from));
        let texts = |roles: TextList| roles.as_slice().iter().map(|role| role.as_str().to_owned()).collect();
        self.roles.offer_some(stamp, roles.map(texts));
    }

    /// The user's row, once the address is known.
    fn row(&self, subject: Subject) -> Option<AppUserRow> {
        let (created_at, updated_at) = self.span.bounds()?;
        Some(AppUserRow {
            org_id: subject.org_id,
            user_id: UserId::try_from(subject.subject_id.uuid()).ok()?,
            email: self.email.get()?.clone(),
            display_name: self.display_name.get().cloned(),
            roles: self.roles.get().cloned().unwrap_or_default(),
            status: if self.active.get() == Some(&false) { "deactivated" } else { "active" },
            created_at,
            updated_at,
        })
    }
}

#[cfg(test)]
mod tests;
