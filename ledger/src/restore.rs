//! Restoring: an org's events from a replay, put back into a ledger that has none of that org.
//!
//! Invariant: an org is restored whole, with the seqs, the recorded times and so the Merkle root that it
//! had, or not at all. One transaction an org; what stands already is compared and left as it is. Unlike
//! [`crate::append`] this decides nothing: it takes what was decided in the ledger that the events come
//! from. Only the owner of `ledger.event` may do it. Called by `runledger emit --restore`.

use chrono::{DateTime, Utc};
use events::{
    id::{OrgId, Seq},
    wire::Replayed,
};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::{
    append::{Row, Rows},
    connection,
    ingest::APPENDED_CHANNEL,
    merkle::{self, Frontier, Hash},
};

/// How many events are inserted by one statement.
const EVENTS_MAX: usize = 1_000;
/// The payload bytes after which a statement is sent.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Trouble with restoring.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while events were restored: {0}")]
    Database(#[from] sqlx::Error),
    /// The user is not the owner.
    #[error(
        "user {0} does not own ledger.event, and only the owner may restore events; use the URL that `runledger migrate` was run with"
    )]
    NotOwner(String),
    /// The org cannot be restored from these events; others may.
    #[error(transparent)]
    Refused(#[from] Fault),
}

/// What stands against restoring an org. It is left as it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A seq that is not the next.
    #[error("seq {found} stands where seq {expected} has to: events are missing, doubled or in another order")]
    OutOfOrder {
        /// The next seq.
        expected: Seq,
        /// What came.
        found: Seq,
    },
    /// A clock that went back.
    #[error("the event at seq {0} was recorded earlier than the one before it, which no ledger does")]
    RecordedEarlier(Seq),
    /// The events are not those that the root was made of.
    #[error("the events up to seq {0} are not those that were replayed: their root is not the source's")]
    OtherRoot(Seq),
    /// The last event has no root.
    #[error(
        "nothing proves that these are all events up to the last, seq {0}: the replay was cut off, or was not of whole orgs; replay again, or pass --unproved"
    )]
    Unproved(Seq),
    /// Not the events whose root somebody knows.
    #[error(
        "the root over all {size} events is {root}, and that is none of the roots that were given; these are not the source's events, or not all of them"
    )]
    UnexpectedRoot {
        /// How many.
        size: Seq,
        /// The root over them, in hexadecimal digits.
        root: String,
    },
    /// The org has events, and they are others.
    #[error("the org has {size} events here already, which are not those of the replay; nothing is restored over them")]
    Stands {
        /// How many.
        size: Seq,
    },
    /// The org has events and no head that counts them.
    #[error("the org has events here that its head does not count; see `runledger verify`")]
    StandsUncounted,
    /// PostgreSQL refused the events.
    #[error("PostgreSQL refused the events: {0}")]
    Database(String),
}

/// What says that a root is the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Whoever gave the roots to expect.
    Given,
    /// The replay.
    Replay,
    /// Nothing.
    None,
}

/// An org that has its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The org.
    pub org_id: OrgId,
    /// How many events it has.
    pub size: Seq,
    /// The root over them.
    pub root: Hash,
    /// Whether it had them before.
    pub stood: bool,
    /// What the root was compared with.
    pub proof: Proof,
}

/// Whether the connection's user is the owner, or may act as the owner.
///
/// # Errors
/// [`RestoreError::NotOwner`] if not.
pub async fn check_owner(conn: &mut PgConnection) -> Result<(), RestoreError> {
    let user = sqlx::query!(
        r#"SELECT current_user::text AS "name!", pg_has_role(relowner, 'MEMBER') AS "owns!"
           FROM pg_class WHERE oid = 'ledger.event'::regclass"#
    );
    let user = user.fetch_one(conn).await?;
    if user.owns { Ok(()) } else { Err(RestoreError::NotOwner(user.name)) }
}

/// Takes the events of one org. Dropped before [`OrgRestore::finish`], it leaves nothing but, perhaps, an
/// empty partition.
pub struct OrgRestore<'c> {
    transaction: Transaction<'c, Postgres>,
    org_id: OrgId,
    /// Size and root of what stands already; then nothing is written.
    standing: Option<(Seq, Vec<u8>)>,
    tree: Frontier,
    recorded_at: DateTime<Utc>,
    /// The last event whose root was compared with the source's.
    proved_through: Seq,
    waiting: Vec<(Replayed, Hash)>,
    waiting_bytes: usize,
}

