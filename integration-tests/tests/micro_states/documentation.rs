//! What `docs/MICRO_STATES.md` shows is what comes out.

use events::id::OrgId;

use crate::{
    catalogue::projected,
    harness::{runledger, stack},
};

const DOCUMENTATION: &str = include_str!("../../../docs/MICRO_STATES.md");
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
    std::fs::write(directory.path().join("screens.ndjson"), example).unwrap();
    let (mut compared, mut printed) = (0, String::new());
    for (language, text) in blocks() {
        match language {
            "sh" => {
                printed.clear();
                for line in text.lines() {
                    let (program, arguments) = line.split_once(' ').unwrap();
                    assert_eq!(program, "runledger");
                    // Quotes hold a text of several words together.
                    let parts = arguments.split('"').enumerate().flat_map(|(place, part)| match place % 2 {
                        0 => part.split_whitespace().collect::<Vec<_>>(),
                        _ => vec![part],
                    });
                    let mut command = runledger(&stack, []);
                    let output = command.args(parts).current_dir(directory.path()).output().await.unwrap();
                    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
                    printed += std::str::from_utf8(&output.stdout).unwrap();
                }
                projected(&stack, ORG_ID.parse::<OrgId>().unwrap(), example.lines().count() as i64).await;
            }
            "" => {
                let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                assert_eq!(trimmed(text), trimmed(&printed), "the page shows something else");
                compared += 1;
            }
            _ => {}
        }
    }
    assert_eq!(compared, 3);
}
