//! A projection: how the events about a subject become rows.
//!
//! Implement [`Projection`] in a file of its own, with its tables' SQL beside it, and add a line to
//! the registry. The fold is pure and keeps two promises, which the `advance` module builds on:
//! the order of the events does not matter, and an event that comes twice counts once.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use events::{
    Code, RecordedEvent, Refusal,
    catalogue::{self, Payload},
    id::{OrgId, SHARED_ORG, SubjectId},
    json,
};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    embedding::{ContentHash, Embedder, Embeddings, Rendition, TextEmbedding},
    fold::Stamp,
};

/// A projection. Its values are the working states of the fold, one for each subject.
pub trait Projection: Default + Send + Sync + 'static {
    /// Names it in `ledger.checkpoint` and everywhere else: the leading one of its tables, if one leads.
    const NAME: &'static str;
    /// To be raised whenever the same events make other rows than before.
    const VERSION: i32;
    /// The tables that it writes, and nobody else.
    const TABLES: &'static [&'static str];
    /// The event types that it folds.
    const TYPES: &'static [&'static str];
    /// The families of events to read; all when there are none. Whole families, so that a type which only
    /// a newer version knows is met and not passed over.
    const FAMILIES: &'static [&'static str];
    /// Whether its rows hold embeddings.
    const EMBEDS: bool = false;
    /// Whether a state is of a whole org, whose events it folds in the order of their seq: then that order matters, each
    /// event comes once, and the subject of the state is the org.
    const IN_ORDER: bool = false;
    /// About how many bytes of states a process keeps in memory.
    const CACHE_BYTES_MAX: usize = 48 << 20;
    /// The rows of a batch on their way into the tables.
    type Rows: Default + Send + Sync;

    /// What the tables are made with, if they hold embeddings or are made of them: tables that are made with something
    /// else are others.
    fn made_with(embedder: &dyn Embedder) -> String {
        embedder.model().to_owned()
    }

    /// The text whose embedding the fold needs to take the event into account, where it is [`IN_ORDER`](Self::IN_ORDER).
    fn wants(_: &FoldEvent<'_>) -> Option<Rendition> {
        None
    }

    /// Whether a text has been taken into account before, so that its embedding is needed no more.
    fn knows(&self, _: ContentHash) -> bool {
        false
    }

    /// Takes an event into account.
    fn apply(&mut self, event: FoldEvent<'_>);

    /// Adds the rows that have changed since the last call, and says about how many bytes they are.
    fn take_rows(&mut self, subject: Subject, lookups: &Lookups, rows: &mut Self::Rows) -> usize;

    /// Forgets what has changed: the rows are in the tables.
    fn forget_changes(&mut self);

    /// About how many bytes of memory the state takes. Asked often, so it must not walk the state.
    fn weight(&self) -> usize;

    /// The texts whose embeddings the rows hold.
    fn renditions(_: &Self::Rows) -> Vec<&Rendition> {
        Vec::new()
    }

    /// Puts the embeddings of these texts into the rows.
    fn embed(_: &mut Self::Rows, _: &Embeddings<'_>) {}

    /// The rows as COPY takes them, table after table, for a rebuild.
    fn copy(rows: &Self::Rows) -> Vec<Copy>;

    /// Inserts or replaces the rows. Tables are named without their schema: the search path says whether
    /// those that serve are meant.
    fn write(rows: &Self::Rows, conn: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Whose state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The org.
    pub org_id: OrgId,
    /// What the events are about.
    pub subject_id: SubjectId,
}

/// An event as a fold sees it.
#[derive(Clone, Debug)]
pub struct FoldEvent<'a> {
    /// When it happened, and its id.
    pub stamp: Stamp,
    /// What it is about.
    pub subject_id: SubjectId,
    /// Who sent it.
    pub source: &'a str,
    /// The emitter's own count of what it has sent about the subject.
    pub sequence: Option<u64>,
    /// Its type.
    pub event_type: &'a str,
    /// Its payload as it was sent.
    pub data: &'a str,
    /// What it says.
    pub content: Content,
    /// The text whose embedding the projection [wants](Projection::wants) …
    pub wanted: Option<Rendition>,
    /// … and that embedding.
    pub embedded: Option<Embedded>,
}

/// The text of an event, embedded.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// What the text is known by.
    pub hash: ContentHash,
    /// Its embedding; none where services bring them, and this one has brought none.
    pub numbers: Option<TextEmbedding>,
    /// From which similarity on texts are of one kind.
    pub alike_from: f32,
}

