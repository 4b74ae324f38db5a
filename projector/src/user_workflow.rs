//! Workflows: `user_workflow`, the nodes and transitions of the current revision, and `workflow_revision`,
//! where every revision stands as it was sent.
//!
//! The current revision is the one with the greatest number. When another takes its place, the rows of its
//! nodes and transitions replace those before, so that nothing is left of what the workflow no longer has. Of two
//! events that claim one number the later wins, and both rows say so.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use events::{
    catalogue::Payload,
    id::{EventId, OrgId, UserId, WorkflowId},
    payload::{WorkflowArchived, WorkflowDefinition},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    fold::{Flags, Latest, Span, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

#[cfg(test)]
mod any_order;
mod columns;
mod rows;
#[cfg(test)]
mod tests;

pub use rows::{NodeRow, RevisionRow, Rows, TransitionRow, WorkflowRow};

/// A workflow with its revisions.
#[derive(Debug, Default)]
pub struct UserWorkflow {
    seen: HashSet<EventId>,
    span: Span,
    unfoldable: bool,
    revisions: BTreeMap<i32, Revision>,
    /// What the latest event says: archived, or none where it carries a revision.
    archived: Latest<Option<Archived>>,
    changed: bool,
    changed_revisions: BTreeSet<i32>,
    /// Whose nodes and transitions the tables have, as of the rows taken last.
    current: Option<(i32, Stamp)>,
    revisions_bytes: usize,
}

/// A revision, and how many events claim its number.
#[derive(Debug, Default)]
struct Revision {
    claims: usize,
    latest: Latest<Sent>,
}

/// A revision as an event sends it.
#[derive(Debug)]
struct Sent {
    definition: WorkflowDefinition,
    /// JSON arrays, with what the definition has no place for.
    nodes: String,
    transitions: String,
}

#[derive(Debug)]
struct Archived {
    by: Option<UserId>,
    reason: Option<String>,
}

impl Projection for UserWorkflow {
    const NAME: &'static str = "user_workflow";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] =
        &["user_workflow", "user_workflow_node", "user_workflow_transition", "workflow_revision"];
    const TYPES: &'static [&'static str] = &["workflow.created", "workflow.revised", "workflow.archived"];
    const FAMILIES: &'static [&'static str] = &["workflow"];
    type Rows = Rows;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if matches!(event.content, Content::Elsewhere) || !self.seen.insert(event.stamp.event_id) {
            return;
        }
        self.changed = true;
        let stamp = event.stamp;
        let Content::Payload(payload) = event.content else {
            self.unfoldable = true;
            return;
        };
        self.span.include(stamp.time);
        match *payload {
            Payload::WorkflowCreated(sent) => self.revise(stamp, sent.into_definition(), event.data),
            Payload::WorkflowRevised(sent) => self.revise(stamp, sent.into_definition(), event.data),
            Payload::WorkflowArchived(WorkflowArchived { reason, archived_by: by }) => {
                self.archived.offer(stamp, Some(Archived { by, reason: reason.map(String::from) }));
            }
            // The families of other projections, which never get here: see `TYPES`.
            _ => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Rows) -> usize {
        if !std::mem::take(&mut self.changed) {
            return 0;
        }
        let workflow_id = WorkflowId::of_subject(subject.subject_id);
        let mut bytes = 0;
        for number in std::mem::take(&mut self.changed_revisions) {
            let row = self.revisions.get(&number).and_then(|revision| revision.row(subject.org_id, workflow_id));
            bytes += row.as_ref().map_or(0, RevisionRow::weight);
            rows.revisions.extend(row);
        }
        let newest = self.newest();
        let before = std::mem::replace(&mut self.current, newest);
        let Some((_, sent)) = self.head() else { return bytes };
        if before != self.current {
            bytes += rows.replace(subject.org_id, workflow_id, &sent.definition);
        }
        rows.workflows.extend(self.row(subject, workflow_id));
        bytes + size_of::<WorkflowRow>()
    }

    fn forget_changes(&mut self) {
        self.changed = false;
        self.changed_revisions.clear();
        self.current = self.newest();
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        rows.copy()
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.seen.len() * 32 + self.revisions_bytes
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows.write(conn).await
    }
}

