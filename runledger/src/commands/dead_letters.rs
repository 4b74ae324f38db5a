//! `runledger dead-letters`: what was refused, why, and what to do with it.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use events::{Code, id::OrgId};
use ledger::{
    connection::Role,
    dead_letter::{self, DeadLetter, Filter, Retried},
};
use serde_json::{json, value::RawValue};
use sqlx::PgConnection;

use crate::{output, settings::Settings};

/// Look at refused events: list, show, retry, discard
#[derive(Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
    Show(Show),
    Retry(Retry),
    Discard(Discard),
}

/// List dead letters, newest first
#[derive(Args)]
struct List {
    /// Of this org only
    #[arg(long)]
    org: Option<OrgId>,
    /// With this reason code only, e.g. unknown_org
    #[arg(long)]
    code: Option<Code>,
    /// In this state: open, retried, discarded or all
    #[arg(long, default_value = "open", value_parser = ["open", "retried", "discarded", "all"])]
    state: String,
    /// Begin behind this number, for the next page
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Show a dead letter whole: reason, headers, payload
#[derive(Args)]
struct Show {
    /// Its number
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Send dead letters through the door again
#[derive(Args)]
struct Retry {
    /// Their numbers
    #[arg(required_unless_present = "code")]
    ids: Vec<i64>,
    /// All open ones with this reason code
    #[arg(long, conflicts_with = "ids")]
    code: Option<Code>,
    /// With --code: of this org only
    #[arg(long, requires = "code")]
    org: Option<OrgId>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Mark dead letters as not worth a retry; they stay on record
#[derive(Args)]
struct Discard {
    /// Their numbers
    #[arg(required = true)]
    ids: Vec<i64>,
    /// Also erase their payload and headers
    #[arg(long)]
    purge: bool,
}

impl DeadLetters {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Ledger).await?;
        match self.action {
            Action::List(list) => list.run(&mut conn).await,
            Action::Show(show) => show.run(&mut conn).await,
            Action::Retry(retry) => retry.run(&mut conn).await,
            Action::Discard(discard) => discard.run(&mut conn).await,
        }
    }
}

impl List {
    async fn run(self, conn: &mut PgConnection) -> anyhow::Result<ExitCode> {
        let state = (self.state != "all").then_some(self.state);
        let filter = Filter { org_id: self.org, code: self.code, state, before: self.before };
        let letters = dead_letter::list(conn, &filter, self.limit).await?;
        if self.json {
            for letter in &letters {
                output::json(&as_json(letter)?)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["#id", "received", "code", "subject", "reason", "state"]);
        for letter in &letters {
            let received = output::time(Some(letter.received_at));
            output::row(
                &mut table,
                [
                    &letter.dead_letter_id.to_string(),
                    &received,
                    &letter.code,
                    &letter.subject,
                    &letter.reason,
                    &letter.state,
                ],
            );
        }
        output::print(table)?;
        match letters.last() {
            Some(last) if letters.len() as i64 == self.limit => {
                output::print(format!("more: --before {}", last.dead_letter_id))?;
            }
            Some(_) => output::print("look at one with `runledger dead-letters show ID`")?,
            None => output::print("no dead letters")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(self, conn: &mut PgConnection) -> anyhow::Result<ExitCode> {
        let letter = find(conn, self.id).await?;
        if self.json {
            output::json(&as_json(&letter)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["dead letter", &self.id.to_string()]);
        for (name, value) in [
            ("state", letter.state.clone()),
            ("code", letter.code.clone()),
            ("reason", letter.reason.clone()),
            ("org", output::or_dash(letter.org_id)),
            ("subject", letter.subject.clone()),
            ("stream seq", letter.stream_seq.to_string()),
            ("received", output::time(Some(letter.received_at))),
            ("attempts", format!("{}, the last {}", letter.attempts, output::time(Some(letter.last_attempt_at)))),
            ("headers", letter.headers.clone()),
            ("payload", String::from_utf8_lossy(&letter.payload).into_owned()),
        ] {
            output::row(&mut table, [name, &value]);
        }
        output::print(table)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Retry {
    async fn run(self, conn: &mut PgConnection) -> anyhow::Result<ExitCode> {
        let ids = match self.code {
            None => self.ids,
            Some(code) => {
                let filter =
                    Filter { org_id: self.org, code: Some(code), state: Some("open".to_owned()), before: None };
                let mut ids: Vec<i64> = dead_letter::list(conn, &filter, i64::MAX)
                    .await?
                    .iter()
                    .map(|letter| letter.dead_letter_id)
                    .collect();
                ids.reverse();
                ids
            }
        };
        let mut refused = false;
        for id in ids {
            let retried = dead_letter::retry(conn, &[id]).await?.pop();
            let Some((_, retried)) = retried else {
                let state = find(conn, id).await?.state;
                bail!("dead letter {id} is {state}; only open ones are retried");
            };
            let (line, json) = match retried {
                Retried::Appended { org_id, seq } => (
                    format!("{id}: appended to org {org_id} at seq {seq}"),
                    json!({ "id": id, "org_id": org_id, "seq": seq }),
                ),
                Retried::Refused(refusal) => {
                    refused = true;
                    let json = json!({ "id": id, "code": refusal.code.as_str(), "reason": refusal.reason });
                    (format!("{id}: refused again, {refusal}"), json)
                }
            };
            if self.json {
                output::json(&json)?;
            } else {
                output::print(output::printable(&line))?;
            }
        }
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Discard {
    async fn run(self, conn: &mut PgConnection) -> anyhow::Result<ExitCode> {
        for id in self.ids {
            if !dead_letter::discard(conn, id, self.purge).await? {
                let state = find(conn, id).await?.state;
                bail!("dead letter {id} is {state} already and was left as it is");
            }
            output::print(format!(
                "{id}: discarded{}",
                if self.purge { ", its payload and headers erased" } else { "" }
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn find(conn: &mut PgConnection, id: i64) -> anyhow::Result<DeadLetter> {
    let letter = dead_letter::show(conn, id).await?;
    letter.with_context(|| {
        format!("there is no dead letter {id}; `runledger dead-letters list --state all` shows which there are")
    })
}

fn as_json(letter: &DeadLetter) -> anyhow::Result<serde_json::Value> {
    let headers: Box<RawValue> = RawValue::from_string(letter.headers.clone())?;
    let text = std::str::from_utf8(&letter.payload).ok();
    Ok(json!({
        "dead_letter_id": letter.dead_letter_id, "org_id": letter.org_id, "code": letter.code, "reason": letter.reason,
        "subject": letter.subject, "headers": headers, "payload": text, "payload_base64": text.is_none().then(|| base64(&letter.payload)),
        "stream_seq": letter.stream_seq, "received_at": letter.received_at, "state": letter.state,
        "attempts": letter.attempts, "last_attempt_at": letter.last_attempt_at,
    }))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
