//! What can be learnt from simulated portals, measured on sessions that nothing was learnt from. Run with `--nocapture`, it
//! prints the figures of `docs/MICRO_STATES.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::{
    Event, EventData, RecordedEvent,
    id::{MicroStateId, OrgId, Seq},
    payload::{MicroStateObserved, UiTransitionObserved},
};
use projector::{
    embedding::{Embedder, Hashing, TextEmbedding},
    macro_state::{MacroState, Rows},
    prediction::{Support, predict},
    projection::{Embedded, FoldEvent, Lookups, Projection, Subject},
};
use uuid::Uuid;

use super::{Look, Portal, screen};
use crate::simulation::{Manner, Scenario, Simulation, matter::PAYERS};

/// Of 100 events, in the order of their arrival, so many are learnt from.
const LEARNT_PERCENT: usize = 80;

fn simulation() -> Simulation {
    let start = events::time::parse("2026-03-02T06:00:00Z").unwrap();
    Simulation::new(Scenario { seed: 11, start, orgs: 1, runs: 2_500, refused: 0, portal: true }).unwrap()
}

/// The events about screens, as the ledger would have them.
fn recorded(simulation: &Simulation) -> Vec<RecordedEvent> {
    let deliveries = simulation.deliveries().unwrap().map(Result::unwrap);
    let taken = deliveries.filter(|it| matches!(it.manner, Manner::Prompt | Manner::Late));
    let is_of_screens = |subject: &str| ["_state.", "ui_transition."].iter().any(|part| subject.contains(part));
    let of_screens = taken.filter(|delivery| is_of_screens(delivery.publication.subject.as_str()));
    let of_screens = of_screens.map(|delivery| crate::simulation::tests::admit(&delivery.publication).unwrap());
    let recorded = |(event, seq): (Event, i64)| RecordedEvent {
        seq: Seq::new(seq),
        recorded_at: event.occurred_at,
        leaf_hash: [0; 32],
        event,
    };
    of_screens.zip(1..).map(recorded).collect()
}

fn is_move(event: &Event) -> bool {
    event.event_type == UiTransitionObserved::TYPE
}

fn moved(recorded: &RecordedEvent) -> UiTransitionObserved {
    serde_json::from_str(&recorded.event.data).unwrap()
}

/// The embedding of each event's text.
async fn embeddings(events: &[RecordedEvent]) -> HashMap<String, TextEmbedding> {
    let mut texts = BTreeMap::new();
    for event in events {
        if let Some(wanted) = MacroState::wants(&FoldEvent::read::<MacroState>(event).unwrap()) {
            texts.insert(wanted.hash.to_string(), wanted.text);
        }
    }
    let embedded = Hashing.embed(&texts.values().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    texts.into_keys().zip(embedded).collect()
}

/// What each screen belongs to. Of what was not learnt from, only what was seen is taken into account.
fn kinds(
    events: &[RecordedEvent],
    embeddings: &HashMap<String, TextEmbedding>,
    alike_from: f32,
) -> BTreeMap<MicroStateId, Uuid> {
    let learnt = events.len() * LEARNT_PERCENT / 100;
    let mut state = MacroState::default();
    for (place, recorded) in events.iter().enumerate() {
        if place >= learnt && recorded.event.event_type != MicroStateObserved::TYPE {
            continue;
        }
        let mut event = FoldEvent::read::<MacroState>(recorded).unwrap();
        if let Some(wanted) = MacroState::wants(&event) {
            let numbers = embeddings.get(&wanted.hash.to_string()).cloned();
            event.embedded = Some(Embedded { hash: wanted.hash, numbers, alike_from });
        }
        state.apply(event);
    }
    let mut rows = Rows::default();
    let org_id = events[0].event.org_id;
    state.take_rows(Subject { org_id, subject_id: org_id.subject() }, &Lookups::default(), &mut rows);
    rows.members.into_iter().map(|member| (member.micro_state_id, member.macro_state_id.uuid())).collect()
}

/// How often the state that came next was the likeliest, and among the three likeliest; in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Hits {
    first: f64,
    third: f64,
}

impl Hits {
    fn count<S: PartialEq>(&mut self, likeliest: &[S], next: &S) {
        self.first += f64::from(u8::from(likeliest.first() == Some(next)));
        self.third += f64::from(u8::from(likeliest.iter().take(3).any(|state| state == next)));
    }

    fn percent_of(self, tried: usize) -> Self {
        Self { first: self.first * 100.0 / tried as f64, third: self.third * 100.0 / tried as f64 }
    }
}

#[derive(Debug, Default)]
struct Measured {
    /// Whatever came next most often, after any screen.
    most_frequent: Hits,
    /// What came most often after this screen; the most frequent where nothing did.
    of_the_screen: Hits,
    /// With what came after screens of its kind.
    predicted: Hits,
    tried: usize,
}

type Counts<S> = BTreeMap<S, i64>;

fn likeliest<S: Ord + Clone>(counts: &Counts<S>) -> Vec<S> {
    let mut states: Vec<_> = counts.iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    states.into_iter().map(|(state, _)| state.clone()).collect()
}

