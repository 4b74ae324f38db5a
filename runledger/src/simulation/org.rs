//! The orgs of a simulation and the people who work there.

use chrono::TimeDelta;
use events::{
    Event, EventData,
    id::{EventId, OrgId, SubjectId, UserId},
    payload::{OrgRegistered, UserRegistered, value::Object},
};
use rand::{RngExt, seq::SliceRandom};
use serde_json::json;

use super::Simulation;

const PLACES: &[&str] = &[
    "Cedar Valley",
    "Lakeshore",
    "Ridgeview",
    "Harbor Point",
    "Prairie Creek",
    "Maple Grove",
    "Stonebridge",
    "Silver Falls",
    "Northgate",
    "Willow Bend",
    "Blue Mesa",
    "Fox Hollow",
    "Elm Street",
    "Granite Bay",
    "Sunrise",
    "Twin Rivers",
    "Oak Summit",
    "Clearwater",
    "Juniper Hills",
    "Eastbrook",
    "Heron Lake",
    "Copper Canyon",
    "Magnolia",
    "Westfield",
];
const KINDS: &[(&str, &str)] = &[
    ("Medical Center", "hospital"),
    ("Physicians", "physician_group"),
    ("Billing Services", "billing_company"),
    ("Clinical Laboratory", "laboratory"),
    ("Orthopedics", "physician_group"),
];
const PEOPLE: &[(&str, &str)] = &[
    ("Dana", "Whitlock"),
    ("Luis", "Arroyo"),
    ("Priya", "Raman"),
    ("Tomas", "Keller"),
    ("Aisha", "Bello"),
    ("Grace", "Lindqvist"),
    ("Henry", "Oduya"),
    ("Mei", "Tanaka"),
    ("Olive", "Marchetti"),
    ("Sam", "Novak"),
];
const USERS: usize = 4;

/// An organisation that has its billing work done.
#[derive(Clone, Debug)]
pub struct Org {
    pub org_id: OrgId,
    pub name: String,
    pub org_type: &'static str,
    pub users: Vec<UserId>,
    registrations: Vec<Event>,
}

impl Org {
    /// What makes it and its users known, a minute before the first run.
    pub fn registrations(&self) -> &[Event] {
        &self.registrations
    }
}

/// The orgs of a simulation, each with a name of its own.
pub fn found(simulation: &Simulation) -> anyhow::Result<Vec<Org>> {
    let mut places = PLACES.to_vec();
    places.shuffle(&mut simulation.chance("places"));
    (0..simulation.scenario.orgs as usize)
        .map(|number| {
            let place = places[number % places.len()];
            let (kind, org_type) = KINDS[(number % places.len() + number / places.len()) % KINDS.len()];
            let org_id = simulation.id(&format!("org {number}"))?;
            let mut org =
                Org { org_id, name: format!("{place} {kind}"), org_type, users: Vec::new(), registrations: Vec::new() };
            org.register(simulation)?;
            Ok(org)
        })
        .collect()
}

impl Org {
    fn register(&mut self, simulation: &Simulation) -> anyhow::Result<()> {
        let registered = OrgRegistered {
            name: self.name.as_str().into(),
            org_type: Some(self.org_type.into()),
            settings: Some(Object::of(&json!({ "time_zone": "America/Chicago", "retries_max": 3 }))?),
        };
        self.tell(simulation, self.org_id.subject(), &registered)?;
        let domain = self.name.to_ascii_lowercase().replace(' ', "-");
        let first = simulation.chance(&format!("users {}", self.org_id)).random_range(0..PEOPLE.len());
        for number in 0..USERS {
            let (given, family) = PEOPLE[(first + number) % PEOPLE.len()];
            let user_id: UserId = simulation.id(&format!("user {number} of {}", self.org_id))?;
            let email = format!("{}.{}@{domain}.example", given.to_ascii_lowercase(), family.to_ascii_lowercase());
            let roles = if number == 0 { vec!["admin", "biller"] } else { vec!["biller"] };
            let registered = UserRegistered {
                email: email.into(),
                display_name: Some(format!("{given} {family}").into()),
                roles: Some(roles.into_iter().collect()),
            };
            self.tell(simulation, user_id.subject(), &registered)?;
            self.users.push(user_id);
        }
        Ok(())
    }

    fn tell<T: EventData>(&mut self, simulation: &Simulation, subject: SubjectId, payload: &T) -> anyhow::Result<()> {
        let mut event = Event::new(self.org_id, subject, "/accounts", payload)?;
        event.event_id = simulation.id::<EventId>(&format!("{} of {subject}", T::TYPE))?;
        event.occurred_at = simulation.scenario.start - TimeDelta::seconds(60 - self.registrations.len() as i64);
        event.set_sequence(1);
        self.registrations.push(event);
        Ok(())
    }
}
