use proptest::prelude::*;

use super::*;
use crate::{
    embedding::Supplied,
    entity::any_order::any_order,
    story::{Told, on, rows_of},
};

fn seen(time: &str, title: &str) -> Told {
    let observed = on("micro_state.observed", time).with(r#""url":"https://p.example/search","ui":{}"#);
    observed.with(&format!(r#""title":"{title}""#))
}

fn labelled(time: &str, label: &str) -> Told {
    on("micro_state.labelled", time).with(&format!(r#""label":"{label}""#))
}

fn row_of(story: impl IntoIterator<Item = Told>) -> Row {
    let mut rows = rows_of::<MicroState>(story);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[test]
fn a_row_is_the_latest_observation_as_a_whole_and_counts_all_of_them() {
    let first = on("micro_state.observed", "10:00:00")
        .data(r#"{"url":"/","title":"Search","portal_type":"payer","ui":{"headings":["Find"]}}"#);
    let row = row_of([first, seen("10:00:09", "Search again"), seen("10:00:04", "Between")]);
    assert_eq!(row.observed.title.as_str(), "Search again");
    assert_eq!((row.portal_type(), row.ui().as_str()), (None, "{}"));
    assert_eq!(row.rendition.text, "title Search again\npage p.example/search");
    assert_eq!(row.observed_count, 3);
    assert_eq!((row.last_seen_at - row.first_seen_at).num_seconds(), 9);
}

#[test]
fn the_latest_label_holds_and_is_no_observation() {
    let row = row_of([labelled("10:00:07", "new"), labelled("10:00:05", "old"), seen("10:00:00", "Search")]);
    assert_eq!((row.label.as_deref(), row.observed_count), (Some("new"), 1));
    assert_eq!((row.last_seen_at - row.first_seen_at).num_seconds(), 0);
    assert_eq!((row.updated_at - row.created_at).num_seconds(), 7);
}

#[test]
fn a_label_of_a_screen_that_nobody_has_seen_yet_makes_no_row() {
    assert!(rows_of::<MicroState>([labelled("10:00:00", "search")]).is_empty());
}

#[test]
fn what_cannot_be_folded_is_flagged() {
    let broken = on("micro_state.observed", "10:00:01").data(r#"{"url":5}"#);
    let row = row_of([seen("10:00:00", "Search"), broken]);
    assert_eq!((row.observed_count, row.flags.into_iter().collect::<Vec<_>>()), (1, vec!["unfoldable_event"]));
    let row = row_of([seen("1999-01-01T00:00:00", "Search")]);
    assert!(row.flags.contains("implausible_time"));
}

/// A vector of so many dimensions along the first axis, and so long.
fn along(dimensions: usize, length: &str) -> String {
    let zeros = vec!["0"; dimensions - 1].join(",");
    format!("[{length},{zeros}]")
}

#[test]
fn what_events_bring_is_taken_where_it_is_to_be_taken_and_scaled_to_length_one() {
    let numbers = along(768, "3e30");
    let supplied = seen("10:00:00", "Search").with(&format!(r#""text_embedding":{numbers},"embedding_model":"bge""#));
    let mut row = row_of([supplied]);
    row.embed(&Embeddings::none(&Supplied));
    assert_eq!(row.embedding_model.as_deref(), Some("bge"));
    assert_eq!(row.text_embedding.as_ref().map(|embedding| (embedding[0], embedding[1])), Some((1.0, 0.0)));

    let mut without = row_of([seen("10:00:00", "Search")]);
    without.embed(&Embeddings::none(&Supplied));
    assert_eq!((without.embedding_model, without.text_embedding), (None, None));
    assert!(without.flags.contains("not_embedded"));
}

#[test]
fn an_image_has_the_embedding_that_came_with_it() {
    let numbers = along(512, "0.5");
    let row = row_of([seen("10:00:00", "Search").with(&format!(r#""image_embedding":{numbers}"#))]);
    assert_eq!(row.image_embedding().unwrap()[0], 1.0);
}

any_order!(
    MicroState,
    (0..3u8, "[a-b]").prop_map(|(which, text)| match which {
        0 => labelled("", &text),
        1 => on("micro_state.observed", "").data(r#"{"url":5}"#),
        _ => seen("", &text),
    })
);
