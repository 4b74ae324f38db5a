//! The questions, each with every filter that a command offers.

use super::{ORG, Question};

const RUN_LIST: &str = include_str!("../../../projector/src/query/run_list.sql");
const RUN_SHOW: &str = include_str!("../../../projector/src/query/run_show.sql");

/// The parameters of `run_list.sql`.
const ORG_ID: usize = 1;
const STATUS: usize = 2;
const CHANNEL: usize = 3;
const WORKFLOW: usize = 4;
const EXTERNAL: usize = 5;
const FLAG: usize = 6;
const SINCE: usize = 7;
const BEFORE: usize = 8;
const AFTER: usize = 9;
const CONTEXT: usize = 13;
const FEW_RUNS: usize = 14;

const RUN: &str = "'00000000-0000-4000-8000-000000000001'";
const FEW: &str = "'{00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002}'";
const MEMBER: &str = r#"'{"member_id": "M300"}'"#;

pub fn all() -> Vec<Question> {
    let mut questions = vec![
        runs("runs", []),
        runs("runs_of_status", [(STATUS, "'failed'")]),
        runs("runs_of_channel", [(CHANNEL, "'efax'")]),
        runs("runs_of_workflow", [(WORKFLOW, "'00000003-0000-4000-8000-00000000bbbb'")]),
        runs("runs_of_external_id", [(EXTERNAL, "'CLM-300'")]),
        runs("runs_since", [(SINCE, "'2026-01-02'")]),
        runs("runs_before", [(BEFORE, "'2026-01-02'")]),
        runs("runs_behind", [(AFTER, "'2026-01-02'")]),
        runs("runs_of_status_behind", [(STATUS, "'completed'"), (AFTER, "'2026-01-02'")]),
        runs("runs_of_channel_behind", [(CHANNEL, "'web'"), (AFTER, "'2026-01-02'")]),
        runs(
            "runs_of_workflow_behind",
            [(WORKFLOW, "'00000003-0000-4000-8000-00000000bbbb'"), (AFTER, "'2026-01-02'")],
        ),
        runs("runs_with_frequent_flag", [(FLAG, "'events_missing'")]),
        runs("runs_with_rare_flag", [(FLAG, "'implausible_time'"), (FEW_RUNS, FEW)]),
        runs("runs_with_frequent_context", [(CONTEXT, r#"'{"payer": "payer-0"}'"#)]),
        runs("runs_with_rare_context", [(CONTEXT, MEMBER), (FEW_RUNS, FEW)]),
        across_orgs("runs_across_orgs", []),
        across_orgs("runs_across_orgs_of_status", [(STATUS, "'failed'")]),
        across_orgs("runs_across_orgs_with_context", [(CONTEXT, MEMBER)]),
    ];
    questions.extend([
        Question { name: "run", is_of_tenant: true, sql: RUN_SHOW, parameters: vec![RUN.into(), format!("'{ORG}'")] },
        Question {
            name: "run_of_any_org",
            is_of_tenant: false,
            sql: RUN_SHOW,
            parameters: vec![RUN.into(), "NULL".into()],
        },
    ]);
    questions
}

fn runs<const N: usize>(name: &'static str, given: [(usize, &str); N]) -> Question {
    let mut question = across_orgs(name, given);
    question.is_of_tenant = true;
    question.parameters[ORG_ID - 1] = format!("'{ORG}'");
    question
}

fn across_orgs<const N: usize>(name: &'static str, given: [(usize, &str); N]) -> Question {
    let mut parameters = vec!["NULL".to_owned(); 14];
    parameters[11] = "50".to_owned();
    for (place, value) in given {
        parameters[place - 1] = value.to_owned();
        if place == AFTER {
            parameters[AFTER] = RUN.to_owned();
            parameters[AFTER + 1] = format!("'{ORG}'");
        }
    }
    Question { name, is_of_tenant: false, sql: RUN_LIST, parameters }
}
