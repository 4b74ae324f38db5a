//! `runledger emit`: publishes CloudEvents, one JSON object a line, from files or standard input; or puts
//! a replay back into an empty ledger.

use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use async_nats::HeaderMap;
use bytes::Bytes;
use clap::Args;
use events::{
    Code, Refusal,
    id::OrgId,
    json,
    wire::{self, EVENTS, Message},
};
use ledger::stream::EventStream;
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::{
    output,
    publisher::{Publication, Publisher},
    settings::Settings,
};

mod known_roots;
mod replayed_lines;
mod restore;

use known_roots::{KnownRoot, KnownRoots};
use restore::Restore;

/// A longer line fits into no message.
const LINE_BYTES_MAX: usize = ledger::stream::MESSAGE_BYTES_MAX as usize;
const BUFFER_BYTES: usize = 128 * 1024;

/// Publish CloudEvents, one JSON object a line, from files or standard input
///
/// Each line is sent byte for byte to runledger.events.ORGID.TYPE. A line that the ledger would refuse
/// for its form is reported with its number and not sent.
///
/// With --restore nothing is published: what `runledger replay` wrote goes directly into a ledger that has
/// no events of these orgs, with the same seqs and recorded times, and each org's Merkle root is compared
/// with the source's, as the replay gives it or --root does. An org is restored whole or not at all; one that stands already is compared. Only the
/// owner of the tables may do it.
#[derive(Args)]
pub struct Emit {
    /// NDJSON in CloudEvents' JSON format [default: standard input]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Send also what the ledger would refuse, as long as org and type can be read
    #[arg(long)]
    no_check: bool,
    /// Restore a replay, also one compressed by zstd or gzip, instead of publishing
    #[arg(long, conflicts_with = "no_check")]
    restore: bool,
    /// Restore also an org whose end is missing from the replay, or that was not replayed whole
    #[arg(long, requires = "restore")]
    unproved: bool,
    /// Restore an org only if the root over its events is this one, as `runledger replay` printed it at the source;
    /// without ORG=, if it is one of those given; may be given several times
    #[arg(long, value_name = "[ORG=]HEX", requires = "restore")]
    root: Vec<KnownRoot>,
    /// Print JSON, one object; with --restore one an org
    #[arg(long)]
    json: bool,
}

/// The attributes that a message's subject and id are made of.
#[derive(Deserialize)]
struct Address {
    orgid: Option<String>,
    r#type: Option<String>,
    id: Option<String>,
}

impl Emit {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.restore {
            let Self { files, unproved, root, json, .. } = self;
            return Restore { files, unproved, roots: KnownRoots::of(root), json }.run(settings).await;
        }
        let mut files = self.files.iter().map(PathBuf::as_path).collect::<Vec<_>>();
        if files.is_empty() {
            files.push(Path::new("-"));
        }
        let mut inputs = Vec::with_capacity(files.len());
        for file in files {
            inputs.push((name(file), open(file).await?));
        }
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let mut publisher = Publisher::new(&client);
        let mut refused = 0_u64;
        let several = inputs.len() > 1;
        for (name, input) in inputs {
            let mut lines = Lines { input, number: 0 };
            while let Some(line) = lines.next().await.with_context(|| format!("{name} cannot be read"))? {
                match line.and_then(|line| self.publication(line)) {
                    Ok(publication) => publisher.publish(publication).await?,
                    Err(refusal) => {
                        refused += 1;
                        let file = if several { format!("{} ", output::printable(&name)) } else { String::new() };
                        eprintln!("{file}line {}: {}", lines.number, output::printable(&refusal.to_string()));
                    }
                }
            }
        }
        let acknowledged = publisher.finish().await?;
        let (published, duplicates) = (acknowledged.messages, acknowledged.duplicates);
        if self.json {
            output::json(&serde_json::json!({ "published": published, "duplicates": duplicates, "refused": refused }))?;
        } else {
            output::print(format!(
                "published {published} events, {duplicates} of which NATS had already; {refused} lines were not sent"
            ))?;
        }
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The message that the line becomes, or why it is not to be sent.
    fn publication(&self, line: Bytes) -> Result<Publication, Refusal> {
        if !self.no_check {
            let text = std::str::from_utf8(&line)
                .map_err(|_| Refusal::new(Code::InvalidUtf8, "the line is not UTF-8; send UTF-8"))?;
            json::members(text).map_err(|fault| Refusal::new(fault.code, format!("{fault}; correct the JSON")))?;
        }
        let (subject, id) = address(&line)?;
        if !self.no_check {
            let message = Message { subject: subject.as_bytes(), headers: Vec::new(), payload: line.clone() };
            wire::admit(&message, events::time::now())?;
        }
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        if let Some(id) = id {
            headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        }
        Ok(Publication { subject, headers, payload: line })
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

async fn open(path: &Path) -> anyhow::Result<Box<dyn AsyncBufRead + Unpin + Send>> {
    if is_stdin(path) {
        let stdin = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, tokio::fs::File::from_std(stdin))));
    }
    let file = tokio::fs::File::open(path).await.with_context(|| format!("{} cannot be opened", path.display()))?;
    if file.metadata().await?.is_dir() {
        anyhow::bail!("{} is a directory; give a file with one event a line", path.display());
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
}

