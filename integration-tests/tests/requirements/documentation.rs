//! What `docs/REQUIREMENTS.md` shows is what comes out.

use events::id::{OrgId, SHARED_ORG};
use serde_json::Value;

use crate::{
    catalogue::projected,
    harness::{runledger, shared_events, stack},
};

const DOCUMENTATION: &str = include_str!("../../../docs/REQUIREMENTS.md");
const ORG_ID: &str = "01900000-0000-7000-8000-00000000000a";

/// The page's code blocks: the language, and what stands in it.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let fenced = DOCUMENTATION.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

#[tokio::test]
async fn the_example_of_the_page_comes_out_as_it_is_shown() {
    let stack = stack().await;
    let directory = tempfile::tempdir().unwrap();
    let example = blocks().into_iter().find(|(language, _)| *language == "json").unwrap().1;
    std::fs::write(directory.path().join("example.ndjson"), example).unwrap();
    let of = |org: &str| {
        let events = example.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["orgid"] == *org).count() as i64
    };
    let (own, everyones) = (of(ORG_ID), of(&SHARED_ORG.to_string()));

    let mut compared = 0;
    let mut printed = String::new();
    for (language, text) in blocks() {
        match language {
            "sh" => {
                printed.clear();
                for line in text.lines() {
                    let (program, arguments) = line.split_once(' ').unwrap();
                    assert_eq!(program, "runledger");
                    let mut command = runledger(&stack, []);
                    command.args(arguments.split(' ')).current_dir(directory.path());
                    let output = command.output().await.unwrap();
                    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
                    printed += std::str::from_utf8(&output.stdout).unwrap();
                }
                projected(&stack, ORG_ID.parse::<OrgId>().unwrap(), own).await;
                projected(&stack, SHARED_ORG, shared_events() + everyones).await;
            }
            "" => {
                let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                assert_eq!(trimmed(text), trimmed(&printed), "the page shows something else");
                compared += 1;
            }
            _ => {}
        }
    }
    assert_eq!(compared, 4);
}
