//! Imports taken back and brought again.

use std::path::PathBuf;

use ledger::stream::STREAM;

use super::*;
use crate::harness::runledger;

/// A log of so many cases in a file that is removed with it.
struct Log(PathBuf);

impl Log {
    fn of(cases: std::ops::Range<usize>) -> Self {
        let mut log = "case_id,activity,timestamp\n".to_owned();
        for case in cases {
            let (minute, second) = (case / 60 % 60, case % 60);
            log += &format!(
                "case-{case},RELEASE,2025-03-01 09:{minute:02}:{second:02}\ncase-{case},BILLED,2025-03-02 10:00:00\n"
            );
        }
        Self::saying(&log)
    }

    fn saying(log: &str) -> Self {
        let path = std::env::temp_dir().join(format!("log-{}.csv", Uuid::new_v4()));
        std::fs::write(&path, log).unwrap();
        Self(path)
    }

    /// The same, but that one word is another.
    fn mended(&self, word: &str, mended: &str) -> Self {
        let log = std::fs::read_to_string(&self.0).unwrap();
        assert_eq!(log.matches(word).count(), 1);
        Self::saying(&log.replace(word, mended))
    }

    async fn import(&self, stack: &Stack, org_id: OrgId) -> Value {
        command(stack, self.importing(&org_id.to_string())).await
    }

    fn importing<'a>(&'a self, org_id: &'a str) -> [&'a str; 6] {
        ["import", "event-log", "--json", "--org", org_id, self.0.to_str().unwrap()]
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// All rows of an org's runs and steps as text.
async fn all_rows(stack: &Stack, org_id: OrgId) -> Vec<String> {
    let query = "(SELECT row_to_json(run)::text FROM user_workflow_run run WHERE org_id = $1 ORDER BY run_id)
                 UNION ALL
                 (SELECT row_to_json(step)::text FROM user_workflow_run_step step WHERE org_id = $1 ORDER BY run_id, step_id)";
    sqlx::query_scalar(query).bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

async fn revert(stack: &Stack, import_id: &str) -> Value {
    command(stack, ["import", "revert", import_id, "--json"]).await
}

#[tokio::test]
async fn a_reverted_import_is_gone_and_the_same_file_brings_it_back() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let (log, other) = (Log::of(0..30), Log::of(30..35));
    let imported = log.import(&stack, org_id).await;
    other.import(&stack, org_id).await;
    let import_id = imported["import_id"].as_str().unwrap();
    let before = all_rows(&stack, org_id).await;
    assert_eq!((before.len(), &imported["reinstated"]), (3 * 35, &json!(0)));

    let reverted = revert(&stack, import_id).await;
    let expected = json!({ "org_id": org_id, "import_id": import_id, "retracted": 30, "retracted_before": 0,
                           "arrived_meanwhile": 0 });
    assert_eq!(reverted, expected);
    assert_eq!(all_rows(&stack, org_id).await.len(), 3 * 5, "what the other import brought stands");
    let size_reverted = size(&stack, org_id).await;

    let again = revert(&stack, import_id).await;
    assert_eq!((&again["retracted"], &again["retracted_before"]), (&json!(0), &json!(30)));
    assert_eq!(size(&stack, org_id).await, size_reverted, "a second revert changes nothing");
    assert_eq!(states(&stack, org_id).await, [(30, 30, true), (5, 0, false)]);

    assert_eq!(log.import(&stack, org_id).await["reinstated"], 30);
    assert_eq!(all_rows(&stack, org_id).await, before);
    assert_eq!(states(&stack, org_id).await, [(30, 0, false), (5, 0, false)]);
    assert_eq!(log.import(&stack, org_id).await["reinstated"], 0);
    assert_intact(&stack).await;
}

/// Of each import, the first one first: its runs, how many are retracted, and whether it is reverted.
async fn states(stack: &Stack, org_id: OrgId) -> Vec<(i64, i64, bool)> {
    let listed = run(stack, ["import", "list", "--org", &org_id.to_string(), "--json"]).await;
    let imports = listed.stdout.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let state = |import: Value| {
        let reverted = import["reverted"].as_bool().unwrap();
        (import["runs"].as_i64().unwrap(), import["retracted"].as_i64().unwrap(), reverted)
    };
    imports.map(state).collect()
}

#[tokio::test]
async fn an_import_does_not_bring_back_what_somebody_retracted_by_hand() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let log = Log::of(0..3);
    let imported = log.import(&stack, org_id).await;
    let any = run(&stack, ["runs", "list", "--limit", "1", "--json"]).await;
    let any: Value = serde_json::from_str(&any.stdout).unwrap();
    let any = any["run_id"].as_str().unwrap();
    command(&stack, ["runs", "retract", any, "--reason", "another patient's", "--json"]).await;
    assert_eq!(revert(&stack, imported["import_id"].as_str().unwrap()).await["retracted"], 2);
    let again = log.import(&stack, org_id).await;
    assert_eq!((&again["reinstated"], &again["still_retracted"]), (&json!(2), &json!(1)));
    assert!(!run(&stack, ["runs", "show", any]).await.success);
    command(&stack, ["runs", "reinstate", any, "--json"]).await;
    assert!(run(&stack, ["runs", "show", any]).await.success);
}

