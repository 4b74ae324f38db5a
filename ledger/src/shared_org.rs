//! The org of everyone: registered by the system, with the values that lookup tables begin with, all of it by
//! events like any other's.
//!
//! They are the same events each time, ids included, so that publishing them again changes nothing. `migrate`
//! publishes those that the ledger does not have, and so does the ledger when it starts, for deployments that
//! were migrated without NATS.

use chrono::{DateTime, Utc};
use events::{
    Event,
    emitter::{EmitError, Emitter, EmitterOptions},
    id::{EventId, InvalidId, SHARED_ORG},
    payload::LookupTable,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    connection::{Backoff, Database},
    nats::Nats,
};

const SOURCE: &str = "/runledger";
const REGISTRATION: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_000000000002);
/// When it all began: 2020-01-01T00:00:00Z.
const TIME: DateTime<Utc> = match DateTime::from_timestamp(1_577_836_800, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

/// The values that lookup tables begin with, code and label. Add to them; a better label is an event of its own,
/// of a later time.
const VALUES: [(LookupTable, &[(&str, &str)]); 7] = [
    (
        LookupTable::WorkflowStatus,
        &[
            ("pending", "Pending"),
            ("running", "Running"),
            ("completed", "Completed"),
            ("failed", "Failed"),
            ("cancelled", "Cancelled"),
            ("timeout", "Timed out"),
        ],
    ),
    (
        LookupTable::JobStatus,
        &[
            ("pending", "Pending"),
            ("running", "Running"),
            ("completed", "Completed"),
            ("failed", "Failed"),
            ("skipped", "Skipped"),
        ],
    ),
    (
        LookupTable::OrgType,
        &[
            ("hospital", "Hospital"),
            ("physician_group", "Physician group"),
            ("billing_company", "Billing company"),
            ("laboratory", "Laboratory"),
            ("payer", "Payer"),
            ("other", "Other"),
        ],
    ),
    (LookupTable::ChannelType, &[("web", "Web portal"), ("voice", "Telephone"), ("efax", "Electronic fax")]),
    (
        LookupTable::ChannelAuthType,
        &[
            ("none", "None"),
            ("password", "User name and password"),
            ("password_and_otp", "Password and one-time code"),
            ("api_key", "API key"),
            ("oauth2", "OAuth 2.0 client"),
            ("certificate", "Client certificate"),
        ],
    ),
    (
        LookupTable::TaskDomain,
        &[
            ("eligibility", "Eligibility and benefits"),
            ("claim_status", "Claim status"),
            ("prior_authorization", "Prior authorisation"),
            ("claim", "Claim"),
            ("remittance", "Remittance"),
        ],
    ),
    (
        LookupTable::TaskAction,
        &[("verify", "Verify"), ("enquire", "Enquire"), ("submit", "Submit"), ("retrieve", "Retrieve")],
    ),
];

/// The failure at which it is told that publishing them does not succeed.
const TELL_AFTER: u32 = 5;

/// Why they could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// PostgreSQL failed.
    #[error("PostgreSQL cannot be asked which events of the shared org there are: {0}")]
    Database(#[from] sqlx::Error),
    /// NATS failed.
    #[error("the events of the shared org cannot be published: {0}")]
    Emit(#[from] EmitError),
    /// An id of ours is none.
    #[error("the events of the shared org cannot be made: {0}")]
    Id(#[from] InvalidId),
}

/// What every deployment has: the org's registration and, behind it, the values of lookup tables.
///
/// # Errors
/// Never, as long as none of the ids above is nil.
pub fn events() -> Result<Vec<Event>, InvalidId> {
    let mut events = vec![event("org.registered", REGISTRATION, r#"{"name":"Shared reference data"}"#.to_owned())?];
    for (table, values) in VALUES {
        for ((code, label), sort) in values.iter().zip(1..) {
            // By hand, because its bytes must never change.
            let data = format!(r#"{{"lookup":"{table}","code":"{code}","label":"{label}","sort":{sort}}}"#);
            events.push(event("lookup.value_added", Uuid::new_v5(&SHARED_ORG.uuid(), data.as_bytes()), data)?);
        }
    }
    Ok(events)
}

fn event(event_type: &str, event_id: Uuid, data: String) -> Result<Event, InvalidId> {
    Ok(Event {
        org_id: SHARED_ORG,
        event_id: event_id.try_into()?,
        event_type: event_type.to_owned(),
        schema_version: 1,
        subject_id: SHARED_ORG.subject(),
        source: SOURCE.to_owned(),
        occurred_at: TIME,
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: data.into(),
    })
}

/// Those events that the ledger does not have.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn missing(conn: &mut PgConnection) -> Result<Vec<Event>, PublishError> {
    let mut events = events()?;
    let ids: Vec<Uuid> = events.iter().map(|event| event.event_id.uuid()).collect();
    let known = sqlx::query_scalar!(
        r#"SELECT event_id AS "event_id!: EventId" FROM ledger.event WHERE org_id = $1 AND event_id = ANY($2)
           UNION ALL SELECT event_id FROM ledger.archived_event WHERE org_id = $1 AND event_id = ANY($2)"#,
        SHARED_ORG.uuid(),
        &ids
    )
    .fetch_all(conn)
    .await?;
    events.retain(|event| !known.contains(&event.event_id));
    Ok(events)
}

/// Publishes what the ledger does not have, and says how many events that were.
///
/// # Errors
/// When PostgreSQL or NATS fails.
pub async fn publish_missing(conn: &mut PgConnection, client: async_nats::Client) -> Result<usize, PublishError> {
    let missing = missing(conn).await?;
    let emitter = Emitter::new(client, EmitterOptions::new(SOURCE));
    // One after the other: the registration comes first.
    for event in &missing {
        emitter.emit(event).await?;
    }
    Ok(missing.len())
}

/// [`publish_missing`] as soon as PostgreSQL and NATS are there.
pub(crate) async fn publish_when_possible(database: Database, nats: Nats, shutdown: CancellationToken) {
    let publish = async || publish_missing(&mut database.connect().await?, nats.client()).await;
    let mut backoff = Backoff::default();
    let mut failures = 0;
    while let Some(Err(error)) = shutdown.run_until_cancelled(publish()).await {
        failures += 1;
        // Servers that are not there yet are told of by those who wait for them; what lasts longer may be something else.
        if failures == TELL_AFTER {
            tracing::warn!(%error, "everyone's reference data is not in the ledger yet; trying again");
        }
        shutdown.run_until_cancelled(backoff.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use events::wire::{self, Message};

    use super::*;

    #[test]
    fn they_pass_the_door_and_have_ids_of_their_own() {
        let events = events().unwrap();
        for event in &events {
            let (subject, headers) = (wire::subject(event), wire::to_headers(event));
            let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let message = Message { subject: subject.as_bytes(), headers, payload: event.data.as_bytes().clone() };
            assert_eq!(wire::admit(&message, crate::now()).as_ref(), Ok(event));
        }
        let ids: HashSet<_> = events.iter().map(|event| event.event_id).collect();
        assert_eq!(ids.len(), events.len());
    }

    #[test]
    fn they_are_the_same_for_ever() {
        let ids: Vec<_> = events().unwrap().iter().map(|event| event.event_id.to_string()).collect();
        assert_eq!(ids[0], "00000000-0000-4000-8000-000000000002");
        assert_eq!(
            Uuid::new_v5(&SHARED_ORG.uuid(), ids.join(" ").as_bytes()).to_string(),
            "3f7919aa-32a5-5874-946e-877543ad4cd7"
        );
    }
}
