use std::collections::BTreeMap;

use events::{
    RecordedEvent,
    id::{EventId, OrgId},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    embedding::TextEmbedding,
    story::{Told, id, lookups, on, recorded, subject},
};

/// A screen was seen whose embedding points into this direction.
fn seen(screen: u128, angle_degrees: u16, time: &str) -> Told {
    let fields = format!(
        r#""url":"https://portal.example/","title":"{}","portal_type":"payer","ui":{{}}"#,
        "x".repeat(usize::from(angle_degrees) + 1)
    );
    on("micro_state.observed", time).about(screen).with(&fields)
}

fn labelled(screen: u128, label: &str, time: &str) -> Told {
    on("micro_state.labelled", time).about(screen).with(&format!(r#""label":"{label}""#))
}

fn defined(kind: u128, name: &str, fields: &str, time: &str) -> Told {
    on("macro_state.defined", time).about(kind).with(&format!(r#""name":"{name}"{fields}"#))
}

/// A screen was seen, and there is no embedding of it.
fn seen_without_embedding(screen: u128, time: &str) -> Told {
    on("micro_state.observed", time).about(screen).with(r#""url":"https://portal.example/","title":"","ui":{}"#)
}

/// The direction of [`seen`] is in the title's length.
fn embedding(event: &FoldEvent<'_>) -> Option<TextEmbedding> {
    let Content::Payload(payload) = &event.content else { return None };
    let Payload::MicroStateObserved(observed) = &**payload else { return None };
    let angle = observed.title.as_str().len().checked_sub(1)? as f32;
    let mut numbers = vec![0.0; 768];
    (numbers[0], numbers[1]) = (angle.to_radians().cos(), angle.to_radians().sin());
    numbers.try_into().ok()
}

/// Tables after some batches of events.
#[derive(Debug, Default, PartialEq)]
struct Tables {
    kinds: BTreeMap<(OrgId, MacroStateId), Row>,
    members: BTreeMap<MicroStateId, MemberRow>,
}

impl Tables {
    fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> Self {
        let (mut tables, mut state) = (Self::default(), MacroState::default());
        for batch in batches {
            fold(&mut state, batch);
            let mut rows = Rows::default();
            state.take_rows(subject(), &lookups(), &mut rows);
            tables.write(rows);
        }
        tables
    }

    fn write(&mut self, rows: Rows) {
        for gone in rows.gone_kinds {
            self.kinds.remove(&gone);
        }
        for (_, gone) in rows.gone_members {
            self.members.remove(&gone);
        }
        self.kinds.extend(rows.kinds.into_iter().map(|row| ((row.org_id, row.macro_state_id), row)));
        self.members.extend(rows.members.into_iter().map(|row| (row.micro_state_id, row)));
    }

    fn kind_of(&self, screen: u128) -> &Row {
        let member = &self.members[&MicroStateId::try_from(id(screen)).unwrap()];
        &self.kinds[&(member.org_id, member.macro_state_id)]
    }

    fn via(&self, screen: u128) -> &str {
        self.members[&MicroStateId::try_from(id(screen)).unwrap()].via
    }
}

fn fold(state: &mut MacroState, events: &[RecordedEvent]) {
    for recorded in events {
        let mut event = FoldEvent::read::<MacroState>(recorded).unwrap();
        if let Some(Rendition { hash, .. }) = MacroState::wants(&event) {
            event.embedded = Some(Embedded { hash, numbers: embedding(&event), alike_from: 0.9 });
        }
        state.apply(event);
    }
}

fn tables(story: impl IntoIterator<Item = Told>) -> Tables {
    Tables::after([&recorded(story)[..]])
}

#[test]
fn screens_that_look_alike_belong_together() {
    let tables =
        tables([seen(1, 0, "10:00:01"), seen(2, 90, "10:00:02"), seen(3, 10, "10:00:03"), seen(1, 0, "10:00:04")]);
    assert_eq!(tables.kinds.len(), 2);
    let kind = tables.kind_of(1);
    assert_eq!((kind.origin, kind.micro_states, kind.observed_count), ("cluster", 2, 3));
    assert_eq!(kind.example_id.unwrap().uuid(), id(1));
    assert_eq!(kind, tables.kind_of(3));
    assert_ne!(kind, tables.kind_of(2));
    assert_eq!(tables.via(3), "cluster");
}

#[test]
fn a_label_wins_over_what_a_screen_looks_like_and_names_what_looks_like_it() {
    let story = [seen(1, 0, "10:00:01"), seen(2, 5, "10:00:02"), seen(3, 90, "10:00:03")];
    let tables =
        tables(story.into_iter().chain([labelled(1, "sign_in", "10:01:00"), labelled(3, "sign_in", "10:01:01")]));
    assert_eq!(tables.kinds.len(), 1, "{:?}", tables.kinds);
    let kind = tables.kind_of(2);
    assert_eq!((kind.origin, kind.label.as_deref(), kind.micro_states), ("label", Some("sign_in"), 3));
    assert_eq!([1, 2, 3].map(|screen| tables.via(screen)), ["label", "cluster_label", "label"]);
}

#[test]
fn of_several_labels_in_a_cluster_the_most_frequent_counts_for_the_others_and_each_screen_keeps_its_own() {
    let story = [1, 2, 3, 4].map(|screen| seen(screen, screen as u16, "10:00:01"));
    let labels = [(1, "b", "10:01:00"), (2, "a", "10:01:01"), (3, "a", "10:01:02")];
    let with = |of: &[(u128, &str, &str)]| {
        let told = of.iter().map(|(screen, label, time)| labelled(*screen, label, time));
        tables(story.clone().into_iter().chain(told))
    };
    let label = |tables: &Tables, screen| tables.kind_of(screen).label.clone().unwrap();
    assert_eq!(label(&with(&labels), 4), "a");
    assert_eq!(label(&with(&labels), 1), "b");
    assert_eq!(label(&with(&labels[..2]), 4), "a", "of as many, the first in the alphabet");
    assert_eq!(label(&with(&labels[..1]), 4), "b");
}

#[test]
fn the_latest_label_holds_whenever_it_arrives() {
    let tables = tables([seen(1, 0, "10:00:01"), labelled(1, "late", "10:02:00"), labelled(1, "early", "10:01:00")]);
    assert_eq!(tables.kind_of(1).label.as_deref(), Some("late"));
    assert_eq!(tables.kinds.len(), 1);
}

#[test]
fn a_definition_takes_the_screens_that_it_names_and_those_of_its_label() {
    let label = r#","label":"sign_in""#;
    let names = format!(r#","micro_state_ids":["{}"]"#, id(3));
    let tables = tables([
        seen(1, 0, "10:00:01"),
        seen(2, 5, "10:00:02"),
        seen(3, 90, "10:00:03"),
        labelled(1, "sign_in", "10:01:00"),
        labelled(3, "sign_in", "10:01:00"),
        defined(100, "Sign-in", label, "10:02:00"),
        defined(101, "Special", &names, "10:02:01"),
        defined(102, "Nothing yet", "", "10:02:02"),
    ]);
    let name = |screen| tables.kind_of(screen).name.clone().unwrap();
    assert_eq!([1, 2, 3].map(name), ["Sign-in", "Sign-in", "Special"]);
    assert_eq!([1, 2, 3].map(|screen| tables.via(screen)), ["label", "cluster_label", "defined"]);
    assert_eq!(tables.kinds.len(), 3);
    assert!(tables.kinds.values().all(|kind| kind.origin == "defined"));
}

#[test]
fn a_definition_for_a_kind_of_portal_goes_before_one_for_all_and_is_none_for_others() {
    let of = |kind, name: &str, portal: &str| {
        let portal = if portal.is_empty() { String::new() } else { format!(r#","portal_type":"{portal}""#) };
        defined(kind, name, &format!(r#","label":"sign_in"{portal}"#), &format!("10:02:{}", kind - 90))
    };
    let tables = tables([
        seen(1, 0, "10:00:01"),
        labelled(1, "sign_in", "10:01:00"),
        of(100, "payers'", "payer"),
        of(101, "everyone's", ""),
        of(102, "others'", "clearing_house"),
    ]);
    assert_eq!(tables.kind_of(1).name.as_deref(), Some("payers'"));
}

#[test]
fn a_screen_that_changes_belongs_to_what_it_looks_like_now() {
    let tables = tables([seen(1, 0, "10:00:01"), seen(2, 90, "10:00:02"), seen(1, 85, "10:00:03")]);
    assert_eq!(tables.kind_of(1), tables.kind_of(2));
    assert_eq!(tables.kinds.len(), 1, "to the first cluster nothing belongs any more");
}

#[test]
fn a_screen_of_which_there_is_no_embedding_any_more_belongs_to_nothing() {
    let events = recorded([seen(1, 0, "10:00:01"), seen_without_embedding(1, "10:00:02")]);
    let tables = Tables::after(events.chunks(1));
    assert_eq!(tables, Tables::default());
    assert_eq!(Tables::after([&events[..]]), tables);
}

#[test]
fn the_kind_of_a_label_that_somebody_defines_for_another_is_what_the_definition_says() {
    let kind = settling::label_id("sign_in").uuid().as_u128();
    let told = [
        seen(1, 0, "10:00:01"),
        labelled(1, "sign_in", "10:01:00"),
        defined(kind, "Way out", r#","label":"sign_out""#, "10:02:00"),
        seen(2, 90, "10:03:00"),
        labelled(2, "sign_out", "10:03:01"),
    ];
    let tables = tables(told);
    assert_eq!(tables.kinds.len(), 1);
    assert_eq!((tables.kind_of(1).label.as_deref(), tables.kind_of(1).origin), (Some("sign_out"), "defined"));
}

#[test]
fn a_definition_that_is_replaced_gives_back_what_it_had_taken() {
    let names = format!(r#","label":"sign_in","micro_state_ids":["{}"]"#, id(2));
    let told = [
        seen(1, 0, "10:00:01"),
        seen(2, 90, "10:00:02"),
        labelled(1, "sign_in", "10:01:00"),
        defined(100, "Sign-in", &names, "10:02:00"),
        defined(100, "Sign-out", r#","label":"sign_out""#, "10:02:02"),
        defined(100, "Late", &names, "10:02:01"),
    ];
    let tables = tables(told);
    assert_eq!([1, 2].map(|screen| tables.kind_of(screen).origin), ["label", "cluster"]);
    assert_eq!(tables.kinds.len(), 3);
}

#[test]
fn the_screen_of_an_event_that_cannot_be_folded_is_flagged() {
    let tables =
        tables([seen(1, 0, "10:00:01"), on("micro_state.labelled", "10:00:02").about(1).data(r#"{"label":7}"#)]);
    let member = tables.members.values().next().unwrap();
    assert!(member.flags.contains("unfoldable_event"));
}

#[test]
fn what_is_forgotten_is_not_told_again() {
    let events = recorded([seen(1, 0, "10:00:01"), seen(2, 90, "10:00:02")]);
    let mut state = MacroState::default();
    fold(&mut state, &events[..1]);
    state.forget_changes();
    fold(&mut state, &events[1..]);
    let mut rows = Rows::default();
    state.take_rows(subject(), &lookups(), &mut rows);
    assert_eq!((rows.kinds.len(), rows.members.len()), (1, 1));
    assert_eq!(rows.members[0].micro_state_id.uuid(), id(2));
}

#[test]
fn a_definition_looks_at_what_it_names_and_an_observation_at_its_screen() {
    let mut state = MacroState::default();
    let seen_before = (1..=100).map(|screen| seen(screen, (screen % 5) as u16, "10:00:01"));
    let told = [defined(500, "One", &format!(r#","label":"a","micro_state_ids":["{}"]"#, id(1)), "10:00:02")];
    let events = recorded(seen_before.chain(told).chain([seen(2, 2, "10:00:03")]));
    fold(&mut state, &events[..100]);
    state.forget_changes();
    fold(&mut state, &events[100..]);
    assert_eq!(state.touched.iter().map(|screen| screen.uuid()).collect::<Vec<_>>(), [id(1), id(2)]);
}

/// An org of so many screens, each with a text of its own, in 10 clusters.
fn org_of(screens: usize) -> MacroState {
    let mut state = MacroState::default();
    let observed = r#"{"url":"https://portal.example/","title":"Search","portal_type":"payer","ui":{}}"#;
    let observed: MicroStateObserved = serde_json::from_str(observed).unwrap();
    for number in 0..screens {
        let mut numbers = vec![0.0; 768];
        numbers[number % 10] = 1.0;
        let numbers = numbers.try_into().ok();
        let embedded = Embedded { hash: ContentHash::of(0, &number.to_string()), numbers, alike_from: 0.9 };
        let stamp =
            Stamp { time: DateTime::from_timestamp_nanos(number as i64 * 1_000), event_id: EventId::generate() };
        state.observe(MicroStateId::generate(), stamp, &observed, Some(embedded));
        state.forget_changes();
    }
    state
}

#[test]
#[ignore = "it looks at the memory of the whole process, so it has to run alone"]
fn a_state_weighs_about_what_it_takes() {
    let taken = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let first = org_of(5_000);
    let before = taken();
    let states: Vec<_> = (0..8).map(|_| org_of(5_000)).collect();
    let (weight, taken) = (states.iter().map(MacroState::weight).sum::<usize>(), taken() - before);
    println!("an org of 5,000 screens takes {} KB and is said to take {}", taken / 8_000, weight / 8_000);
    assert!(weight > taken * 3 / 4 && weight < taken * 3 / 2, "{weight} {taken}");
    drop(first);
}

/// Few screens, directions, labels and times, so that much collides; also the ids of kinds, defined ones and others.
fn told() -> impl Strategy<Value = Told> {
    (0..9u8, 1..6u128, 0..10u16, 0..6u8).prop_map(|(which, screen, direction, second)| {
        let time = format!("10:00:0{second}");
        let label = ["a", "b", "c"][usize::from(direction % 3)];
        let kind = [100, 101, settling::label_id("a").uuid().as_u128()][screen as usize % 3];
        match which {
            0..4 => seen(screen, direction * 12, &time),
            4 => seen_without_embedding(screen, &time),
            5..7 => labelled(screen, label, &time),
            7 => {
                let portal = ["", r#","portal_type":"payer""#, r#","portal_type":"other""#][usize::from(second % 3)];
                defined(kind, "by label", &format!(r#","label":"{label}"{portal}"#), &time)
            }
            _ => {
                let ids: Vec<Uuid> = vec![id(screen), id(screen + 1)];
                let names = format!(r#","micro_state_ids":{}"#, serde_json::to_string(&ids).unwrap());
                defined(kind + u128::from(direction % 2), "by name", &names, &time)
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_batches_of_the_same_events_make_the_same_rows(
        story in prop::collection::vec(told(), 1..40), batch_size in 1..8usize, forgotten in 0..20usize,
    ) {
        let events = recorded(story);
        let whole = Tables::after([&events[..]]);
        prop_assert_eq!(&whole, &Tables::after(events.chunks(batch_size)));

        // A state that was lost is folded anew, and its rows up to there are in the tables.
        let (before, after) = events.split_at(forgotten.min(events.len()));
        let mut tables = Tables::after([before]);
        let mut state = MacroState::default();
        fold(&mut state, before);
        state.forget_changes();
        fold(&mut state, after);
        let mut rows = Rows::default();
        state.take_rows(subject(), &lookups(), &mut rows);
        tables.write(rows);
        prop_assert_eq!(whole, tables);
    }

    #[test]
    fn a_kind_counts_its_members(story in prop::collection::vec(told(), 1..40)) {
        let tables = tables(story);
        for kind in tables.kinds.values() {
            let members = tables.members.values().filter(|member| member.macro_state_id == kind.macro_state_id);
            prop_assert_eq!(members.count() as i32, kind.micro_states);
            prop_assert!(kind.origin == "defined" || kind.micro_states > 0);
        }
        for member in tables.members.values() {
            prop_assert!(tables.kinds.contains_key(&(member.org_id, member.macro_state_id)));
        }
    }
}
