//! What can be learnt from simulated portals, tried on sessions that nothing was learnt from. The benchmark's case
//! `prediction` does the same with more of them, and prints the figures.

use std::collections::{BTreeMap, HashMap};

use events::{
    Event, RecordedEvent,
    id::{MicroStateId, OrgId, Seq},
};
use projector::{embedding::Hashing, prediction::Trial};
use uuid::Uuid;

use super::{Look, Portal, screen};
use crate::simulation::{Manner, Scenario, Simulation, matter::PAYERS};

fn simulation() -> Simulation {
    let start = events::time::parse("2026-03-02T06:00:00Z").unwrap();
    Simulation::new(Scenario { seed: 11, start, orgs: 1, runs: 600, refused: 0, portal: true }).unwrap()
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
    let Trial { kinds, tried, most_frequent, of_the_screen, predicted } = Trial::of(&events, &Hashing).await.unwrap();
    assert!(tried > 300, "{tried}");
    let told = format!("{most_frequent:.1?} {of_the_screen:.1?} {predicted:.1?}");
    for simpler in [most_frequent, of_the_screen] {
        assert!(predicted.first > simpler.first && predicted.third > simpler.third, "{told}");
    }
    let purity = purity(&kinds, &truth(&simulation, events[0].event.org_id));
    assert!(purity > 90.0, "{purity}");
}
