//! Events that could not be appended, kept byte for byte with the reason, and their second chance.
//!
//! Invariant: an event that was read from the stream stands in `ledger.event` or here, in the same
//! transaction that moves the cursor past it. [`retry`] sends it through the same door again. Of a message that
//! carries a secret, all is kept but the payload.

mod headers;

use chrono::{DateTime, Utc};
use events::{
    Code, Event, Refusal,
    id::{OrgId, Seq},
    wire::{self, Message},
};
use sqlx::{Connection, PgConnection};

use crate::{
    append::{self, AppendError, Ids, Outcome},
    connection::refuses_data,
    ingest::APPENDED_CHANNEL,
    stream::{Delivery, STREAM},
};

/// An event that could not be appended.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its number.
    pub dead_letter_id: i64,
    /// The org its subject names, if it names one.
    pub org_id: Option<OrgId>,
    /// Why: one of [`Code`], as text, because a later version may know more.
    pub code: String,
    /// Why, for people, with what to do.
    pub reason: String,
    /// Where it was published.
    pub subject: String,
    /// Its headers as a JSON object: values are strings, or `{"b64":…}` where they are not UTF-8.
    pub headers: String,
    /// Its bytes; of a message that carried a secret, what there was beside `data`.
    pub payload: Vec<u8>,
    /// Its place in the stream.
    pub stream_seq: i64,
    /// When the stream took it.
    pub received_at: DateTime<Utc>,
    /// `open`, `retried` or `discarded`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was tried last.
    pub last_attempt_at: DateTime<Utc>,
}

/// Which dead letters to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this org only.
    pub org_id: Option<OrgId>,
    /// With this code only.
    pub code: Option<Code>,
    /// In this state only.
    pub state: Option<String>,
    /// Only those before this number, for the next page.
    pub before: Option<i64>,
}

/// Stores what was refused. A letter that stands there already is left as it is.
///
/// # Errors
/// When PostgreSQL fails.
pub(crate) async fn store(
    conn: &mut PgConnection,
    stream_created_at: DateTime<Utc>,
    delivery: &Delivery,
    refusal: &Refusal,
) -> Result<(), sqlx::Error> {
    let stands = insert(conn, stream_created_at, delivery, refusal).await?;
    if !stands {
        // A server that lost its last messages in a power cut hands their numbers out again. The
        // message's own time then tells the two apart.
        insert(conn, delivery.stored_at, delivery, refusal).await?;
    }
    Ok(())
}

/// Whether the letter stands there now: false if another message has its place.
async fn insert(
    conn: &mut PgConnection,
    stream_created_at: DateTime<Utc>,
    delivery: &Delivery,
    refusal: &Refusal,
) -> Result<bool, sqlx::Error> {
    let subject = String::from_utf8_lossy(&delivery.subject).replace('\0', "\u{FFFD}");
    let payload = match refusal.code {
        Code::SecretInPayload => wire::without_data(&delivery.message()).into(),
        _ => delivery.payload.clone(),
    };
    let row = sqlx::query_file!(
        "src/dead_letter/insert.sql",
        wire::org_of_subject(&delivery.subject) as Option<OrgId>,
        refusal.code.as_str(),
        refusal.reason.replace('\0', "\u{FFFD}"),
        subject,
        headers::to_json(&delivery.headers),
        &payload[..],
        STREAM,
        stream_created_at,
        delivery.stream_seq as i64,
        delivery.stored_at
    )
    .fetch_one(conn)
    .await?;
    Ok(row.stands)
}

/// The newest dead letters that match, at most `limit`, newest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        DeadLetter,
        r#"SELECT dead_letter_id, org_id AS "org_id: OrgId", code, reason, subject, headers::text AS "headers!", payload,
                  stream_seq, received_at, state, attempts, last_attempt_at
           FROM ledger.dead_letter
           WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR code = $2)
             AND ($3::text IS NULL OR state = $3) AND ($4::bigint IS NULL OR dead_letter_id < $4)
           ORDER BY dead_letter_id DESC LIMIT $5"#,
        filter.org_id as Option<OrgId>,
        filter.code.map(Code::as_str),
        filter.state,
        filter.before,
        limit
    )
    .fetch_all(conn)
    .await
}

