use super::{NodeRow, Rows, TransitionRow, UserWorkflow, WorkflowRow};
use crate::{
    fold::Flags,
    story::{Told, id, on, rows_of},
};

/// A revision of nodes in a row, each known by a number.
pub fn revision(event_type: &'static str, time: &str, revision: i32, nodes: &[u128]) -> Told {
    let node = |number: &u128| format!(r#"{{"node_id":"{}","label":"node {number}","x":1.50}}"#, id(*number));
    let link =
        |pair: &[u128]| format!(r#"{{"from":"{}","to":"{}","condition":{{"n":1.0}}}}"#, id(pair[0]), id(pair[1]));
    let nodes_sent: Vec<String> = nodes.iter().map(node).collect();
    let links: Vec<String> = nodes.windows(2).map(link).collect();
    on(event_type, time).with(&format!(
        r#""name":"workflow {revision}","revision":{revision},"nodes":[{}],"transitions":[{}]"#,
        nodes_sent.join(","),
        links.join(",")
    ))
}

fn rows(story: impl IntoIterator<Item = Told>) -> Rows {
    rows_of::<UserWorkflow>(story)
}

fn workflow(rows: &Rows) -> &WorkflowRow {
    let [workflow] = &rows.workflows[..] else { panic!("{rows:?}") };
    workflow
}

fn labels(rows: &Rows) -> Vec<&str> {
    rows.nodes.iter().map(|node| node.label.as_str()).collect()
}

#[test]
fn the_greatest_revision_is_current_and_every_one_is_kept() {
    let rows = rows([
        revision("workflow.revised", "10:00:01", 3, &[1, 3]),
        revision("workflow.created", "10:00:00", 1, &[1, 2]),
        revision("workflow.revised", "10:00:09", 2, &[1, 2, 4]),
    ]);
    let head = workflow(&rows);
    assert_eq!((head.name.as_str(), head.revision, head.revision_count), ("workflow 3", 3, 3));
    assert_eq!((head.node_count, head.transition_count, head.status), (2, 1, "active"));
    assert_eq!((head.updated_at - head.created_at).num_seconds(), 9);
    assert_eq!(labels(&rows), ["node 1", "node 3"]);
    assert_eq!(rows.revisions.iter().map(|kept| kept.revision).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(head.flags.is_empty() && rows.revisions.iter().all(|kept| kept.flags.is_empty()));
}

#[test]
fn nodes_transitions_and_snapshots_are_as_they_were_sent() {
    let rows = rows([revision("workflow.created", "10:00:00", 1, &[1, 2])]);
    let [_, NodeRow { position: 1, metadata, .. }] = &rows.nodes[..] else { panic!("{rows:?}") };
    assert_eq!(metadata, "{}");
    let [TransitionRow { position: 0, from_node_id, to_node_id, condition, .. }] = &rows.transitions[..] else {
        panic!()
    };
    assert_eq!((from_node_id.uuid(), to_node_id.uuid(), condition.as_deref()), (id(1), id(2), Some(r#"{"n":1.0}"#)));
    assert!(rows.revisions[0].nodes.contains(r#""x":1.50"#), "{}", rows.revisions[0].nodes);
}

#[test]
fn of_two_events_with_one_number_the_later_wins_and_rows_say_so() {
    let rows = rows([
        revision("workflow.created", "10:00:05", 1, &[7]).id(9),
        revision("workflow.created", "10:00:05", 1, &[8]).id(8),
        revision("workflow.revised", "10:00:00", 2, &[6]),
    ]);
    assert_eq!(workflow(&rows).flags, Flags::from(["revision_reused"]));
    assert_eq!(rows.revisions[0].event_id.uuid(), id(9));
    assert_eq!(rows.revisions[0].flags, Flags::from(["revision_reused"]));
    assert_eq!(rows.revisions[1].flags, Flags::new());
}

#[test]
fn the_latest_event_says_whether_a_workflow_is_archived() {
    let archived = on("workflow.archived", "10:00:05").with(r#""reason":"replaced""#);
    let created = revision("workflow.created", "10:00:00", 1, &[1]);
    let first = rows([created.clone(), archived.clone()]);
    assert_eq!((workflow(&first).status, workflow(&first).archive_reason.as_deref()), ("archived", Some("replaced")));
    assert_eq!(workflow(&first).archived_at, Some(workflow(&first).updated_at));
    let then = rows([created, archived.clone(), revision("workflow.revised", "10:00:06", 2, &[1])]);
    assert_eq!((workflow(&then).status, workflow(&then).archived_at), ("active", None));
    assert_eq!(rows([archived]).workflows, []);
}

#[test]
fn an_event_that_cannot_be_folded_is_flagged() {
    let poison = on("workflow.revised", "10:00:01").data(r#"{"name":"x","revision":2,"nodes":[]}"#);
    let rows = rows([revision("workflow.created", "10:00:00", 1, &[1]), poison]);
    assert_eq!(workflow(&rows).flags, Flags::from(["unfoldable_event"]));
    assert_eq!(workflow(&rows).revision, 1);
}
