//! The flags by which commands show things as they were.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use events::{
    id::{OrgId, SHARED_ORG, Seq},
    time,
};
use ledger::read;
use projector::{
    history::{self, KnownAt, Point},
    registration,
};
use sqlx::PgConnection;

use crate::output;

/// As it was, by when things happened, by when they were known, or both.
#[derive(Args, Clone, Copy)]
pub struct PointArgs {
    /// Only what had happened by this time (RFC 3339), whenever it was recorded
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    as_of: Option<DateTime<Utc>>,
    /// Only what had been recorded by this time (RFC 3339), or up to this seq of the org's ledger
    #[arg(long, value_name = "TIME|SEQ")]
    known_at: Option<KnownAt>,
}

impl PointArgs {
    /// The point, unless it is now.
    pub fn past(self) -> Option<Point> {
        let point = Point { as_of: self.as_of, known_at: self.known_at };
        (point != Point::NOW).then_some(point)
    }
}

/// Refuses a seq that the org's ledger has not come to: the present is not what was known then. Says so of a
/// time that is yet to come.
pub async fn check_is_past(conn: &mut PgConnection, org_id: OrgId, point: Point) -> anyhow::Result<()> {
    let known_time = match point.known_at {
        Some(KnownAt::Seq(seq)) => {
            let head = read::head(conn, org_id).await?.unwrap_or(Seq::ZERO);
            if seq > head {
                bail!(
                    "the ledger of org {org_id} ends at seq {head} and has no seq {seq}; a time is written as in {}",
                    time::format(time::now())
                );
            }
            None
        }
        Some(KnownAt::Time(time)) => Some(time),
        None => None,
    };
    for time in point.as_of.into_iter().chain(known_time).filter(|time| *time > time::now()) {
        eprintln!("{} is yet to come: this is what is known now", time::format(time));
    }
    Ok(())
}

/// Puts the projection's tables of this connection back to the point, if one is given: those of one org.
pub async fn recall_org(
    conn: &mut PgConnection,
    projection: &str,
    org_id: Option<OrgId>,
    point: PointArgs,
) -> anyhow::Result<()> {
    let Some(point) = point.past() else { return Ok(()) };
    let Some(org_id) = org_id else { bail!("what was is told of one org: say which with --org") };
    check_is_past(conn, org_id, point).await?;
    Ok(history::recall(conn, registration(projection)?, &[org_id], None, point).await?)
}

/// [`recall_org`] of several projections, with what the shared org had. A seq is of one ledger, so it is refused.
pub async fn recall_everyones(
    conn: &mut PgConnection,
    projections: impl IntoIterator<Item = &'static str>,
    org_id: Option<OrgId>,
    point: PointArgs,
) -> anyhow::Result<()> {
    let Some(point) = point.past() else { return Ok(()) };
    let Some(org_id) = org_id else { bail!("what was is told of one org and of everyone: say which org with --org") };
    if let Some(KnownAt::Seq(seq)) = point.known_at {
        bail!(
            "seq {seq} is of one ledger, and this is from that of the org and from everyone's: give --known-at a time"
        );
    }
    check_is_past(conn, org_id, point).await?;
    let orgs = if org_id == SHARED_ORG { vec![SHARED_ORG] } else { vec![SHARED_ORG, org_id] };
    for projection in projections {
        history::recall(conn, registration(projection)?, &orgs, None, point).await?;
    }
    Ok(())
}

/// Says what is shown.
pub fn print_point(point: Point) -> anyhow::Result<()> {
    let happened = point.as_of.map(|time| format!("what had happened by {}", time::format(time)));
    let known = point.known_at.map(|known| match known {
        KnownAt::Time(time) => format!("what had been recorded by {}", time::format(time)),
        KnownAt::Seq(seq) => format!("what had been recorded up to seq {seq}"),
    });
    let said: Vec<String> = happened.into_iter().chain(known).collect();
    Ok(output::print(format!("{}:", said.join(", of ")))?)
}
