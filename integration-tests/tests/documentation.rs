//! What pages of the documentation show is what comes out. (Snippets for publishers: `publishing::from_documentation`.)

use events::id::{OrgId, SHARED_ORG};
use serde_json::Value;
use stack::Stack;

use crate::{
    catalogue::projected,
    harness::{runledger, shared_events, stack},
};

const ORG_ID: &str = "01900000-0000-7000-8000-00000000000a";

/// The page's code blocks: the language, and what stands in it.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap())
}

/// Writes the page's first JSON to this file, runs its commands one after the other, and compares what they print with the
/// blocks that show it, of which there are so many.
async fn comes_out_as_it_is_shown(page: &str, file: &str, shown: usize) {
    let stack = stack().await;
    let directory = tempfile::tempdir().unwrap();
    let (_, example) = blocks(page).find(|(language, _)| *language == "json").unwrap();
    std::fs::write(directory.path().join(file), example).unwrap();
    let (mut compared, mut printed) = (0, String::new());
    for (language, text) in blocks(page) {
        match language {
            "sh" => {
                printed.clear();
                for line in text.lines() {
                    let mut command = runledger(&stack, []);
                    let output = command.args(arguments(line)).current_dir(directory.path()).output().await.unwrap();
                    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
                    printed += std::str::from_utf8(&output.stdout).unwrap();
                }
                all_projected(&stack, example).await;
            }
            "" => {
                let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                assert_eq!(trimmed(text), trimmed(&printed), "the page shows something else");
                compared += 1;
            }
            _ => {}
        }
    }
    assert_eq!(compared, shown);
}

/// What follows `runledger`; quotes hold a text of several words together.
fn arguments(line: &str) -> Vec<&str> {
    let parts = line.strip_prefix("runledger ").unwrap().split('"').enumerate();
    parts
        .flat_map(|(place, part)| if place % 2 == 0 { part.split_whitespace().collect() } else { vec![part] })
        .collect()
}

async fn all_projected(stack: &Stack, example: &str) {
    let events: Vec<Value> = example.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |org: &str| events.iter().filter(|event| event["orgid"] == *org).count() as i64;
    projected(stack, ORG_ID.parse::<OrgId>().unwrap(), of(ORG_ID)).await;
    projected(stack, SHARED_ORG, shared_events() + of(&SHARED_ORG.to_string())).await;
}

#[tokio::test]
async fn the_example_of_requirements_comes_out_as_it_is_shown() {
    comes_out_as_it_is_shown(include_str!("../../docs/REQUIREMENTS.md"), "example.ndjson", 4).await;
}

#[tokio::test]
async fn the_example_of_screens_comes_out_as_it_is_shown() {
    comes_out_as_it_is_shown(include_str!("../../docs/MICRO_STATES.md"), "screens.ndjson", 3).await;
}

#[tokio::test]
async fn the_example_of_learning_comes_out_as_it_is_shown() {
    comes_out_as_it_is_shown(include_str!("../../docs/LEARNING.md"), "walk.ndjson", 1).await;
}
