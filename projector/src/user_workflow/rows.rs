use chrono::{DateTime, Utc};
use events::{
    id::{EventId, NodeId, OrgId, UserId, WorkflowId},
    payload::WorkflowDefinition,
};
use sqlx::{PgConnection, query, query_file};

use super::columns;
use crate::{
    copy::Copy,
    fold::{Flags, object},
    write::{column, joined},
};

/// Rows on their way into the four tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of `user_workflow`.
    pub workflows: Vec<WorkflowRow>,
    /// Of `user_workflow_node`.
    pub nodes: Vec<NodeRow>,
    /// Of `user_workflow_transition`.
    pub transitions: Vec<TransitionRow>,
    /// Of `workflow_revision`.
    pub revisions: Vec<RevisionRow>,
    /// Workflows that have these nodes and transitions and no others.
    pub replaced: Vec<(OrgId, WorkflowId)>,
}

/// A row of `user_workflow`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct WorkflowRow {
    pub org_id: OrgId,
    pub workflow_id: WorkflowId,
    pub name: String,
    pub description: Option<String>,
    pub revision: i32,
    pub status: &'static str,
    pub revision_count: i32,
    pub node_count: i32,
    pub transition_count: i32,
    pub archived_at: Option<DateTime<Utc>>,
    pub archived_by: Option<UserId>,
    pub archive_reason: Option<String>,
    pub flags: Flags,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A row of `user_workflow_node`; `metadata` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct NodeRow {
    pub org_id: OrgId,
    pub workflow_id: WorkflowId,
    pub node_id: NodeId,
    pub revision: i32,
    pub position: i32,
    pub label: String,
    pub kind: Option<String>,
    pub metadata: String,
}

/// A row of `user_workflow_transition`; `condition` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct TransitionRow {
    pub org_id: OrgId,
    pub workflow_id: WorkflowId,
    pub position: i32,
    pub revision: i32,
    pub from_node_id: NodeId,
    pub to_node_id: NodeId,
    pub condition: Option<String>,
}

/// A row of `workflow_revision`; `nodes` and `transitions` are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct RevisionRow {
    pub org_id: OrgId,
    pub workflow_id: WorkflowId,
    pub revision: i32,
    pub name: String,
    pub description: Option<String>,
    pub nodes: String,
    pub transitions: String,
    pub event_id: EventId,
    pub flags: Flags,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
}

impl RevisionRow {
    /// About how many bytes the row is.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.nodes.len() + self.transitions.len()
    }
}

impl Rows {
    /// The workflow's nodes and transitions are those of this definition. Says about how many bytes they are.
    pub fn replace(&mut self, org_id: OrgId, workflow_id: WorkflowId, definition: &WorkflowDefinition) -> usize {
        self.replaced.push((org_id, workflow_id));
        let (revision, mut bytes) = (definition.revision, 0);
        for (node, position) in definition.nodes.iter().zip(0..) {
            let metadata = node.metadata.as_ref().map_or_else(|| "{}".to_owned(), object::to_json);
            let label = node.label.as_str().to_owned();
            let kind = node.kind.as_ref().map(|kind| kind.as_str().to_owned());
            bytes += size_of::<NodeRow>() + label.len() + metadata.len();
            let node_id = node.node_id;
            self.nodes.push(NodeRow { org_id, workflow_id, node_id, revision, position, label, kind, metadata });
        }
        for (transition, position) in definition.transitions.iter().zip(0..) {
            let condition = transition.condition.as_ref().map(|json| json.to_string());
            bytes += size_of::<TransitionRow>() + condition.as_ref().map_or(0, String::len);
            let (from_node_id, to_node_id) = (transition.from, transition.to);
            let row = TransitionRow { org_id, workflow_id, position, revision, from_node_id, to_node_id, condition };
            self.transitions.push(row);
        }
        bytes
    }

    /// The rows as COPY takes them.
    pub fn copy(&self) -> Vec<Copy> {
        vec![
            Copy::of("user_workflow", columns::WORKFLOW, &self.workflows),
            Copy::of("user_workflow_node", columns::NODE, &self.nodes),
            Copy::of("user_workflow_transition", columns::TRANSITION, &self.transitions),
            Copy::of("workflow_revision", columns::REVISION, &self.revisions),
        ]
    }

    /// Inserts or replaces the rows: a statement a table, and one that clears those of nodes and transitions.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        upsert_workflows(&self.workflows, conn).await?;
        upsert_revisions(&self.revisions, conn).await?;
        delete_replaced(&self.replaced, conn).await?;
        insert_nodes(&self.nodes, conn).await?;
        insert_transitions(&self.transitions, conn).await
    }
}

async fn upsert_workflows(rows: &[WorkflowRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow/upsert_workflows.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.workflow_id.uuid()),
        &column(rows, |row| row.name.as_str()) as _,
        &column(rows, |row| row.description.as_deref()) as _,
        &column(rows, |row| row.revision),
        &column(rows, |row| row.status) as _,
        &column(rows, |row| row.revision_count),
        &column(rows, |row| row.node_count),
        &column(rows, |row| row.transition_count),
        &column(rows, |row| row.archived_at) as _,
        &column(rows, |row| row.archived_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.archive_reason.as_deref()) as _,
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_revisions(rows: &[RevisionRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow/upsert_revisions.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.workflow_id.uuid()),
        &column(rows, |row| row.revision),
        &column(rows, |row| row.name.as_str()) as _,
        &column(rows, |row| row.description.as_deref()) as _,
        &column(rows, |row| row.nodes.as_str()) as _,
        &column(rows, |row| row.transitions.as_str()) as _,
        &column(rows, |row| row.event_id.uuid()),
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.created_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete_replaced(replaced: &[(OrgId, WorkflowId)], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if replaced.is_empty() {
        return Ok(());
    }
    let (orgs, ids) = (column(replaced, |(org_id, _)| org_id.uuid()), column(replaced, |(_, id)| id.uuid()));
    query!(
        "DELETE FROM user_workflow_node WHERE (org_id, workflow_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &orgs,
        &ids
    )
    .execute(&mut *conn)
    .await?;
    query!(
        "DELETE FROM user_workflow_transition WHERE (org_id, workflow_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &orgs,
        &ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_nodes(rows: &[NodeRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow/insert_nodes.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.workflow_id.uuid()),
        &column(rows, |row| row.node_id.uuid()),
        &column(rows, |row| row.revision),
        &column(rows, |row| row.position),
        &column(rows, |row| row.label.as_str()) as _,
        &column(rows, |row| row.kind.as_deref()) as _,
        &column(rows, |row| row.metadata.as_str()) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_transitions(rows: &[TransitionRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow/insert_transitions.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.workflow_id.uuid()),
        &column(rows, |row| row.position),
        &column(rows, |row| row.revision),
        &column(rows, |row| row.from_node_id.uuid()),
        &column(rows, |row| row.to_node_id.uuid()),
        &column(rows, |row| row.condition.as_deref()) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
