//! Lists of the catalogue: as a tenant, the org's own and everyone's.

use serde_json::value::RawValue;
use sqlx::{PgConnection, query_file_scalar, query_scalar};

use super::raw;

/// What there are lists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueKind {
    /// Rows of `portal_type`, by name.
    PortalTypes,
    /// Rows of `integration_endpoint`, by name.
    Endpoints,
    /// Rows of `task_type`, by domain and action.
    TaskTypes,
    /// Rows of `resolved_task_signature`, by task type.
    TaskSignatures,
    /// Rows of all lookup tables, by table and place, with the table's name as `lookup`.
    Lookups,
}

/// All of a kind.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn catalogue_list(conn: &mut PgConnection, kind: CatalogueKind) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = match kind {
        CatalogueKind::PortalTypes => {
            query_scalar!("SELECT to_json(it)::text FROM portal_type it ORDER BY name, portal_type_id").fetch_all(conn)
        }
        CatalogueKind::Endpoints => {
            query_scalar!("SELECT to_json(it)::text FROM integration_endpoint it ORDER BY name, endpoint_id")
                .fetch_all(conn)
        }
        CatalogueKind::TaskTypes => {
            query_scalar!("SELECT to_json(it)::text FROM task_type it ORDER BY domain, action, task_type_id")
                .fetch_all(conn)
        }
        CatalogueKind::TaskSignatures => query_scalar!(
            "SELECT to_json(it)::text FROM resolved_task_signature it ORDER BY task_type_id, task_signature_id"
        )
        .fetch_all(conn),
        CatalogueKind::Lookups => query_file_scalar!("src/query/lookup_list.sql").fetch_all(conn),
    };
    rows.await?.into_iter().map(raw).collect()
}