/// `state_of` says what is predicted: screens themselves, or their kinds.
fn measure(
    events: &[RecordedEvent],
    kinds: &BTreeMap<MicroStateId, Uuid>,
    state_of: impl Fn(MicroStateId) -> Uuid,
) -> Measured {
    let (learnt, held_out) = events.split_at(events.len() * LEARNT_PERCENT / 100);
    let mut all = Counts::new();
    let mut after: BTreeMap<MicroStateId, Counts<Uuid>> = BTreeMap::new();
    let mut after_kind: BTreeMap<Uuid, Counts<Uuid>> = BTreeMap::new();
    for moved in learnt.iter().filter(|recorded| is_move(&recorded.event)).map(moved) {
        let next = state_of(moved.to);
        *all.entry(next).or_default() += 1;
        *after.entry(moved.from).or_default().entry(next).or_default() += 1;
        *after_kind.entry(kinds[&moved.from]).or_default().entry(next).or_default() += 1;
    }
    let (mut measured, most_frequent, nothing) = (Measured::default(), likeliest(&all), Counts::new());
    for moved in held_out.iter().filter(|recorded| is_move(&recorded.event)).map(moved) {
        let next = state_of(moved.to);
        measured.tried += 1;
        measured.most_frequent.count(&most_frequent, &next);
        let of_screen = after.get(&moved.from).unwrap_or(&nothing);
        let own = if of_screen.is_empty() { most_frequent.clone() } else { likeliest(of_screen) };
        measured.of_the_screen.count(&own, &next);
        let of_kind = after_kind.get(&kinds[&moved.from]).unwrap_or(&nothing);
        let mut counts: BTreeMap<Uuid, Support> = BTreeMap::new();
        of_screen.iter().for_each(|(state, count)| counts.entry(*state).or_default().micro = *count);
        of_kind.iter().for_each(|(state, count)| counts.entry(*state).or_default().of_kind = *count);
        let predicted: Vec<_> = predict(&counts).into_iter().map(|prediction| prediction.state).collect();
        measured.predicted.count(&predicted, &next);
    }
    let tried = measured.tried;
    Measured {
        most_frequent: measured.most_frequent.percent_of(tried),
        of_the_screen: measured.of_the_screen.percent_of(tried),
        predicted: measured.predicted.percent_of(tried),
        tried,
    }
}

/// What each screen is in truth.
fn truth(simulation: &Simulation, org_id: OrgId) -> HashMap<MicroStateId, &'static str> {
    let mut truth = HashMap::new();
    let notices = screen::NOTICES.iter().map(|(notice, _)| Some(*notice)).chain([None]);
    for (number, payer) in PAYERS.iter().enumerate() {
        let portal = Portal { payer, number, release: 1 };
        for (screen, notice) in screen::SCREENS.iter().flat_map(|screen| notices.clone().map(move |it| (screen, it))) {
            for is_changed in [false, true] {
                let name = Look { portal, screen, notice, is_changed }.name();
                truth.insert(simulation.id(&format!("{name} in {org_id}")).unwrap(), screen.name);
            }
        }
    }
    truth
}

/// Of 100 screens, so many are in a kind most of whose screens are in truth the same as they are.
fn purity(kinds: &BTreeMap<MicroStateId, Uuid>, truth: &HashMap<MicroStateId, &str>) -> f64 {
    let mut names: BTreeMap<Uuid, BTreeMap<&str, usize>> = BTreeMap::new();
    for (screen, kind) in kinds {
        *names.entry(*kind).or_default().entry(truth[screen]).or_default() += 1;
    }
    let most: usize = names.values().filter_map(|names| names.values().max()).sum();
    most as f64 * 100.0 / kinds.len() as f64
}

#[tokio::test]
async fn what_comes_next_is_predicted_better_than_by_what_is_most_frequent() {
    let simulation = simulation();
    let events = recorded(&simulation);
    let embeddings = embeddings(&events).await;
    let truth = truth(&simulation, events[0].event.org_id);
    for alike_from in [Hashing.alike_from(), 0.9] {
        let kinds = kinds(&events, &embeddings, alike_from);
        let screens = measure(&events, &kinds, MicroStateId::uuid);
        let of_kinds = measure(&events, &kinds, |screen| kinds[&screen]);
        let count = kinds.values().collect::<BTreeSet<_>>().len();
        let purity = purity(&kinds, &truth);
        println!("alike from {alike_from}: {} screens, {count} kinds, {purity:.0} % pure", kinds.len());
        println!("  the next screen: {screens:.1?}\n  the next kind: {of_kinds:.1?}");
        if alike_from == Hashing.alike_from() {
            assert!(screens.tried > 1_000 && purity > 90.0);
            for Measured { most_frequent, of_the_screen, predicted, .. } in [screens, of_kinds] {
                assert!(predicted.first > 1.5 * most_frequent.first && predicted.third > 1.5 * most_frequent.third);
                assert!(predicted.first >= of_the_screen.first && predicted.third >= of_the_screen.third);
            }
        }
    }
}
