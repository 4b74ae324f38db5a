//! What `docs/LEARNING.md` shows is what comes out.

use events::id::OrgId;

use crate::{
    catalogue::projected,
    harness::{runledger, stack},
};

const DOCUMENTATION: &str = include_str!("../../../docs/LEARNING.md");
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
    std::fs::write(directory.path().join("walk.ndjson"), example).unwrap();
    let (mut shown, mut printed, mut last) = (Vec::new(), Vec::new(), String::new());
    for (language, text) in blocks() {
        match language {
            "sh" => {
                let arguments = text.trim().strip_prefix("runledger ").unwrap();
                let mut command = runledger(&stack, []);
                let output = command.args(arguments.split(' ')).current_dir(directory.path()).output().await.unwrap();
                assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
                last = String::from_utf8(output.stdout).unwrap();
                projected(&stack, ORG_ID.parse::<OrgId>().unwrap(), example.lines().count() as i64).await;
            }
            "" => {
                let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                shown.push(trimmed(text));
                printed.push(trimmed(&last));
            }
            _ => {}
        }
    }
    assert_eq!(shown.len(), 1);
    assert_eq!(shown, printed, "the page shows something else");
}