/// The dead letter with this number; none if there is none.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn show(conn: &mut PgConnection, dead_letter_id: i64) -> Result<Option<DeadLetter>, sqlx::Error> {
    Ok(list(conn, &Filter { before: Some(dead_letter_id + 1), ..Filter::default() }, 1)
        .await?
        .pop()
        .filter(|letter| letter.dead_letter_id == dead_letter_id))
}

/// Marks an open dead letter as discarded; `purge` also erases its payload and headers. False if no
/// open letter (for `purge`: no letter that is not retried) has this number.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn discard(conn: &mut PgConnection, dead_letter_id: i64, purge: bool) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        r#"UPDATE ledger.dead_letter
           SET state = 'discarded', payload = CASE WHEN $2 THEN ''::bytea ELSE payload END, headers = CASE WHEN $2 THEN '{}'::json ELSE headers END
           WHERE dead_letter_id = $1 AND (state = 'open' OR $2 AND state = 'discarded')"#,
        dead_letter_id,
        purge
    )
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// What a retry came to.
#[derive(Debug)]
pub enum Retried {
    /// It stands in its org's ledger now.
    Appended {
        /// Whose ledger.
        org_id: OrgId,
        /// Where in it.
        seq: Seq,
    },
    /// It stood there already, and counts as retried.
    AlreadyThere {
        /// Whose ledger.
        org_id: OrgId,
        /// Where in it.
        seq: Seq,
    },
    /// Refused again; it stays open with this.
    Refused(Refusal),
}

/// Sends an open dead letter through the door again. None if it is not open, or if somebody else retries
/// it at the moment.
///
/// # Errors
/// When PostgreSQL fails. What it refuses for its data is a refusal and no failure.
pub async fn retry(conn: &mut PgConnection, dead_letter_id: i64) -> Result<Option<Retried>, AppendError> {
    let Some(admitted) = open_letter(conn, dead_letter_id).await? else { return Ok(None) };
    match retry_as(conn, dead_letter_id, admitted).await {
        Err(AppendError::Database(error)) if refuses_data(&error) => {
            let reason = format!("PostgreSQL refused the event: {error}; please report this");
            let refused = Err(Refusal::new(Code::DatabaseRefused, reason));
            retry_as(conn, dead_letter_id, refused).await
        }
        result => result,
    }
}

async fn retry_as(
    conn: &mut PgConnection,
    dead_letter_id: i64,
    admitted: Result<Event, Refusal>,
) -> Result<Option<Retried>, AppendError> {
    if let Ok(event) = &admitted {
        append::make_partitions(conn, &[event]).await?;
    }
    let mut tx = conn.begin().await?;
    let locked = sqlx::query_scalar!(
        "SELECT true FROM ledger.dead_letter WHERE dead_letter_id = $1 AND state = 'open' FOR UPDATE SKIP LOCKED",
        dead_letter_id
    );
    if locked.fetch_optional(&mut *tx).await?.is_none() {
        return Ok(None);
    }
    let retried = match admitted {
        Err(refusal) => Retried::Refused(refusal),
        Ok(event) => match append::append(&mut tx, &[&event], crate::now(), Ids::LookedUp).await?.pop() {
            Some(Outcome::Appended(seq)) => Retried::Appended { org_id: event.org_id, seq },
            Some(Outcome::Duplicate(seq)) => Retried::AlreadyThere { org_id: event.org_id, seq },
            Some(Outcome::Refused(refusal)) => Retried::Refused(refusal),
            None => return Ok(None),
        },
    };
    mark(&mut tx, dead_letter_id, &retried).await?;
    tx.commit().await?;
    Ok(Some(retried))
}

