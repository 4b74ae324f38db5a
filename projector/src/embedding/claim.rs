//! Who has a text in hand: advisory locks of the connection by which its embedding will be kept, so that no two ask for one
//! text, in whatever processes they are, and who dies has nothing in hand any more. Called by [`fill`](super::fill).

use sqlx::{PgConnection, query_scalar};

use super::Rendition;
use crate::write::column;

/// Takes those of the renditions that nobody has in hand.
pub async fn take<'r>(
    conn: &mut PgConnection,
    model: &str,
    renditions: &[&'r Rendition],
) -> Result<Vec<&'r Rendition>, sqlx::Error> {
    let taken = query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended($1, seed)) AS "taken!"
           FROM UNNEST($2::bigint[]) WITH ORDINALITY AS text (seed, at) ORDER BY at"#,
        model,
        &column(renditions, seed)
    );
    let taken = taken.fetch_all(conn).await?;
    Ok(renditions.iter().zip(taken).filter_map(|(rendition, taken)| taken.then_some(*rendition)).collect())
}

/// Lets go of them.
pub async fn release(conn: &mut PgConnection, model: &str, renditions: &[&Rendition]) -> Result<(), sqlx::Error> {
    query_scalar!(
        "SELECT pg_advisory_unlock(hashtextextended($1, seed)) FROM UNNEST($2::bigint[]) AS text (seed)",
        model,
        &column(renditions, seed)
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Should two texts have one, they wait for each other, and that is all.
fn seed(rendition: &&Rendition) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *rendition.hash.as_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
