//! All events of an org subject by subject, also those that stand in the archive, where they are in the order
//! of their seq: they are put into order by PostgreSQL, in a temporary table.

use async_stream::try_stream;
use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{COLUMNS, ReadError, Row, is_of, rows_by_subject};
use crate::archive::{self, Groups};

/// So many archived events go into the temporary table with one statement.
const CHUNK: usize = 1_000;

/// The events of an org up to `through`, of the given families only (all when there are none), ordered by (subject, seq), as
/// a stream: subject after subject, each from its first event on. For those who fold everything anew.
///
/// Where events were dropped into the archive, the connection's role must be allowed to make temporary tables,
/// and the server's disk must have room for them.
pub fn events_by_subject<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    families: &'c [&str],
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> + 'c {
    try_stream! {
        let mut loaded = Seq::ZERO;
        loop {
            let archived = archive::through(conn, org_id).await?;
            load(conn, org_id, families, loaded, archived.min(through)).await?;
            loaded = archived.min(through);
            let mut rows = if loaded == Seq::ZERO {
                rows_by_subject(conn, org_id, families, through)
            } else {
                merged(conn, org_id, families, loaded, through)
            };
            match rows.next().await.transpose()? {
                Some(first) if first.archived_through == archived => {
                    yield first.into_event(org_id)?;
                    while let Some(row) = rows.next().await {
                        yield row?.into_event(org_id)?;
                    }
                    return;
                }
                Some(_) => {}
                None => {
                    drop(rows);
                    if archive::through(conn, org_id).await? == archived {
                        return;
                    }
                }
            }
        }
    }
}

/// The rows of the temporary table, and those of the event table behind `archived`.
fn merged<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    families: &'c [&str],
    archived: Seq,
    through: Seq,
) -> BoxStream<'c, Result<Row, sqlx::Error>> {
    // Each side is ordered by itself, so that PostgreSQL merges the two: the table comes through its index and only
    // what is archived is sorted.
    let merge = format!(
        "SELECT coalesce((SELECT max(last_seq) FROM ledger.archive WHERE org_id = $1 AND dropped_at IS NOT NULL), 0) AS archived_through,
                {COLUMNS}
         FROM ((SELECT * FROM pg_temp.runledger_archived_event ORDER BY subject_id, seq)
               UNION ALL
               (SELECT * FROM ledger.event
                WHERE org_id = $1 AND seq > $2 AND seq <= $3
                    AND (cardinality($4::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($4)) ORDER BY subject_id, seq)) AS event
         ORDER BY subject_id, seq"
    );
    sqlx::query_as(AssertSqlSafe(merge)).bind(org_id).bind(archived).bind(through).bind(families).fetch(conn)
}

/// Puts the archived events behind `loaded` into the temporary table.
async fn load(
    conn: &mut PgConnection,
    org_id: OrgId,
    families: &[&str],
    loaded: Seq,
    through: Seq,
) -> Result<(), ReadError> {
    if through <= loaded {
        return Ok(());
    }
    if loaded == Seq::ZERO {
        sqlx::raw_sql(include_str!("by_subject/prepare.sql")).execute(&mut *conn).await?;
    }
    let mut groups = Groups::of(archive::files(conn, org_id).await?, org_id, loaded.next(), through);
    while let Some(mut group) = groups.next(conn).await? {
        group.retain(|recorded| is_of(recorded, families));
        for chunk in group.chunks(CHUNK) {
            insert(conn, chunk).await?;
        }
    }
    Ok(())
}

async fn insert(conn: &mut PgConnection, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    fn column<'e, T>(events: &'e [RecordedEvent], of: impl Fn(&'e RecordedEvent) -> T) -> Vec<T> {
        events.iter().map(of).collect()
    }
    sqlx::query(include_str!("by_subject/insert.sql"))
        .bind(column(events, |e| e.event.org_id.uuid()))
        .bind(column(events, |e| e.event.event_id.uuid()))
        .bind(column(events, |e| e.event.subject_id.uuid()))
        .bind(column(events, |e| e.seq.get()))
        .bind(column(events, |e| e.event.occurred_at))
        .bind(column(events, |e| e.recorded_at))
        .bind(column(events, |e| e.event.schema_version))
        .bind(column(events, |e| e.leaf_hash.as_slice()))
        .bind(column(events, |e| e.event.event_type.as_str()))
        .bind(column(events, |e| e.event.source.as_str()))
        .bind(column(events, |e| e.event.correlation_id.as_deref()))
        .bind(column(events, |e| e.event.causation_id.as_deref()))
        .bind(column(events, |e| e.event.traceparent.as_deref()))
        .bind(column(events, |e| e.event.extensions.as_deref()))
        .bind(column(events, |e| &*e.event.data))
        .execute(conn)
        .await?;
    Ok(())
}
