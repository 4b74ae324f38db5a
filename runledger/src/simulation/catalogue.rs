//! What the runs of an org work with: kinds of portals, the payers' endpoints, kinds of tasks, and how one of them is
//! carried out on a portal.

use chrono::TimeDelta;
use events::{
    Event, EventData,
    id::{EventId, PortalTypeId, SubjectId, TaskSignatureId, TaskTypeId},
    payload::{
        EndpointRegistered, PortalTypeDefined, SignatureSource, TaskSignatureRecorded, TaskTypeDefined, value::Object,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Org, Simulation,
    matter::{PAYERS, Payer},
    workflow::Channel,
};

const SOURCE: &str = "/catalogue";
/// The channels, what portals of that kind are called, and how one shows there who one is.
const PORTALS: &[(Channel, &str, &str)] = &[
    (Channel::Web, "Payer's provider portal", "password_and_otp"),
    (Channel::Voice, "Payer's provider line", "none"),
    (Channel::Efax, "Payer's fax line", "none"),
];
/// Domain, action, what the task is called, the X12 transaction that it stands for.
const TASKS: &[(&str, &str, &str, &str)] = &[
    ("eligibility", "verify", "Verify eligibility and benefits", "270/271"),
    ("claim_status", "enquire", "Enquire about a claim", "276/277"),
    ("prior_authorization", "submit", "Ask for prior authorisation", "278"),
];

/// What makes all of it known to this org.
pub fn of_org(simulation: &Simulation, org: &Org) -> anyhow::Result<Vec<Event>> {
    let mut book = Book { simulation, org, events: Vec::new() };
    for &(channel, name, auth_type) in PORTALS {
        book.portal_type(channel, name)?;
        for payer in PAYERS {
            book.endpoint(payer, channel, auth_type)?;
        }
    }
    for task in TASKS {
        book.task_type(*task)?;
    }
    book.signatures()?;
    Ok(book.events)
}

/// The org's kind of task of this domain.
pub fn task_type_id(simulation: &Simulation, org: &Org, domain: &str) -> anyhow::Result<TaskTypeId> {
    Ok(simulation.id(&format!("task type {domain} of {}", org.org_id))?)
}

struct Book<'a> {
    simulation: &'a Simulation,
    org: &'a Org,
    events: Vec<Event>,
}

impl Book<'_> {
    fn tell<T: EventData>(&mut self, subject: Uuid, payload: &T) -> anyhow::Result<()> {
        let (org_id, subject) = (self.org.org_id, SubjectId::try_from(subject)?);
        let mut event = Event::new(org_id, subject, SOURCE, payload)?;
        event.event_id = self.simulation.id::<EventId>(&format!("{} of {subject} of {org_id}", T::TYPE))?;
        event.occurred_at = self.simulation.scenario.start - TimeDelta::seconds(30);
        event.set_sequence(1);
        self.events.push(event);
        Ok(())
    }

    fn portal_type_id(&self, channel: Channel) -> anyhow::Result<PortalTypeId> {
        Ok(self.simulation.id(&format!("portal type {} of {}", channel.code(), self.org.org_id))?)
    }

    fn task_type_id(&self, domain: &str) -> anyhow::Result<TaskTypeId> {
        task_type_id(self.simulation, self.org, domain)
    }

    fn portal_type(&mut self, channel: Channel, name: &str) -> anyhow::Result<()> {
        let defined = PortalTypeDefined {
            name: name.into(),
            description: Some(format!("Where payers are reached by {}", channel.line()).into()),
            channel_type: Some(channel.code().try_into()?),
            base_url: None,
            settings: Some(Object::of(&json!({ "timeout_s": 30 }))?),
        };
        self.tell(self.portal_type_id(channel)?.uuid(), &defined)
    }

    fn endpoint(&mut self, payer: &Payer, channel: Channel, auth_type: &str) -> anyhow::Result<()> {
        let (line, address) = (channel.line(), payer.address(channel));
        let is_portal = channel == Channel::Web;
        let registered = EndpointRegistered {
            name: format!("{}, {line}", payer.name).into(),
            portal_type_id: Some(self.portal_type_id(channel)?),
            channel_type: Some(channel.code().try_into()?),
            auth_type: Some(auth_type.try_into()?),
            base_url: is_portal.then(|| address.as_str().into()),
            settings: if is_portal { None } else { Some(Object::of(&json!({ "number": address }))?) },
            secret_ref: is_portal.then(|| payer.name_of_secret().as_str().try_into()).transpose()?,
        };
        self.tell(payer.endpoint_id(channel), &registered)
    }

    fn task_type(&mut self, (domain, action, name, transaction): (&str, &str, &str, &str)) -> anyhow::Result<()> {
        let defined = TaskTypeDefined {
            domain: domain.try_into()?,
            action: action.try_into()?,
            display_name: name.into(),
            description: None,
            x12_transaction: Some(transaction.to_owned()),
        };
        self.tell(self.task_type_id(domain)?.uuid(), &defined)
    }

    /// How eligibility is verified on a portal, and that one payer's is like the others.
    fn signatures(&mut self) -> anyhow::Result<()> {
        let known: TaskSignatureId = self.simulation.id(&format!("signature of {}", self.org.org_id))?;
        let learnt = TaskSignatureRecorded {
            portal_type_id: Some(self.portal_type_id(Channel::Web)?),
            endpoint_id: None,
            task_type_id: Some(self.task_type_id("eligibility")?),
            step_labels: Some(Channel::Web.nodes().iter().map(|node| node.label).collect()),
            source: SignatureSource::Human,
            alias_of: None,
        };
        self.tell(known.uuid(), &learnt)?;
        let alias: TaskSignatureId = self.simulation.id(&format!("signature like it of {}", self.org.org_id))?;
        let alike = TaskSignatureRecorded {
            portal_type_id: None,
            endpoint_id: Some(PAYERS[0].endpoint_id(Channel::Web).try_into()?),
            task_type_id: None,
            step_labels: None,
            source: SignatureSource::Ai,
            alias_of: Some(known),
        };
        self.tell(alias.uuid(), &alike)
    }
}
