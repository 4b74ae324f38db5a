//! `runledger replay`: the ledger's events again, for another consumer, for audit or to restore from.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use events::{
    RecordedEvent,
    id::{OrgId, RunId, Seq},
    time,
    wire::Replayed,
};
use futures::TryStreamExt;
use ledger::{
    connection::Role,
    merkle::{Frontier, Hash},
    replay::{self, Period, Selection, Stretch, TypePattern},
};
use serde_json::json;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{output, progress::Progress, service, settings::Settings};

mod file;
mod position;
mod sink;
mod stream;

use position::{Position, PositionFile};
use sink::{Sink, Target};

/// How often what was sent is made sure of, and the position written down.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The least events a second.
const RATE_MIN: f64 = 0.001;
/// How much time that was missed is made up for: timers tick in milliseconds, and rates may be higher.
const MISSED_MAX: Duration = Duration::from_millis(100);

/// Write or publish the ledger's events again, byte for byte as they were sent
///
/// Each event is a CloudEvent with two extensions more: ledgerseq, its place in its org's ledger, and
/// recordedtime, when it was recorded. Every event is checked against its leaf hash. Orgs come one after
/// the other, in the order of their ids, and what is appended meanwhile is not waited for.
///
/// Where no more than --org is selected, the last event of each org carries ledgerroot, the root of the
/// org's Merkle tree: `runledger emit --restore` proves by it that a restored org is the same.
///
/// A replay that was interrupted goes on where it stopped when the same command is given again.
#[derive(Args)]
pub struct Replay {
    /// Where to: a FILE, one CloudEvent in JSON a line, compressed if it is named *.zst or *.gz; `-` for
    /// standard output; or nats:PREFIX
    ///
    /// nats:PREFIX publishes in binary mode to PREFIX.ORGID.TYPE at --nats-url. Where a JetStream stream
    /// listens to that, each event is acknowledged by it; where none does, events are plain messages, for
    /// whoever is subscribed at the time.
    #[arg(long, value_name = "TARGET")]
    to: Target,
    /// Send at most so many events a second [default: as fast as possible]
    #[arg(long, value_name = "EVENTS_PER_S")]
    rate: Option<f64>,
    /// Where it is written down how far the replay came [default: FILE.position, none for other targets]
    #[arg(long, value_name = "FILE")]
    position: Option<PathBuf>,
    /// Print JSON: for whole orgs one object each, and one for the replay
    #[arg(long)]
    json: bool,
    // Last, because its heading holds for all that follows.
    #[command(flatten)]
    select: Select,
}

#[derive(Args)]
#[command(next_help_heading = "Selection")]
struct Select {
    /// Of this org; may be given several times [default: all]
    #[arg(long)]
    org: Vec<OrgId>,
    /// About this run (or this user, or whatever else has the id as its subject)
    #[arg(long)]
    run: Option<RunId>,
    /// Of this type, or of a family as in `run.*`; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<TypePattern>,
    /// From this seq on, of one --org
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(1..))]
    from_seq: Option<i64>,
    /// Up to this seq and with it, of one --org
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(1..))]
    to_seq: Option<i64>,
    /// That happened at this time or later, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<DateTime<Utc>>,
    /// That happened before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    before: Option<DateTime<Utc>>,
    /// That the ledger recorded at this time or later
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    recorded_since: Option<DateTime<Utc>>,
    /// That the ledger recorded before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    recorded_before: Option<DateTime<Utc>>,
}

impl Select {
    fn selection(&self) -> anyhow::Result<Selection> {
        let mut orgs = self.org.clone();
        orgs.sort_unstable();
        orgs.dedup();
        if (self.from_seq.is_some() || self.to_seq.is_some()) && orgs.len() != 1 {
            bail!("--from-seq and --to-seq count within an org; give the one --org that they belong to");
        }
        Ok(Selection {
            orgs,
            subject: self.run.map(RunId::subject),
            types: self.types.clone(),
            from_seq: self.from_seq.map(Seq::new),
            to_seq: self.to_seq.map(Seq::new),
            occurred: Period { since: self.since, before: self.before },
            recorded: Period { since: self.recorded_since, before: self.recorded_before },
        })
    }
}

impl Replay {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if let Some(rate) = self.rate.filter(|rate| !(rate.is_finite() && *rate >= RATE_MIN)) {
            bail!("--rate {rate} is no number of events a second; give {RATE_MIN} or more");
        }
        if matches!((&self.to, &self.position), (Target::File(file), Some(position)) if file == position) {
            bail!("--position names the file that the events go to; name another");
        }
        let selection = self.select.selection()?;
        let mut conn = settings.connect(Role::Admin).await?;
        let stretches = replay::stretches(&mut conn, &selection).await?;
        let position_file = self.position.clone().or_else(|| self.to.default_position()).map(PositionFile::at);
        let first = Position::first(&self.to, selection, stretches)?;
        let position = match &position_file {
            Some(file) => file.resume(first, &self.to)?,
            None => first,
        };
        let sink = self.to.open(settings, position.bytes).await?;
        let mut run = Run::start(position, position_file, sink, Rate::of(self.rate))?;
        for stretch in run.position.stretches.clone() {
            run.replay(&mut conn, &stretch).await?;
        }
        self.report(&run.finish().await?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, position: &Position) -> anyhow::Result<()> {
        let (stretches, to) = (&position.stretches, self.to.to_string());
        let mut lines = Vec::new();
        if position.selection.is_of_whole_orgs() {
            lines.extend(stretches.iter().map(|Stretch { org_id, size, root, .. }| match self.json {
                true => json!({ "org_id": org_id, "size": size, "root": output::hex(root) }).to_string(),
                false => format!("org {org_id}: {size} events, root {}", output::hex(root)),
            }));
        }
        let (events, orgs) = (position.events, stretches.len());
        lines.push(match self.json {
            true => json!({ "to": to, "events": events, "orgs": orgs }).to_string(),
            false => format!("replayed {events} events of {orgs} orgs to {}", output::printable(&to)),
        });
        for line in lines {
            // Standard output may be where the events are.
            match self.to {
                Target::StandardOutput => eprintln!("{line}"),
                _ => output::print(line)?,
            }
        }
        Ok(())
    }
}

