//! How good predictions are: what is said of moves that nothing was learnt from, beside what simpler rules say of them.
//! Called by the benchmark and by tests.

use std::collections::BTreeMap;

use events::{
    EventData, RecordedEvent, Refusal,
    id::MicroStateId,
    payload::{MicroStateObserved, UiTransitionObserved},
};
use uuid::Uuid;

use super::{Support, predict};
use crate::{
    embedding::{Embedder, EmbedderError, TextEmbedding},
    macro_state::{MacroState, Rows},
    projection::{Embedded, FoldEvent, Lookups, Projection, Subject},
};

/// Of 100 events, in their order, so many are learnt from.
const LEARNT_PERCENT: usize = 80;

/// How good predictions are.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// What each screen belongs to.
    pub kinds: BTreeMap<MicroStateId, Uuid>,
    /// So many moves were predicted.
    pub tried: usize,
    /// Whatever came next most often, after any screen.
    pub most_frequent: Hits,
    /// What came most often after this screen; the most frequent of all where nothing did.
    pub of_the_screen: Hits,
    /// With what came after screens of its kind.
    pub predicted: Hits,
}

/// Of 100 moves, how many led where was thought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hits {
    /// To the likeliest state.
    pub first: f64,
    /// To one of the three likeliest.
    pub third: f64,
}

/// Why a trial cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum TrialError {
    #[error("an event cannot be read: {0}")]
    Event(#[from] Refusal),
    #[error("a transition cannot be read: {0}")]
    Transition(#[from] serde_json::Error),
    #[error(transparent)]
    Embedder(#[from] EmbedderError),
}

impl Trial {
    /// Learns from the first events of an org about its screens, and predicts what the others tell.
    ///
    /// # Errors
    /// When an event is none, or the embedder fails.
    pub async fn of(events: &[RecordedEvent], embedder: &dyn Embedder) -> Result<Self, TrialError> {
        let (learnt, held_out) = events.split_at(events.len() * LEARNT_PERCENT / 100);
        let mut trial = Self { kinds: kinds(learnt, held_out, embedder).await?, ..Self::default() };
        let counts = Counts::of(&moves(learnt)?, &trial.kinds);
        let held_out = moves(held_out)?;
        for (from, to) in &held_out {
            trial.most_frequent.count(&counts.likeliest, to);
            trial.of_the_screen.count(&counts.after(*from), to);
            trial.predicted.count(&counts.predicted(*from, trial.kinds.get(from)), to);
        }
        trial.tried = held_out.len();
        for hits in [&mut trial.most_frequent, &mut trial.of_the_screen, &mut trial.predicted] {
            hits.first *= 100.0 / held_out.len() as f64;
            hits.third *= 100.0 / held_out.len() as f64;
        }
        Ok(trial)
    }
}

impl Hits {
    fn count(&mut self, likeliest: &[MicroStateId], next: &MicroStateId) {
        self.first += f64::from(u8::from(likeliest.first() == Some(next)));
        self.third += f64::from(u8::from(likeliest.iter().take(3).any(|state| state == next)));
    }
}

/// How often a state came next.
type Next = BTreeMap<MicroStateId, i64>;

/// What was learnt.
#[derive(Default)]
struct Counts {
    likeliest: Vec<MicroStateId>,
    after: BTreeMap<MicroStateId, Next>,
    after_kind: BTreeMap<Uuid, Next>,
}

impl Counts {
    fn of(moves: &[(MicroStateId, MicroStateId)], kinds: &BTreeMap<MicroStateId, Uuid>) -> Self {
        let (mut counts, mut all) = (Self::default(), Next::new());
        for (from, to) in moves {
            *all.entry(*to).or_default() += 1;
            *counts.after.entry(*from).or_default().entry(*to).or_default() += 1;
            if let Some(kind) = kinds.get(from) {
                *counts.after_kind.entry(*kind).or_default().entry(*to).or_default() += 1;
            }
        }
        Self { likeliest: likeliest(&all), ..counts }
    }

    fn after(&self, from: MicroStateId) -> Vec<MicroStateId> {
        self.after.get(&from).map_or_else(|| self.likeliest.clone(), likeliest)
    }

    fn predicted(&self, from: MicroStateId, kind: Option<&Uuid>) -> Vec<MicroStateId> {
        let mut counts: BTreeMap<_, Support> = BTreeMap::new();
        for (to, count) in self.after.get(&from).into_iter().flatten() {
            counts.entry(*to).or_default().micro = *count;
        }
        for (to, count) in kind.and_then(|kind| self.after_kind.get(kind)).into_iter().flatten() {
            counts.entry(*to).or_default().of_kind = *count;
        }
        predict(&counts).into_iter().map(|prediction| prediction.state).collect()
    }
}

fn likeliest(next: &Next) -> Vec<MicroStateId> {
    let mut states: Vec<_> = next.iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    states.into_iter().map(|(state, _)| *state).collect()
}

fn moves(events: &[RecordedEvent]) -> Result<Vec<(MicroStateId, MicroStateId)>, TrialError> {
    let moves = events.iter().filter(|recorded| recorded.event.event_type == UiTransitionObserved::TYPE);
    let read = |recorded: &RecordedEvent| {
        let moved: UiTransitionObserved = serde_json::from_str(&recorded.event.data)?;
        Ok((moved.from, moved.to))
    };
    moves.map(read).collect()
}

/// What each screen belongs to. Of what is not learnt from, only what was seen is taken into account.
async fn kinds(
    learnt: &[RecordedEvent],
    held_out: &[RecordedEvent],
    embedder: &dyn Embedder,
) -> Result<BTreeMap<MicroStateId, Uuid>, TrialError> {
    let seen = held_out.iter().filter(|recorded| recorded.event.event_type == MicroStateObserved::TYPE);
    let mut events = Vec::new();
    for recorded in learnt.iter().chain(seen) {
        events.push(FoldEvent::read::<MacroState>(recorded)?);
    }
    let embeddings = embeddings(&events, embedder).await?;
    let (mut state, mut rows) = (MacroState::default(), Rows::default());
    for mut event in events {
        if let Some(wanted) = event.wanted.take() {
            let numbers = embeddings.get(&wanted.text).cloned();
            event.embedded = Some(Embedded { hash: wanted.hash, numbers, alike_from: embedder.alike_from() });
        }
        state.apply(event);
    }
    let Some(org_id) = learnt.first().map(|recorded| recorded.event.org_id) else { return Ok(BTreeMap::new()) };
    state.take_rows(Subject { org_id, subject_id: org_id.subject() }, &Lookups::default(), &mut rows);
    Ok(rows.members.into_iter().map(|member| (member.micro_state_id, member.macro_state_id.uuid())).collect())
}

/// By their texts.
async fn embeddings(
    events: &[FoldEvent<'_>],
    embedder: &dyn Embedder,
) -> Result<BTreeMap<String, TextEmbedding>, TrialError> {
    let mut embeddings: BTreeMap<_, _> = BTreeMap::new();
    let texts = events.iter().filter_map(|event| event.wanted.as_ref()).map(|wanted| wanted.text.as_str());
    let texts: Vec<_> = texts.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    for texts in texts.chunks(embedder.texts_max().max(1)) {
        let embedded = embedder.embed(texts).await?;
        embeddings.extend(texts.iter().map(|text| (*text).to_owned()).zip(embedded));
    }
    Ok(embeddings)
}
