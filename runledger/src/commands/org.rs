//! `runledger org`: registers orgs and lists them.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use events::{
    Event,
    emitter::{Emitter, EmitterOptions},
    id::OrgId,
    payload::OrgRegistered,
};
use ledger::{connection::Role, stream::EventStream};
use projector::query;
use serde_json::json;

use super::wait;
use crate::{output, settings::Settings};

/// The source of the events that this command emits.
const SOURCE: &str = "/runledger/org-add";

/// Register orgs, list them
#[derive(Args)]
pub struct Org {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Add(Add),
    List(List),
}

/// Register an org and wait until it can be seen
#[derive(Args)]
struct Add {
    /// What it is called
    name: String,
    /// Its id [default: a new one]
    #[arg(long)]
    id: Option<OrgId>,
    /// hospital, physician_group, billing_company, laboratory, payer or other
    #[arg(long = "type", value_name = "TYPE")]
    org_type: Option<String>,
    /// Only publish; do not wait until it can be seen
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List the orgs
#[derive(Args)]
struct List {
    /// Print JSON, one org a line
    #[arg(long)]
    json: bool,
}

impl Org {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Add(add) => add.run(settings).await,
            Action::List(list) => list.run(settings).await,
        }
    }
}

impl Add {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let org_id = match self.id {
            Some(id) => id,
            None => OrgId::generate(),
        };
        let client = settings.connect_to_nats().await?;
        EventStream::ensure(&client).await?;
        let emitter = Emitter::new(client.clone(), EmitterOptions::new(SOURCE));
        let stream_seq = emitter.emit(&self.registered(org_id)?).await?.stream_seq;
        if !self.no_wait {
            wait::until_projected(settings, &client, stream_seq, &[org_id]).await?;
        }
        if self.json {
            output::json(&json!({ "org_id": org_id, "name": self.name, "org_type": self.org_type }))?;
        } else {
            output::print(format!("registered org {org_id} ({})", output::printable(&self.name)))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn registered(&self, org_id: OrgId) -> anyhow::Result<Event> {
        let data = json!({ "name": self.name, "org_type": self.org_type });
        let payload: OrgRegistered = serde_json::from_value(data).context("the org cannot be registered like this")?;
        Ok(Event::new(org_id, org_id.subject(), SOURCE, &payload)?)
    }
}

impl List {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Admin).await?;
        let orgs = query::organization_list(&mut conn).await?;
        if self.json {
            for org in &orgs {
                output::json(org)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["org", "name", "type", "status", "#events", "registered"]);
        for org in &orgs {
            output::row(
                &mut table,
                [
                    org.org_id.to_string(),
                    org.name.clone(),
                    output::or_dash(org.org_type.as_ref()),
                    org.status.clone(),
                    org.events.to_string(),
                    output::time(Some(org.created_at)),
                ],
            );
        }
        output::print(table)?;
        Ok(ExitCode::SUCCESS)
    }
}