#[tokio::test]
async fn a_mended_or_longer_file_brings_back_all_its_runs_after_a_revert() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let wrong = Log::of(0..30);
    let id = |imported: &Value| imported["import_id"].as_str().unwrap().to_owned();
    let wrong_id = id(&wrong.import(&stack, org_id).await);
    revert(&stack, &wrong_id).await;

    let mended = wrong.mended("case-7,RELEASE", "case-7,CODING").import(&stack, org_id).await;
    assert_ne!(id(&mended), wrong_id);
    assert_eq!((&mended["reinstated"], &mended["still_retracted"]), (&json!(30), &json!(0)));
    let runs = async || all_rows(&stack, org_id).await.iter().filter(|row| !row.contains("step_id")).count();
    assert_eq!(runs().await, 30);
    assert_eq!(states(&stack, org_id).await, [(30, 0, false), (30, 0, false)]);

    // The mended file can be taken back in turn, with the runs of which it said nothing new.
    assert_eq!(revert(&stack, &id(&mended)).await["retracted"], 30);
    assert_eq!(runs().await, 0);
    let longer = Log::of(0..35).import(&stack, org_id).await;
    assert_eq!(longer["reinstated"], 30);
    assert_eq!(runs().await, 35);
    let limited = run(&stack, ["import", "list", "--json", "--limit", "1"]).await.stdout;
    let limited: Value = serde_json::from_str(&limited).unwrap();
    assert_eq!((&limited["import_id"], &limited["runs"]), (&longer["import_id"], &json!(35)), "the latest");
    assert_intact(&stack).await;
}

#[tokio::test]
async fn of_two_files_that_overlap_each_brings_back_its_own_runs() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let (one, other) = (Log::of(0..20), Log::of(10..30));
    let imported = one.import(&stack, org_id).await;
    other.import(&stack, org_id).await;
    assert_eq!(revert(&stack, imported["import_id"].as_str().unwrap()).await["retracted"], 20);
    assert_eq!(other.import(&stack, org_id).await["reinstated"], 10);
    assert_eq!(all_rows(&stack, org_id).await.len(), 3 * 20);
    assert_eq!(one.import(&stack, org_id).await["reinstated"], 10);
    assert_eq!(all_rows(&stack, org_id).await.len(), 3 * 30);
}

#[tokio::test]
async fn what_is_retracted_by_hand_after_a_revert_stays_retracted() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let log = Log::of(0..3);
    let imported = log.import(&stack, org_id).await;
    let any = run(&stack, ["runs", "list", "--limit", "1", "--json"]).await;
    let any: Value = serde_json::from_str(&any.stdout).unwrap();
    let any = any["run_id"].as_str().unwrap();
    assert_eq!(revert(&stack, imported["import_id"].as_str().unwrap()).await["retracted"], 3);
    let retract = ["runs", "retract", any, "--reason", "another patient's", "--json"];
    assert_eq!(command(&stack, retract).await["changed"], true);
    assert_eq!(command(&stack, retract).await["changed"], false);
    let again = log.import(&stack, org_id).await;
    assert_eq!((&again["reinstated"], &again["still_retracted"]), (&json!(2), &json!(1)));
}

async fn signal(process: &tokio::process::Child, signal: &str) {
    let id = process.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args([signal, &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn an_import_does_not_undo_a_revert_that_came_while_it_ran() {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let (log, org) = (Log::of(0..2_000), org_id.to_string());
    let importing = runledger(&stack, log.importing(&org)).stdout(std::process::Stdio::piped()).spawn().unwrap();
    size_reaches(&stack, org_id, 2).await;
    signal(&importing, "-STOP").await;
    let listed = run(&stack, ["import", "list", "--json"]).await.stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let retracted = revert(&stack, listed["import_id"].as_str().unwrap()).await["retracted"].clone();
    signal(&importing, "-CONT").await;

    let imported = importing.wait_with_output().await.unwrap();
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!((&imported["reinstated"], &imported["still_retracted"]), (&json!(0), &retracted));
    assert_eq!(count(&stack, org_id, "run.retracted").await, retracted.as_i64().unwrap());
    assert!(retracted.as_i64().unwrap() > 0);
}

#[tokio::test]
async fn a_revert_that_broke_off_half_way_is_done_again_and_doubles_nothing() {
    const CASES: usize = 300;
    const ROOM: usize = 100;
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await.unwrap();
    let log = Log::of(0..CASES);
    let imported = log.import(&stack, org_id).await;
    let import_id = imported["import_id"].as_str().unwrap();

    // The stream takes so many retractions and no more.
    let jetstream = async_nats::jetstream::new(stack.client().clone());
    let mut config = jetstream.get_stream(STREAM).await.unwrap().cached_info().clone();
    config.config.max_messages = config.state.messages as i64 + ROOM as i64;
    jetstream.update_stream(config.config.clone()).await.unwrap();
    let broken = run(&stack, ["import", "revert", import_id]).await;
    assert!(!broken.success && broken.stderr.contains("do this again"), "{}", broken.stderr);
    config.config.max_messages = -1;
    jetstream.update_stream(config.config).await.unwrap();

    let reverted = revert(&stack, import_id).await;
    // What was on its way when the stream was full may have found room later.
    let [now, before] = ["retracted", "retracted_before"].map(|count| reverted[count].as_u64().unwrap() as usize);
    assert!(before >= ROOM && now > 0 && before + now == CASES, "{reverted}");
    assert_eq!(count(&stack, org_id, "run.retracted").await, CASES as i64);
    assert_eq!(all_rows(&stack, org_id).await, Vec::<String>::new());
    assert_intact(&stack).await;
}

#[tokio::test]
async fn an_import_that_nobody_knows_cannot_be_reverted() {
    let refused = run(&stack().await, ["import", "revert", "nothing"]).await;
    assert!(!refused.success);
    assert!(refused.stderr.contains("nothing") && refused.stderr.contains("import list"), "{}", refused.stderr);
}
