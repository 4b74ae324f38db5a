//! How far the projections are, for commands. Asked in a role that reads across orgs.

use events::id::{OrgId, Seq};
use ledger::read::{self, Limit, ReadError};
use serde::Serialize;
use sqlx::{PgConnection, query, query_scalar};

use crate::{
    checkpoint::{self, Behind},
    generation::{Generations, SERVING},
    registry::{Registration, RegistryError, registry},
};

/// So many orgs that are behind are looked at for the reason.
const ORGS_EXAMINED_MAX: usize = 100;

/// How far a projection is.
#[derive(Clone, Debug, Serialize)]
pub struct ProjectionLag {
    /// The projection.
    pub projection: &'static str,
    /// The version of its fold that this program has.
    pub version: i32,
    /// The version of the fold that made the tables which serve; none before a projector has run.
    pub serving_version: Option<i32>,
    /// Orgs that it has not folded up to their head.
    pub orgs_behind: usize,
    /// Events of theirs that wait to be folded.
    pub lag_events: i64,
    /// Events that it could not take.
    pub parked: i64,
    /// Where it stops, for good, before an event that only a newer program can fold: the first such
    /// org, and why.
    pub stopped: Option<String>,
    /// What it waits for, outside of PostgreSQL, and since when.
    pub paused: Option<String>,
}

/// Trouble with finding out.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while the projections' status was read: {0}")]
    Database(#[from] sqlx::Error),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The projections contradict each other.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// How far each projection is.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn status(conn: &mut PgConnection) -> Result<Vec<ProjectionLag>, StatusError> {
    let projections = registry()?;
    let generations = Generations::read(conn).await?;
    let serving = serving(projections, &generations);
    let behind = checkpoint::behind(conn, &serving).await?;
    let parked =
        query!(r#"SELECT projection, version, count(*) AS "parked!" FROM ledger.parked GROUP BY projection, version"#);
    let parked = parked.fetch_all(&mut *conn).await?;
    // A process that waits tries again and again; what is older was left by one that has ended.
    let pauses = query!(
        "SELECT projection, reason, since FROM ledger.projection_pause WHERE tried_at > now() - interval '5 minutes'"
    );
    let pauses = pauses.fetch_all(&mut *conn).await?;
    let mut lags = Vec::new();
    for (place, projection) in projections.iter().enumerate() {
        let behind: Vec<_> = behind.iter().filter(|behind| behind.projection == place).collect();
        let serving_version = generations.at(projection.name, SERVING).map(|serving| serving.version);
        let version = serving_version.unwrap_or(projection.version);
        let parked = parked.iter().find(|row| row.projection == projection.name && row.version == version);
        let paused = pauses.iter().find(|row| row.projection == projection.name && !behind.is_empty());
        lags.push(ProjectionLag {
            projection: projection.name,
            version: projection.version,
            orgs_behind: behind.len(),
            serving_version,
            lag_events: behind.iter().map(|behind| behind.events()).sum(),
            parked: parked.map_or(0, |row| row.parked),
            stopped: stopped(conn, projection, &behind).await?,
            // What is caught up waits for nothing any more.
            paused: paused.map(|row| format!("since {}: {}", row.since.format("%Y-%m-%d %H:%M:%S"), row.reason)),
        });
    }
    Ok(lags)
}

/// The numbers of the generations that serve; 0, of which nothing is known, before a projector has run.
fn serving<'p>(projections: &'p [Registration], generations: &Generations) -> Vec<(&'p str, i32)> {
    let number = |name| generations.at(name, SERVING).map_or(0, |serving| serving.generation);
    projections.iter().map(|projection| (projection.name, number(projection.name))).collect()
}

/// A projection stops right before the event that it cannot fold, so the event after the checkpoint
/// tells.
async fn stopped(
    conn: &mut PgConnection,
    projection: &Registration,
    behind: &[&Behind],
) -> Result<Option<String>, StatusError> {
    let limit = Limit { events_max: 1, bytes_max: usize::MAX };
    for Behind { org_id, seq, .. } in behind.iter().take(ORGS_EXAMINED_MAX) {
        let page = read::events_after(conn, *org_id, seq.unwrap_or(Seq::ZERO), projection.families, limit).await?;
        let next = page.events.first();
        if let Some((recorded, refusal)) = next.and_then(|next| Some((next, (projection.stops_at)(next)?))) {
            return Ok(Some(format!("org {org_id} at seq {}: {}", recorded.seq, refusal.reason)));
        }
    }
    Ok(None)
}

/// Up to which seq of an org all read models that serve are.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn projected_through(conn: &mut PgConnection, org_id: OrgId) -> Result<Seq, StatusError> {
    let generations = Generations::read(conn).await?;
    let serving = serving(registry()?, &generations).into_iter();
    let (names, numbers): (Vec<_>, Vec<_>) = serving.map(|(name, number)| (name.to_owned(), number)).unzip();
    let through = query_scalar!(
        r#"SELECT min(coalesce(c.seq, 0)) AS "seq: Seq"
           FROM UNNEST($1::text[], $2::int[]) AS p (projection, generation)
           LEFT JOIN ledger.checkpoint c
               ON c.projection = p.projection AND c.generation = p.generation AND c.org_id = $3"#,
        &names,
        &numbers,
        org_id as OrgId
    );
    Ok(through.fetch_one(conn).await?.unwrap_or(Seq::ZERO))
}
