//! What comes after a screen.

use std::collections::{BTreeMap, HashMap};

use events::id::{MicroStateId, OrgId};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::prediction::{Support, predict};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A screen.
    Micro,
    /// A kind of screen.
    Macro,
}

/// A state that may come next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextState {
    /// A micro-state, or a macro-state, or a micro-state of no kind.
    pub state: Uuid,
    /// What its id is one of.
    pub level: Level,
    /// From 0 to 1.
    pub probability: f64,
    /// How often it came after the screen itself.
    pub micro_support: i64,
    /// How often it came after screens of its kind, itself among them; 0 where it is of none.
    pub macro_support: i64,
    /// The action that led there most often.
    pub action: String,
    /// The kind of screen that it is.
    pub macro_state_id: Option<Uuid>,
    /// What people call that.
    pub name: Option<String>,
    /// Its label, or that of its kind.
    pub label: Option<String>,
    /// The title of the screen, or of the first of its kind.
    pub title: Option<String>,
}

/// What may come after this screen, the likeliest first, and how many there are in all: see [`crate::prediction`]. By
/// any action, or by this one.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn next_state_list(
    conn: &mut PgConnection,
    org_id: OrgId,
    from: MicroStateId,
    action: Option<&str>,
    level: Level,
    limit: usize,
) -> Result<Vec<NextState>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/query/prediction/counts.sql",
        org_id as OrgId,
        from as MicroStateId,
        action,
        level == Level::Macro
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    let support = |micro, of_kind| Support { micro, of_kind };
    let counts: BTreeMap<_, _> = rows.iter().map(|row| (row.state, support(row.micro, row.of_kind))).collect();
    let mut predictions = predict(&counts);
    predictions.truncate(limit);
    let states: Vec<_> = predictions.iter().map(|prediction| prediction.state).collect();
    let described =
        sqlx::query_file!("src/query/prediction/describe.sql", org_id as OrgId, &states, level == Level::Macro);
    let mut described: HashMap<_, _> =
        described.fetch_all(conn).await?.into_iter().map(|row| (row.state, row)).collect();
    let actions: HashMap<_, _> = rows.into_iter().map(|row| (row.state, row.action)).collect();
    let next = predictions.into_iter().map(|prediction| {
        let described = described.remove(&prediction.state);
        let (macro_state_id, name, label, title) = match described {
            Some(row) => (row.macro_state_id, row.name, row.label, row.title),
            None => (None, None, None, None),
        };
        NextState {
            state: prediction.state,
            level: if macro_state_id == Some(prediction.state) { Level::Macro } else { Level::Micro },
            probability: prediction.probability,
            micro_support: prediction.support.micro,
            macro_support: prediction.support.of_kind,
            action: actions.get(&prediction.state).cloned().unwrap_or_default(),
            macro_state_id,
            name,
            label,
            title,
        }
    });
    Ok(next.collect())
}

/// The orgs in which something is known of this screen.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn micro_state_orgs(conn: &mut PgConnection, of: MicroStateId) -> Result<Vec<OrgId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT org_id AS "org_id: OrgId" FROM micro_state WHERE micro_state_id = $1 ORDER BY org_id"#,
        of as MicroStateId
    )
    .fetch_all(conn)
    .await
}