impl UserWorkflow {
    fn revise(&mut self, stamp: Stamp, definition: WorkflowDefinition, data: &str) {
        // What could be read as a definition has both.
        let Some((nodes, transitions)) = as_sent(data) else { return };
        self.archived.offer(stamp, None);
        self.changed_revisions.insert(definition.revision);
        let before = self.revisions.get(&definition.revision).map_or(0, Revision::weight);
        let revision = self.revisions.entry(definition.revision).or_default();
        revision.claims += 1;
        revision.latest.offer(stamp, Sent { definition, nodes, transitions });
        self.revisions_bytes = self.revisions_bytes + revision.weight() - before;
    }

    /// The current revision: its event and what that sent.
    fn head(&self) -> Option<(Stamp, &Sent)> {
        let (_, revision) = self.revisions.last_key_value()?;
        revision.latest.key().copied().zip(revision.latest.get())
    }

    /// Which revision is current, and by which event.
    fn newest(&self) -> Option<(i32, Stamp)> {
        self.head().map(|(stamp, sent)| (sent.definition.revision, stamp))
    }

    /// The workflow's row, once a revision is known.
    fn row(&self, subject: Subject, workflow_id: WorkflowId) -> Option<WorkflowRow> {
        let (_, Sent { definition, .. }) = self.head()?;
        let (created_at, updated_at) = self.span.bounds()?;
        let archived = self.archived.get().and_then(Option::as_ref);
        let odd = [
            ("revision_reused", self.revisions.values().any(|revision| revision.claims > 1)),
            ("unfoldable_event", self.unfoldable),
        ];
        Some(WorkflowRow {
            org_id: subject.org_id,
            workflow_id,
            name: definition.name.as_str().to_owned(),
            description: definition.description.as_ref().map(|text| text.as_str().to_owned()),
            revision: definition.revision,
            status: if archived.is_some() { "archived" } else { "active" },
            revision_count: self.revisions.len() as i32,
            node_count: definition.nodes.len() as i32,
            transition_count: definition.transitions.len() as i32,
            archived_at: archived.and(self.archived.key()).map(|stamp| stamp.time),
            archived_by: archived.and_then(|archived| archived.by),
            archive_reason: archived.and_then(|archived| archived.reason.clone()),
            flags: odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)).collect(),
            created_by: definition.created_by,
            created_at,
            updated_at,
        })
    }
}

impl Revision {
    fn row(&self, org_id: OrgId, workflow_id: WorkflowId) -> Option<RevisionRow> {
        let (stamp, Sent { definition, nodes, transitions }) = self.latest.key().zip(self.latest.get())?;
        Some(RevisionRow {
            org_id,
            workflow_id,
            revision: definition.revision,
            name: definition.name.as_str().to_owned(),
            description: definition.description.as_ref().map(|text| text.as_str().to_owned()),
            nodes: nodes.clone(),
            transitions: transitions.clone(),
            event_id: stamp.event_id,
            flags: if self.claims > 1 { Flags::from(["revision_reused"]) } else { Flags::new() },
            created_by: definition.created_by,
            created_at: stamp.time,
        })
    }

    /// About how many bytes of memory this holds: the text as sent, and about as much again decoded.
    fn weight(&self) -> usize {
        let sent = self.latest.get().map_or(0, |sent| sent.nodes.len() + sent.transitions.len());
        size_of::<Self>() + 2 * sent
    }
}

/// The nodes and the transitions of a payload as they stand in it.
fn as_sent(data: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Lists<'a> {
        #[serde(borrow)]
        nodes: &'a RawValue,
        #[serde(borrow)]
        transitions: Option<&'a RawValue>,
    }
    let Lists { nodes, transitions } = serde_json::from_str(data).ok()?;
    Some((nodes.get().to_owned(), transitions.map_or("[]", RawValue::get).to_owned()))
}
