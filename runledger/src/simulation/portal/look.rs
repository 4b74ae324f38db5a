//! How a screen looks in a portal: what a service observes of it.

use events::payload::{
    MicroStateObserved,
    embedding::{Embedding, IMAGE_DIMENSIONS},
    value::Object,
};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Portal,
    screen::{ADDED, SECOND_RELEASE, Screen, Words},
};
use crate::simulation::{NAMESPACE, Simulation, matter::Matter, workflow::Channel};

/// The kind of portal that all of these are.
pub const PORTAL_TYPE: &str = "payer_portal";

const GIVEN: &[&str] = &["Maria", "James", "Wei", "Fatima", "Elena", "Robert", "Amara", "Noah"];
const FAMILY: &[&str] = &["Alvarez", "Bennett", "Chen", "Diallo", "Eriksen", "Fowler", "Grant", "Hughes"];

/// A screen in a portal, in one of its variants.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub portal: Portal,
    pub screen: &'a Screen,
    pub notice: Option<&'static str>,
    /// Whether the portal's second release has changed it.
    pub is_changed: bool,
}

impl Look<'_> {
    /// Different for what looks different.
    pub fn name(&self) -> String {
        let release = 1 + u32::from(self.is_changed);
        format!("{} of portal {} release {release} {}", self.screen.name, self.portal.number, self.notice.unwrap_or(""))
    }

    /// What a service observes when somebody with this matter is on the screen.
    pub fn observed(&self, matter: &Matter, rng: &mut StdRng) -> anyhow::Result<MicroStateObserved> {
        let person = Person::draw(rng);
        let uri = format!("s3://screens/{:016x}.png", rng.random::<u64>());
        let digest = Uuid::new_v5(&NAMESPACE, uri.as_bytes()).simple();
        Ok(MicroStateObserved {
            run_id: None,
            step_id: None,
            node_id: None,
            portal_type: Some(PORTAL_TYPE.try_into()?),
            endpoint_id: self.portal.payer.endpoint_id(Channel::Web).try_into().ok(),
            url: self.url(matter, rng).into(),
            title: format!("{} – {}", self.words(self.screen.title), self.portal.payer.name).into(),
            ui: Object::of(&json!({ "headings": self.headings(&person), "controls": self.controls(matter, &person) }))?,
            text: self.screen.text.map(Into::into),
            text_is_static: self.screen.text.map(|_| true),
            screenshot: Some(Object::of(&json!({ "uri": uri, "sha256": format!("{digest}{digest}") }))?),
            text_embedding: None,
            image_embedding: None,
            embedding_model: None,
        })
    }

    /// Screens of a kind look alike, and so do those of a portal.
    pub fn image_embedding(&self, simulation: &Simulation) -> anyhow::Result<Embedding<IMAGE_DIMENSIONS>> {
        let mut of = [
            (1.0, simulation.chance(&format!("picture of {}", self.screen.name))),
            (0.5, simulation.chance(&format!("picture of portal {}", self.portal.number))),
            (0.2, simulation.chance(&format!("picture of {}", self.name()))),
        ];
        let number = |_| {
            let sum: f32 = of.iter_mut().map(|(weight, rng)| *weight * rng.random_range(-1.0_f32..1.0)).sum();
            (sum * 1_000.0).round() / 1_000.0
        };
        Ok((0..IMAGE_DIMENSIONS).map(number).collect::<Vec<_>>().try_into()?)
    }

    fn url(&self, matter: &Matter, rng: &mut StdRng) -> String {
        let path = self.screen.path.replace("{member}", &matter.member_id);
        let path = path.replace("{claim}", &matter.claim_number).replace("{reference}", &matter.reference);
        format!("{}/{path}?sid={:08x}", self.portal.payer.address(Channel::Web), rng.random::<u32>())
    }

    fn headings(&self, person: &Person) -> Vec<Value> {
        let mut headings: Vec<_> = self.screen.headings.iter().map(|heading| json!(self.words(heading))).collect();
        for _ in self.screen.shown.iter().filter(|role| **role == "heading") {
            headings.push(json!({ "level": 2, "text": person.name, "dynamic": true }));
        }
        if self.is_changed {
            // The new layout puts what was first behind the rest.
            headings.rotate_left(1);
        }
        headings
    }

    fn controls(&self, matter: &Matter, person: &Person) -> Vec<Value> {
        let notice = self.notice.map(|notice| json!({ "role": "alert", "label": notice, "dynamic": false }));
        let mut controls: Vec<_> = notice.into_iter().collect();
        for (role, label) in self.screen.controls {
            let mut control = json!({ "role": role, "label": self.words(label), "dynamic": false });
            match *role {
                "textbox" => control["value"] = json!(entered(label, matter, person)),
                "cell" => control["value"] = json!(matter.amount),
                _ => {}
            }
            controls.push(control);
        }
        for role in self.screen.shown.iter().filter(|role| **role != "heading") {
            controls.push(json!({ "role": role, "label": person.name, "dynamic": true }));
        }
        if self.is_changed {
            controls.extend(ADDED.iter().map(|(role, label)| json!({ "role": role, "label": label })));
        }
        controls
    }

    /// The text in this portal's words.
    fn words(&self, text: &str) -> String {
        let of_release: Words = if self.is_changed { SECOND_RELEASE } else { &[] };
        let in_words = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        self.portal.words().iter().chain(of_release).fold(text.to_owned(), in_words)
    }
}

/// Somebody who is looked up.
struct Person {
    name: String,
    born: String,
}

impl Person {
    fn draw(rng: &mut StdRng) -> Self {
        let (given, family) = (GIVEN.choose(rng).unwrap_or(&GIVEN[0]), FAMILY.choose(rng).unwrap_or(&FAMILY[0]));
        let (month, day, year) = (rng.random_range(1..=12), rng.random_range(1..=28), rng.random_range(1930..2015));
        Self { name: format!("{given} {family}"), born: format!("{month:02}/{day:02}/{year}") }
    }
}

/// What stands in a field.
fn entered(label: &str, matter: &Matter, person: &Person) -> String {
    match label {
        "Member ID" => matter.member_id.clone(),
        "Date of birth" => person.born.clone(),
        "Claim number" => matter.claim_number.clone(),
        "Procedure code" => matter.procedure_code.to_owned(),
        _ => String::new(),
    }
}
