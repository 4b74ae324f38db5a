use std::collections::{BTreeMap, BTreeSet};

use events::{Code, EventData, catalogue::EventType, payload, wire};

use super::{delivery::Delivery, *};
use crate::publisher::Publication;

fn scenario(seed: u64, runs: u32) -> Scenario {
    let start = events::time::parse("2026-03-02T06:00:00Z").unwrap();
    Scenario { seed, start, orgs: 3, runs, refused: 12, portal: true }
}

fn simulation(seed: u64, runs: u32) -> Simulation {
    Simulation::new(scenario(seed, runs)).unwrap()
}

fn all(simulation: &Simulation) -> Vec<Delivery> {
    simulation.deliveries().unwrap().collect::<anyhow::Result<_>>().unwrap()
}

pub fn admit(publication: &Publication) -> Result<events::Event, events::Refusal> {
    let headers = publication.headers.iter().map(|(name, values)| {
        let (name, value): (&[u8], &[u8]) = (name.as_ref(), values[0].as_ref());
        (name, value)
    });
    let message = wire::Message {
        subject: publication.subject.as_bytes(),
        headers: headers.collect(),
        payload: publication.payload.clone(),
    };
    wire::admit(&message, events::time::parse("2026-03-03T06:00:00Z").unwrap())
}

fn events_of(deliveries: &[Delivery]) -> Vec<events::Event> {
    let taken = deliveries.iter().filter(|delivery| matches!(delivery.manner, Manner::Prompt | Manner::Late));
    taken.map(|delivery| admit(&delivery.publication).unwrap()).collect()
}

#[test]
fn the_same_seed_and_start_give_the_same_messages() {
    let (first, second) = (all(&simulation(7, 60)), all(&simulation(7, 60)));
    assert!(first == second);
    assert!(first != all(&simulation(8, 60)));
    let later = Scenario { start: scenario(7, 60).start + TimeDelta::hours(1), ..scenario(7, 60) };
    assert!(first != all(&Simulation::new(later).unwrap()));
}

#[test]
fn every_message_but_the_refused_ones_passes_the_door() {
    for delivery in all(&simulation(1, 300)).iter().filter(|delivery| delivery.manner != Manner::Refused) {
        if let Err(refusal) = admit(&delivery.publication) {
            panic!("{refusal}: {:?}", delivery.publication);
        }
    }
}

#[test]
fn every_refused_message_has_the_fault_it_is_to_have() {
    let simulation = simulation(1, 100);
    let refused = super::refused::all(&simulation).unwrap();
    assert_eq!(refused.len(), 12);
    for bug in refused {
        match (bug.code, admit(&bug.publication)) {
            (Code::UnknownOrg, Ok(event)) => assert!(simulation.orgs().iter().all(|org| org.org_id != event.org_id)),
            (Code::Conflict, Ok(event)) => assert_conflict(&simulation, &bug.publication, &event),
            (code, Ok(event)) => panic!("{code} passed the door: {event:?}"),
            (code, Err(refusal)) => assert_eq!(refusal.code, code, "{refusal}"),
        }
    }
}

fn assert_conflict(simulation: &Simulation, publication: &Publication, event: &events::Event) {
    let deliveries = all(simulation);
    let place = deliveries.iter().position(|delivery| &delivery.publication == publication).unwrap();
    let before = events_of(&deliveries[..place]);
    let other = before.iter().find(|other| other.event_id == event.event_id).expect("it comes behind the first");
    assert!(!event.same_content(other));
}

#[test]
fn a_thousand_runs_have_everything_in_them() {
    let deliveries = all(&simulation(3, 1_000));
    let events = events_of(&deliveries);
    let mut by_type: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        *by_type.entry(&event.event_type).or_default() += 1;
    }
    let by_hand = [
        "org.updated",
        "org.deactivated",
        "user.updated",
        "user.deactivated",
        "run.retracted",
        "run.reinstated",
        "workflow.archived",
        "batch.failed",
        "batch.cancelled",
    ];
    let of_catalogue = ["endpoint", "lookup", "portal_type", "task_signature", "task_type"];
    let of_requirements = ["org_policy", "payer_requirement", "requirement"];
    let others = [&of_catalogue[..], &of_requirements].concat();
    let expected = |known: &&EventType| !by_hand.contains(&known.name) && !others.contains(&known.family());
    for event_type in events::catalogue::EVENT_TYPES.iter().filter(expected) {
        assert!(by_type.contains_key(event_type.name), "{} does not occur", event_type.name);
    }
    let ended = |event_type| by_type[event_type];
    let (completed, failed) = (ended(payload::RunCompleted::TYPE), ended(payload::RunFailed::TYPE));
    let (cancelled, timed_out) = (ended(payload::RunCancelled::TYPE), ended(payload::RunTimedOut::TYPE));
    let running = 1_000 - completed - failed - cancelled - timed_out;
    assert_eq!(by_type[payload::RunStarted::TYPE], 1_000);
    assert!((650..820).contains(&completed) && (70..180).contains(&failed), "{completed} completed, {failed} failed");
    assert!(cancelled > 20 && timed_out > 15 && running > 20, "{cancelled}, {timed_out}, {running}");
    for manner in [Manner::Late, Manner::Again] {
        assert!(deliveries.iter().filter(|delivery| delivery.manner == manner).count() > 100, "{manner:?}");
    }
    for text in
        ["\"web\"", "\"voice\"", "\"efax\"", "claim status", "eligibility check", "prior authorisation", "fax busy"]
    {
        assert!(events.iter().any(|event| event.data.contains(text)), "{text} does not occur");
    }
}

