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

/// How many dead letters `retry --code` takes at a time.
const PAGE: i64 = 500;

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
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl DeadLetters {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let role = match self.action {
            Action::List(_) | Action::Show(_) => Role::Admin,
            Action::Retry(_) | Action::Discard(_) => Role::Ledger,
        };
        let mut conn = settings.connect(role).await?;
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
        let payload = if letter.code == "secret_in_payload" { "payload, without data" } else { "payload" };
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
            (payload, String::from_utf8_lossy(&letter.payload).into_owned()),
        ] {
            output::row(&mut table, [name, &value]);
        }
        output::print(table)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Retry {
    async fn run(self, conn: &mut PgConnection) -> anyhow::Result<ExitCode> {
        let mut refused = false;
        for &id in &self.ids {
            match dead_letter::retry(conn, id).await? {
                Some(retried) => refused |= self.report(id, retried)?,
                None => {
                    let state = find(conn, id).await?.state;
                    bail!(
                        "dead letter {id} is {state}, or is being retried by a ledger at this moment; only open ones are retried"
                    );
                }
            }
        }
        let mut after = 0;
        while let Some(code) = self.code {
            let ids = dead_letter::open_ids(conn, code, self.org, after, PAGE).await?;
            let Some(last) = ids.last() else { break };
            after = *last;
            for id in ids {
                // Somebody else may have retried it meanwhile.
                if let Some(retried) = dead_letter::retry(conn, id).await? {
                    refused |= self.report(id, retried)?;
                }
            }
        }
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Whether it was refused again.
    fn report(&self, id: i64, retried: Retried) -> anyhow::Result<bool> {
        let refused = matches!(retried, Retried::Refused(_));
        let (line, json) = match retried {
            Retried::Appended { org_id, seq } => (
                format!("{id}: appended to org {org_id} at seq {seq}"),
                json!({ "id": id, "org_id": org_id, "seq": seq }),
            ),
            Retried::AlreadyThere { org_id, seq } => (
                format!("{id}: stood in the ledger of org {org_id} already, at seq {seq}"),
                json!({ "id": id, "org_id": org_id, "seq": seq, "already_there": true }),
            ),
            Retried::Refused(refusal) => {
                let json = json!({ "id": id, "code": refusal.code.as_str(), "reason": refusal.reason });
                (format!("{id}: refused again, {refusal}"), json)
            }
        };
        if self.json {
            output::json(&json)?;
        } else {
            output::print(output::printable(&line))?;
        }
        Ok(refused)
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