/// The subject and, if it has an id, the message id of the event that the line is.
fn address(line: &[u8]) -> Result<(String, Option<String>), Refusal> {
    let invalid =
        |what: &str| Refusal::new(Code::InvalidEvent, format!("{what}; without it there is no subject to send to"));
    let address: Address = serde_json::from_slice(line).map_err(|error| {
        let code = if error.is_data() { Code::InvalidEvent } else { Code::MalformedJson };
        Refusal::new(code, format!("{error}; send an event in CloudEvents' JSON format"))
    })?;
    let org = address.orgid.ok_or_else(|| invalid("orgid is missing"))?;
    let org_id: OrgId = org.parse().map_err(|error| Refusal::new(Code::InvalidId, format!("orgid: {error}")))?;
    let event_type = address.r#type.ok_or_else(|| invalid("type is missing"))?;
    if event_type.split('.').any(|token| token.is_empty() || token.contains([' ', '\t', '\r', '\n', '*', '>'])) {
        return Err(invalid(&format!("type {event_type:?} cannot stand in a subject")));
    }
    let id = address.id.filter(|id| !id.contains(['\r', '\n'])).map(|id| format!("{org_id}:{id}"));
    Ok((format!("{EVENTS}{org_id}.{event_type}"), id))
}

/// Lines, numbered from 1, of bounded length; empty ones are passed over.
struct Lines {
    input: Box<dyn AsyncBufRead + Unpin + Send>,
    number: u64,
}

impl Lines {
    async fn next(&mut self) -> std::io::Result<Option<Result<Bytes, Refusal>>> {
        loop {
            let mut line = Vec::new();
            let mut length = 0_usize;
            loop {
                let chunk = self.input.fill_buf().await?;
                if chunk.is_empty() {
                    break;
                }
                let end = chunk.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
                let passed = end.unwrap_or(chunk.len());
                let room = (LINE_BYTES_MAX + 2).saturating_sub(line.len());
                line.extend_from_slice(&chunk[..passed.min(room)]);
                self.input.consume(passed);
                length += passed;
                if end.is_some() {
                    break;
                }
            }
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            if length > line.len() {
                let reason = format!("the line has {length} bytes; a message has at most {LINE_BYTES_MAX}");
                return Ok(Some(Err(Refusal::new(Code::TooComplex, reason))));
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.trim_ascii().is_empty() {
                return Ok(Some(Ok(Bytes::copy_from_slice(text))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "8F1C2A4E-0b7d-4c55-9d2e-6a1f3b5c7d90";

    fn line(event_type: &str, data: &str) -> Bytes {
        let (id, subject) = ("018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21", "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e22");
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/x","type":"{event_type}","subject":"{subject}","time":"2026-03-01T08:30:00Z","orgid":"{ORG}","data":{data}}}"#).into()
    }

    fn publication(line: Bytes, no_check: bool) -> Result<Publication, Refusal> {
        Emit { files: Vec::new(), no_check, restore: false, unproved: false, root: Vec::new(), json: false }
            .publication(line)
    }

    async fn lines_of(text: &'static [u8]) -> Vec<Result<Bytes, Code>> {
        let mut lines = Lines { input: Box::new(text), number: 0 };
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line.map_err(|refusal| refusal.code));
        }
        all
    }

    #[test]
    fn a_line_is_sent_as_it_is_to_its_orgs_subject() {
        let line = line("run.started", r#"{ "context" : {"b":-0} }"#);
        let publication = publication(line.clone(), false).unwrap();
        assert_eq!(publication.payload, line);
        assert_eq!(publication.subject, format!("runledger.events.{}.run.started", ORG.to_lowercase()));
        let id = publication.headers.get("Nats-Msg-Id").unwrap();
        assert_eq!(id.as_str(), format!("{}:018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21", ORG.to_lowercase()));
    }

    #[test]
    fn what_the_door_would_refuse_is_not_sent_unless_it_is_not_checked() {
        let unknown = line("run.vanished", "{}");
        assert_eq!(publication(unknown.clone(), false).unwrap_err().code, Code::UnknownType);
        assert!(publication(unknown, true).is_ok());
        let twice = line("run.started", r#"{"a":1,"a":2}"#);
        assert_eq!(publication(twice.clone(), false).unwrap_err().code, Code::DuplicateKey);
        assert!(publication(twice, true).is_ok());
    }

    #[test]
    fn a_line_without_an_address_is_refused_in_any_case() {
        for no_check in [false, true] {
            for (text, code) in [
                ("{", Code::MalformedJson),
                ("5", Code::InvalidEvent),
                (r#"{"type":"run.started"}"#, Code::InvalidEvent),
                (r#"{"orgid":"x","type":"run.started"}"#, Code::InvalidId),
                (r#"{"orgid":"8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d90","type":"run.>"}"#, Code::InvalidEvent),
            ] {
                assert_eq!(publication(text.into(), no_check).unwrap_err().code, code, "{text}");
            }
        }
    }

    #[tokio::test]
    async fn lines_end_with_either_line_end_and_empty_ones_count() {
        assert_eq!(lines_of(b"a\r\n\nb\n c").await, [Ok("a".into()), Ok("b".into()), Ok(" c".into())]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_passed_over() {
        let mut text = vec![b'x'; LINE_BYTES_MAX * 3];
        text.extend_from_slice(b"\nnext");
        assert_eq!(lines_of(text.leak()).await, [Err(Code::TooComplex), Ok("next".into())]);
    }
}
