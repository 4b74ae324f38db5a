//! Pages of `runledger runs list`.

use std::collections::BTreeSet;

use serde_json::json;
use stack::Stack;

use super::Ended;
use crate::harness::{Sent, eventually, new_run, runledger, stack};

/// The run ids of a page of the table, and the place where the next one begins.
fn page(printed: &str) -> (Vec<String>, Option<String>) {
    let first_words = printed.lines().filter_map(|line| line.split_whitespace().next());
    let runs = first_words.filter(|word| word.parse::<events::id::RunId>().is_ok()).map(str::to_owned).collect();
    let more = printed.lines().find_map(|line| line.strip_prefix("more: --after "));
    (runs, more.map(str::to_owned))
}

async fn all_pages<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Vec<String> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut command = runledger(stack, ["runs", "list"]);
        command.args(arguments);
        if let Some(after) = &after {
            command.args(["--after", after]);
        }
        let ended = Ended::of(&mut command).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let (runs, more) = page(&ended.stdout);
        all.extend(runs);
        assert!(all.len() <= 1_000, "the pages do not end");
        match more {
            Some(_) => after = more,
            None => return all,
        }
    }
}

#[tokio::test]
async fn the_pages_hold_every_run_once_also_where_many_were_created_at_the_same_time() {
    let stack = stack().await;
    let orgs = [stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap()];
    let mut expected = BTreeSet::new();
    // The same run ids in both orgs, four runs a second.
    for index in 0..20 {
        let run_id = new_run();
        for org_id in orgs {
            let time = format!("2026-01-05T10:00:0{}Z", index / 4);
            Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).with("ce-time", &time).publish(&stack).await;
            expected.insert((org_id.to_string(), run_id.to_string()));
        }
    }
    let in_one_page = eventually("all runs", async || {
        let runs = Ended::of(&mut runledger(&stack, ["runs", "list", "--json", "--limit", "100"])).await.objects();
        (runs.len() == 40).then_some(runs)
    })
    .await;
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let found: BTreeSet<_> = in_one_page.iter().map(|run| (word(&run["org_id"]), word(&run["run_id"]))).collect();
    assert_eq!(found, expected);
    let order: Vec<String> = in_one_page.iter().map(|run| word(&run["run_id"])).collect();
    assert!(in_one_page.is_sorted_by(|a, b| word(&a["created_at"]) >= word(&b["created_at"])));

    for size in ["1", "3", "40", "41"] {
        assert_eq!(all_pages(&stack, ["--limit", size]).await, order, "in pages of {size}");
    }
    let of_one: Vec<_> =
        in_one_page.iter().filter(|run| run["org_id"] == orgs[0].to_string()).map(|run| word(&run["run_id"])).collect();
    assert_eq!(all_pages(&stack, ["--limit", "7", "--org", &orgs[0].to_string(), "--status", "running"]).await, of_one);
}