async fn mark(conn: &mut PgConnection, dead_letter_id: i64, retried: &Retried) -> Result<(), sqlx::Error> {
    let refusal = match retried {
        Retried::Appended { org_id, .. } => {
            // Nobody else tells the projectors: the letter may be retried by a command.
            sqlx::query!("SELECT pg_notify($1, $2)", APPENDED_CHANNEL, org_id.to_string()).execute(&mut *conn).await?;
            None
        }
        Retried::AlreadyThere { .. } => None,
        Retried::Refused(refusal) => Some(refusal),
    };
    sqlx::query!(
        r#"UPDATE ledger.dead_letter
           SET state = CASE WHEN $2::text IS NULL THEN 'retried' ELSE 'open' END, code = coalesce($2, code), reason = coalesce($3, reason),
               -- A letter from before its type was known may turn out to carry a secret.
               payload = CASE WHEN $2 = 'secret_in_payload' AND code <> $2 THEN ''::bytea ELSE payload END,
               attempts = attempts + 1, last_attempt_at = now()
           WHERE dead_letter_id = $1"#,
        dead_letter_id,
        refusal.map(|refusal| refusal.code.as_str()),
        refusal.map(|refusal| refusal.reason.replace('\0', "\u{FFFD}"))
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An open letter's event as the door sees it today; none if no open letter has this number.
async fn open_letter(
    conn: &mut PgConnection,
    dead_letter_id: i64,
) -> Result<Option<Result<Event, Refusal>>, sqlx::Error> {
    let Some(letter) = show(conn, dead_letter_id).await?.filter(|letter| letter.state == "open") else {
        return Ok(None);
    };
    if letter.code == Code::SecretInPayload.as_str() {
        // Nothing is left that could pass; what to do was said then.
        return Ok(Some(Err(Refusal::new(Code::SecretInPayload, letter.reason))));
    }
    let headers = headers::from_json(&letter.headers);
    // A subject that is not UTF-8 is kept as text; it must not pass for what it is shown as.
    let spoiled = letter.code == Code::InvalidUtf8.as_str() && letter.subject.contains('\u{FFFD}');
    let message = Message {
        subject: if spoiled { &[0xFF] } else { letter.subject.as_bytes() },
        headers: headers.iter().collect(),
        payload: letter.payload.into(),
    };
    Ok(Some(wire::admit(&message, crate::now())))
}

/// The numbers of the open dead letters with this code, oldest first: those behind `after`, at most `limit`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn open_ids(
    conn: &mut PgConnection,
    code: Code,
    org_id: Option<OrgId>,
    after: i64,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT dead_letter_id FROM ledger.dead_letter
           WHERE state = 'open' AND code = $1 AND ($2::uuid IS NULL OR org_id = $2) AND dead_letter_id > $3
           ORDER BY dead_letter_id LIMIT $4"#,
        code.as_str(),
        org_id as Option<OrgId>,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Open letters whose reason has gone: their org is registered by now.
///
/// # Errors
/// When PostgreSQL fails.
pub(crate) async fn of_registered_orgs(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT dead_letter_id FROM ledger.dead_letter
           WHERE state = 'open' AND code = 'unknown_org' AND org_id IN (SELECT org_id FROM ledger.head) AND dead_letter_id > $1
           ORDER BY dead_letter_id LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Open letters that an upgrade may have made acceptable.
///
/// # Errors
/// When PostgreSQL fails.
pub(crate) async fn of_unknown_kinds(conn: &mut PgConnection, after: i64, limit: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT dead_letter_id FROM ledger.dead_letter
           WHERE state = 'open' AND code IN ('unknown_type', 'unknown_version') AND dead_letter_id > $1
           ORDER BY dead_letter_id LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(conn)
    .await
}
