use std::collections::{BTreeMap, BTreeSet};

use events::{Code, EventData, catalogue::EventType, payload, wire};

use super::{delivery::Delivery, *};
use crate::publisher::Publication;

fn scenario(seed: u64, runs: u32) -> Scenario {
    let start = events::time::parse("2026-03-02T06:00:00Z").unwrap();
    Scenario { seed, start, orgs: 3, runs, refused: 12 }
}

fn simulation(seed: u64, runs: u32) -> Simulation {
    Simulation::new(scenario(seed, runs)).unwrap()
}

fn all(simulation: &Simulation) -> Vec<Delivery> {
    simulation.deliveries().unwrap().collect::<anyhow::Result<_>>().unwrap()
}

fn admit(publication: &Publication) -> Result<events::Event, events::Refusal> {
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
    let of_screens = ["macro_state", "micro_state", "ui_transition"];
    let others = [&of_catalogue[..], &of_requirements, &of_screens].concat();
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