impl<'c> OrgRestore<'c> {
    /// Begins, and keeps every other writer of the org waiting until the end.
    ///
    /// # Errors
    /// When PostgreSQL fails, or events stand there that no head counts.
    pub async fn begin(conn: &'c mut PgConnection, org_id: OrgId) -> Result<Self, RestoreError> {
        sqlx::query!("SELECT ledger.make_partition($1)", org_id as OrgId).execute(&mut *conn).await?;
        let mut transaction = conn.begin().await?;
        // The owner is under row-level security too; this role may insert, and nothing else.
        sqlx::query("SET LOCAL ROLE runledger_ledger").execute(&mut *transaction).await?;
        sqlx::query!("INSERT INTO ledger.head (org_id) VALUES ($1) ON CONFLICT (org_id) DO NOTHING", org_id as OrgId)
            .execute(&mut *transaction)
            .await?;
        let head = sqlx::query!(
            r#"SELECT size AS "size: Seq", root, EXISTS (SELECT FROM ledger.event WHERE org_id = $1)
                          OR EXISTS (SELECT FROM ledger.archive WHERE org_id = $1) AS "has_events!"
               FROM ledger.head WHERE org_id = $1 FOR UPDATE"#,
            org_id as OrgId
        );
        let head = head.fetch_one(&mut *transaction).await?;
        if head.size == Seq::ZERO && head.has_events {
            return Err(Fault::StandsUncounted.into());
        }
        Ok(Self {
            transaction,
            org_id,
            standing: (head.size > Seq::ZERO).then_some((head.size, head.root)),
            tree: Frontier::default(),
            recorded_at: DateTime::<Utc>::MIN_UTC,
            proved_through: Seq::ZERO,
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    /// The org.
    pub fn org_id(&self) -> OrgId {
        self.org_id
    }

    /// Whether the events so far are all that the source had, by the root that the last one carried.
    pub fn is_proved(&self) -> bool {
        self.proved_through > Seq::ZERO && self.proved_through == self.size()
    }

    /// Takes the next event, which is one of this org.
    ///
    /// # Errors
    /// When it cannot be the next, and when PostgreSQL fails.
    pub async fn take(&mut self, replayed: Replayed) -> Result<(), RestoreError> {
        let expected = self.size().next();
        if replayed.seq != expected {
            return Err(Fault::OutOfOrder { expected, found: replayed.seq }.into());
        }
        if replayed.recorded_at < self.recorded_at {
            return Err(Fault::RecordedEarlier(replayed.seq).into());
        }
        self.recorded_at = replayed.recorded_at;
        let leaf_hash = merkle::leaf_hash(&replayed.event, replayed.seq, replayed.recorded_at);
        self.tree.push(leaf_hash);
        if let Some(root) = replayed.root {
            if root != self.tree.root() {
                return Err(Fault::OtherRoot(replayed.seq).into());
            }
            self.proved_through = replayed.seq;
        }
        if self.standing.is_some() {
            return Ok(());
        }
        self.waiting_bytes += replayed.event.data.len();
        self.waiting.push((replayed, leaf_hash));
        if self.waiting.len() >= EVENTS_MAX || self.waiting_bytes >= BYTES_MAX {
            self.insert().await?;
        }
        Ok(())
    }

    /// There are no more events: commits, if the tree over them is the source's. Where roots to expect are given, it
    /// has to be one of them. With `unproved`, also where nothing says what the source's is.
    ///
    /// # Errors
    /// When it is not, when other events stand there already, and when PostgreSQL fails.
    pub async fn finish(mut self, expected: &[Hash], unproved: bool) -> Result<Restored, RestoreError> {
        let (org_id, size, root) = (self.org_id, self.size(), self.tree.root());
        let proof = match expected {
            [] if self.proved_through == size => Proof::Replay,
            [] => Proof::None,
            expected if expected.contains(&root) => Proof::Given,
            _ => {
                let root = root.iter().map(|byte| format!("{byte:02x}")).collect();
                return Err(Fault::UnexpectedRoot { size, root }.into());
            }
        };
        let restored = Restored { org_id, size, root, stood: self.standing.is_some(), proof };
        if let Some((standing_size, standing_root)) = self.standing {
            let is_same = standing_size == size && standing_root == root;
            return if is_same { Ok(restored) } else { Err(Fault::Stands { size: standing_size }.into()) };
        }
        if proof == Proof::None && !unproved {
            return Err(Fault::Unproved(size).into());
        }
        self.insert().await?;
        self.store_head(root).await?;
        sqlx::query!("SELECT pg_notify($1, $2)", APPENDED_CHANNEL, org_id.to_string())
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        Ok(restored)
    }

    fn size(&self) -> Seq {
        Seq::new(self.tree.size() as i64)
    }

    async fn insert(&mut self) -> Result<(), RestoreError> {
        let rows = self.waiting.iter().map(|(replayed, leaf_hash)| {
            let Replayed { event, seq, recorded_at, .. } = replayed;
            Row { event, seq: *seq, recorded_at: *recorded_at, leaf_hash: *leaf_hash }
        });
        let rows = Rows(rows.collect());
        rows.insert(&mut self.transaction).await.map_err(|error| match connection::refuses_data(&error) {
            true => Fault::Database(error.to_string()).into(),
            false => RestoreError::Database(error),
        })?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    async fn store_head(&mut self, root: Hash) -> Result<(), RestoreError> {
        let roots: Vec<&[u8]> = self.tree.roots().iter().map(Hash::as_slice).collect();
        sqlx::query!(
            "UPDATE ledger.head SET size = $2, frontier = $3, root = $4, updated_at = $5 WHERE org_id = $1",
            self.org_id as OrgId,
            self.tree.size() as i64,
            roots as Vec<&[u8]>,
            root.as_slice(),
            self.recorded_at
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