/// A replay under way.
struct Run {
    position: Position,
    position_file: Option<PositionFile>,
    sink: Sink,
    rate: Rate,
    shutdown: CancellationToken,
    progress: Progress,
    saved: Instant,
}

impl Run {
    fn start(position: Position, position_file: Option<PositionFile>, sink: Sink, rate: Rate) -> anyhow::Result<Self> {
        let total = position.stretches.iter().map(|stretch| count(stretch.from, stretch.through)).sum();
        let progress = Progress::start("replaying events", total);
        let shutdown = service::shutdown_on_signal()?;
        Ok(Self { position, position_file, sink, rate, shutdown, progress, saved: Instant::now() })
    }

    async fn replay(&mut self, conn: &mut PgConnection, stretch: &Stretch) -> anyhow::Result<()> {
        let reached = self.position.reached(stretch);
        self.progress.add(count(stretch.from, reached));
        if reached >= stretch.through {
            return Ok(());
        }
        let selection = self.position.selection.clone();
        let mut tree = match selection.is_of_whole_orgs() {
            true => Some(self.position.tree(stretch.org_id)?),
            false => None,
        };
        let left = Stretch { from: reached.next(), ..stretch.clone() };
        let mut pages = replay::pages(conn, &selection, &left);
        while let Some(page) = pages.try_next().await? {
            for recorded in page.events {
                let seq = recorded.seq;
                self.send(recorded, stretch, tree.as_mut()).await?;
                self.reach(stretch, seq, tree.as_ref()).await?;
            }
            self.reach(stretch, page.through, tree.as_ref()).await?;
        }
        self.reach(stretch, stretch.through, tree.as_ref()).await
    }

    async fn send(
        &mut self,
        recorded: RecordedEvent,
        stretch: &Stretch,
        tree: Option<&mut Frontier>,
    ) -> anyhow::Result<()> {
        if self.shutdown.run_until_cancelled(self.rate.wait()).await.is_none() || self.shutdown.is_cancelled() {
            return self.interrupted().await;
        }
        let leaf_hash = recorded.leaf_hash;
        let mut replayed = Replayed::from(recorded);
        if let Some(tree) = tree {
            tree.push(leaf_hash);
            replayed.root = root_at(&replayed, stretch, tree)?;
        }
        self.sink.put(&replayed).await?;
        self.position.events += 1;
        Ok(())
    }

    /// Everything up to `seq` has been dealt with.
    async fn reach(&mut self, stretch: &Stretch, seq: Seq, tree: Option<&Frontier>) -> anyhow::Result<()> {
        let reached = self.position.reached(stretch);
        if seq > reached {
            self.progress.add(count(reached.next(), seq));
            self.position.reach(stretch.org_id, seq, tree);
        }
        if self.shutdown.is_cancelled() {
            return self.interrupted().await;
        }
        if self.saved.elapsed() >= SAVE_INTERVAL {
            self.save().await?;
        }
        Ok(())
    }

    /// Makes sure of all that was sent, then writes the position down.
    async fn save(&mut self) -> anyhow::Result<()> {
        self.position.bytes = self.sink.settle().await?;
        if let Some(file) = &self.position_file {
            file.write(&self.position)?;
        }
        self.saved = Instant::now();
        Ok(())
    }

    async fn interrupted(&mut self) -> anyhow::Result<()> {
        self.save().await?;
        let advice = match self.position_file {
            Some(_) => "give the same command again to go on from here",
            None => "the next replay begins anew; with --position it would go on from here",
        };
        bail!("interrupted after {} events; {advice}", self.position.events);
    }

    /// The position at the end; its file is there only while a replay is under way.
    async fn finish(mut self) -> anyhow::Result<Position> {
        self.sink.settle().await?;
        if let Some(file) = &self.position_file {
            file.remove()?;
        }
        self.progress.finish();
        Ok(self.position)
    }
}

/// How many seqs there are from one to another.
fn count(from: Seq, through: Seq) -> u64 {
    (through.get() - from.get() + 1).max(0) as u64
}

/// The root that the org's last event carries, if this is the last: it is the head's.
fn root_at(replayed: &Replayed, stretch: &Stretch, tree: &Frontier) -> anyhow::Result<Option<Hash>> {
    if replayed.seq != stretch.through {
        return Ok(None);
    }
    let (org_id, root) = (stretch.org_id, tree.root());
    if root != stretch.root || tree.size() != stretch.size.get() as u64 {
        bail!(
            "the tree over the {} events of org {org_id} is not its head's: see `runledger verify --org {org_id}`",
            stretch.size
        );
    }
    Ok(Some(root))
}

/// Sends no faster than it is allowed to.
struct Rate {
    interval: Option<Duration>,
    next: tokio::time::Instant,
}

impl Rate {
    fn of(rate: Option<f64>) -> Self {
        Self { interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)), next: tokio::time::Instant::now() }
    }

    /// Waits for the next one's turn.
    async fn wait(&mut self) {
        let Some(interval) = self.interval else { return };
        tokio::time::sleep_until(self.next).await;
        self.next = self.next.max(tokio::time::Instant::now() - MISSED_MAX) + interval;
    }
}