/// What an event says to a projection.
#[derive(Clone, Debug)]
pub enum Content {
    /// Something that the projection folds.
    Payload(Box<Payload>),
    /// It should be folded and cannot be, for this reason.
    Unfoldable(String),
    /// It is about the subject and of no concern to the projection.
    Elsewhere,
}

impl<'a> FoldEvent<'a> {
    /// The event as `P` sees it.
    ///
    /// # Errors
    /// `unknown_type` and `unknown_version`: the event is of a family that the projection folds, and
    /// only a newer version of it knows how.
    pub fn read<P: Projection>(recorded: &'a RecordedEvent) -> Result<Self, Refusal> {
        let content = Content::read::<P>(recorded)?;
        let event = Self { content, ..Self::without_content(recorded) };
        Ok(Self { wanted: P::wants(&event), ..event })
    }

    /// The event as one that cannot be folded.
    pub fn unfoldable(recorded: &'a RecordedEvent, reason: String) -> Self {
        Self { content: Content::Unfoldable(reason), ..Self::without_content(recorded) }
    }

    fn without_content(recorded: &'a RecordedEvent) -> Self {
        let event = &recorded.event;
        Self {
            stamp: Stamp { time: event.occurred_at, event_id: event.event_id },
            subject_id: event.subject_id,
            source: &event.source,
            sequence: event.extensions.as_deref().and_then(sequence),
            event_type: &event.event_type,
            data: &event.data,
            content: Content::Elsewhere,
            wanted: None,
            embedded: None,
        }
    }
}

impl Content {
    fn read<P: Projection>(recorded: &RecordedEvent) -> Result<Self, Refusal> {
        let event = &recorded.event;
        let family = catalogue::family(&event.event_type);
        if !P::TYPES.iter().any(|known| catalogue::family(known) == family) {
            return Ok(Self::Elsewhere);
        }
        // The door has checked this too, but not every way into the table leads through it.
        if let Err(fault) = json::check_text(&event.data) {
            return Ok(Self::Unfoldable(format!("{}: {fault}", fault.code)));
        }
        match catalogue::decode(&event.event_type, event.schema_version, &event.data) {
            Ok(payload) if P::TYPES.contains(&event.event_type.as_str()) => Ok(Self::Payload(Box::new(payload))),
            Ok(_) => Ok(Self::Elsewhere),
            Err(refusal) if matches!(refusal.code, Code::UnknownType | Code::UnknownVersion) => Err(refusal),
            Err(refusal) => Ok(Self::Unfoldable(refusal.to_string())),
        }
    }
}

fn sequence(extensions: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Extensions<'a> {
        #[serde(borrow)]
        sequence: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Extensions<'_>>(extensions).ok()?.sequence?.parse().ok()
}

/// The values of lookup tables that rows are judged by.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// The codes of `channel_type_lu`, each with the org that it belongs to.
    pub channels: HashMap<OrgId, HashSet<String>>,
}

impl Lookups {
    /// Whether the org, or everyone, has this channel.
    pub fn knows_channel(&self, org_id: OrgId, code: &str) -> bool {
        [SHARED_ORG, org_id].iter().any(|of| self.channels.get(of).is_some_and(|codes| codes.contains(code)))
    }
}