#[test]
fn the_sequences_of_a_subject_have_no_gaps_and_ids_are_unique() {
    let events = events_of(&all(&simulation(4, 200)));
    let ids: BTreeSet<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), events.len());
    let mut by_subject: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for event in &events {
        by_subject.entry(event.subject_id).or_default().insert(event.sequence().unwrap());
    }
    for (subject, sequences) in by_subject {
        assert!(sequences.iter().copied().eq(1..=sequences.len() as i64), "{subject}");
    }
}

#[test]
fn the_whole_simulation_lies_in_the_past_of_its_default_start() {
    let now = events::time::parse("2026-03-03T06:00:31Z").unwrap();
    let scenario = Scenario { start: Scenario::start_before(now), ..scenario(5, 500) };
    let simulation = Simulation::new(scenario).unwrap();
    let latest = events_of(&all(&simulation)).into_iter().map(|event| event.occurred_at).max().unwrap();
    assert!(latest < now, "{latest}");
}

#[test]
fn many_orgs_have_different_names() {
    let simulation = Simulation::new(Scenario { orgs: 100, ..scenario(6, 0) }).unwrap();
    let names: BTreeSet<_> = simulation.orgs().iter().map(|org| org.name.as_str()).collect();
    assert_eq!(names.len(), 100);
}

#[test]
fn the_sample_is_the_same_every_time_and_passes_the_door() {
    let (first, second) = (sample::Sample::make().unwrap(), sample::Sample::make().unwrap());
    assert!(first.events == second.events && first.events.len() > 200);
    let ids: BTreeSet<_> = first.events.iter().map(|event| (event.org_id, event.event_id)).collect();
    assert_eq!(ids.len(), first.events.len());
    // The shared org is registered by the system.
    let mut registered = BTreeSet::from([events::id::SHARED_ORG]);
    for event in &first.events {
        let admitted = admit(&Publication::of(event)).unwrap_or_else(|refusal| panic!("{refusal}: {event:?}"));
        assert!(admitted.same_content(event));
        if event.event_type == "org.registered" {
            registered.insert(event.org_id);
        }
        assert!(registered.contains(&event.org_id), "{event:?} comes before its org");
    }
    assert!(first.failed_run().is_some());
}

#[test]
fn screens_of_a_portal_are_the_same_for_everybody_but_for_what_is_entered_and_shown() {
    let events = events_of(&all(&simulation(9, 600)));
    let mut screens: BTreeMap<_, Vec<payload::MicroStateObserved>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.event_type == payload::MicroStateObserved::TYPE) {
        screens.entry((event.org_id, event.subject_id)).or_default().push(serde_json::from_str(&event.data).unwrap());
    }
    let shape = |observed: &payload::MicroStateObserved| {
        let mut ui: serde_json::Value = serde_json::from_str(&serde_json::to_string(&observed.ui).unwrap()).unwrap();
        for part in ui["headings"].as_array_mut().unwrap().iter_mut().filter(|part| part["dynamic"] == true) {
            part["text"].take();
        }
        for part in ui["controls"].as_array_mut().unwrap() {
            part["value"].take();
            if part["dynamic"] == true {
                part["label"].take();
            }
        }
        (observed.title.as_str().to_owned(), ui.to_string())
    };
    let mut shapes = BTreeSet::new();
    for ((org_id, _), seen) in &screens {
        assert!(seen.iter().all(|observed| shape(observed) == shape(&seen[0])), "{seen:?}");
        assert!(shapes.insert((org_id, shape(&seen[0]))), "two screens look the same: {:?}", seen[0]);
    }
    let values = |seen: &Vec<payload::MicroStateObserved>| {
        seen.iter().map(|observed| serde_json::to_string(&observed.ui).unwrap()).collect::<BTreeSet<_>>().len()
    };
    assert!(screens.values().filter(|seen| seen.len() > 5).any(|seen| values(seen) > 1));
    let titled = |text: &str| screens.values().flatten().any(|observed| observed.title.as_str().starts_with(text));
    for title in ["Sign in", "Log on", "Continue", "Member eligibility", "Session expired", "No member found"] {
        assert!(titled(title), "{title} does not occur");
    }
}

#[test]
fn a_session_goes_on_from_the_screen_that_it_came_to() {
    let events = events_of(&all(&simulation(9, 200)));
    let mut sessions: BTreeMap<_, Vec<(_, payload::UiTransitionObserved)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.event_type == payload::UiTransitionObserved::TYPE) {
        let moved: payload::UiTransitionObserved = serde_json::from_str(&event.data).unwrap();
        assert_eq!(moved.from.subject(), event.subject_id);
        sessions.entry(moved.run_id).or_default().push((event.occurred_at, moved));
    }
    assert!(sessions.len() > 60, "{}", sessions.len());
    for mut session in sessions.into_values() {
        session.sort_by_key(|(time, _)| *time);
        assert!(session.windows(2).all(|pair| pair[0].1.to == pair[1].1.from), "{session:?}");
    }
}

#[test]
fn without_a_portal_the_runs_are_the_same_and_no_screens_are_told() {
    let with = all(&simulation(7, 60));
    let without = all(&Simulation::new(Scenario { portal: false, ..scenario(7, 60) }).unwrap());
    let mut with = with.iter();
    assert!(without.iter().all(|delivery| with.any(|other| other == delivery)));
    assert!(events_of(&without).iter().all(|event| !event.event_type.contains("_state.")));
}
