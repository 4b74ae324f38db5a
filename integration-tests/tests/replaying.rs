//! `runledger replay` and `runledger emit --restore`: the events of one deployment again, in a file, on
//! NATS, in another deployment, byte for byte and with the same Merkle roots.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use events::id::OrgId;
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Printed, Sent, run, runledger, size_reaches, stack};

mod damaged;
mod interrupted;
mod publishing;
mod restoring;
mod selecting;

/// Payloads that are easily changed on the way, and must not be.
const ODD_PAYLOADS: [&str; 8] = [
    r#"{"a":1.0e2, "b" : -0,"c":[ 1 ,2.50 ],"d":0.1e-7}"#,
    "{\n\t\"lines\": 1\r\n}",
    r#"{"escaped":"\u00e9\ud83d\ude00\/\n","plain":"é😀/"}"#,
    " [1] ",
    "\n5\n",
    "null",
    r#""\u202e=1+1\u009b31m""#,
    r#"{"z":1,"a":{"z":2,"a":18446744073709551615}}"#,
];

/// A directory that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a file holds, unpacked by other code than ours.
fn unpacked(path: &str) -> String {
    let packed = std::fs::read(path).unwrap();
    if path.ends_with(".zst") {
        return String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    }
    if path.ends_with(".gz") {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(packed).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An org with its registration and so many events more.
async fn org(stack: &Stack, events: i64) -> OrgId {
    let org_id = stack.register_org("replayed").await.unwrap();
    for n in 0..events {
        Sent::valid(org_id, "custom.counted", Uuid::new_v4(), json!({ "n": n })).publish(stack).await;
    }
    size_reaches(stack, org_id, events + 1).await;
    org_id
}

/// An org whose events have something odd in every place that holds something.
async fn odd_org(stack: &Stack) -> OrgId {
    let org_id = org(stack, 0).await;
    let sent = || Sent::valid(org_id, "custom.odd", Uuid::new_v4(), json!({}));
    for payload in ODD_PAYLOADS {
        sent().carrying(payload).publish(stack).await;
    }
    sent().carrying(format!("\"{}\"", "é\\n".repeat(150_000))).publish(stack).await;
    sent()
        .with("ce-time", "1969-07-20T20:17:40.000001Z")
        .with("ce-source", "/s?é%25=%22")
        .with("ce-dataschema", "urn:runledger:custom.odd:300")
        .with("ce-correlationid", "")
        .with("ce-causationid", "%20%0A%22\u{e9}")
        .with("ce-traceparent", "00-1-2-01")
        .with("ce-authid", "ada")
        .with("ce-sequence", "0000000003")
        .with("ce-empty", "")
        .with("ce-b", "%5C")
        .publish(stack)
        .await;
    size_reaches(stack, org_id, ODD_PAYLOADS.len() as i64 + 3).await;
    org_id
}

async fn replay(stack: &Stack, to: &str, flags: &[&str]) -> Printed {
    let output = runledger(stack, ["replay", "--to", to]).args(flags).output().await.unwrap();
    Printed {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The events that a replay to standard output gives.
async fn replayed(stack: &Stack, flags: &[&str]) -> Vec<Value> {
    let printed = replay(stack, "-", flags).await;
    assert!(printed.success, "{}", printed.stderr);
    objects(&printed.stdout)
}

async fn restore(stack: &Stack, file: &str) -> Printed {
    run(stack, ["emit", "--restore", file]).await
}

/// All rows of an org, or of all orgs, in `ledger.event`, every column of them.
async fn rows(stack: &Stack, org_id: Option<OrgId>) -> Vec<String> {
    let query = "SELECT e::text FROM ledger.event e WHERE org_id = $1 OR $1 IS NULL ORDER BY org_id, seq";
    sqlx::query_scalar(query).bind(org_id.map(OrgId::uuid)).fetch_all(stack.pool()).await.unwrap()
}

async fn heads(stack: &Stack) -> Vec<String> {
    sqlx::query_scalar("SELECT h::text FROM ledger.head h ORDER BY org_id").fetch_all(stack.pool()).await.unwrap()
}
