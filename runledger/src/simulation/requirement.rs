//! What has to be known for prior authorisations: everyone's, a payer's, and what an org has decided.

use chrono::TimeDelta;
use events::{
    Event, EventData,
    id::{EventId, OrgId, PayerId, SHARED_ORG, SubjectId, TaskTypeId},
    payload::{
        OrgPolicySet, PayerRequirementSet, PolicyAction, RequirementLevel, RequirementSet, Rule, Validation,
        value::{Json, Text},
    },
};
use serde_json::{Value, json};

use super::{Org, Simulation, catalogue, matter::PAYERS};

const SOURCE: &str = "/requirements";

/// Field, level, when, which values, what helps.
type Said = (&'static str, Option<RequirementLevel>, Option<Value>, Option<Value>, Option<&'static str>);

/// Of which an org knows what it needs for them, and for whom.
pub const TASK: &str = "prior_authorization";

/// The payer that has rules of its own.
pub fn payer() -> anyhow::Result<PayerId> {
    Ok(PAYERS[0].payer_id().try_into()?)
}

/// All that is said of the org's prior authorisations, by everyone, a payer and the org.
pub fn of_org(simulation: &Simulation, org: &Org) -> anyhow::Result<Vec<Event>> {
    let task_type_id = catalogue::task_type_id(simulation, org, TASK)?;
    let mut rules = Rules { simulation, task_type_id, events: Vec::new() };
    use RequirementLevel::{Conditional, Optional, Required};
    let is_hmo = json!({ "==": [{ "var": "plan_type" }, "HMO"] });
    let everyones: [Said; 4] = [
        (
            "member_id",
            Some(Required),
            None,
            Some(json!({ "pattern": "^[A-Z]{3}[0-9]{9}$" })),
            Some("On the card, below the name."),
        ),
        ("procedure_code", Some(Required), None, Some(json!({ "pattern": "^[0-9]{5}$" })), Some("CPT, five digits.")),
        ("referral_number", Some(Conditional), Some(is_hmo), None, Some("On the referral, above the signature.")),
        ("clinical_notes", Some(Optional), None, None, None),
    ];
    for said in everyones {
        rules.everyones(said)?;
    }
    rules.payers(("clinical_notes", Some(Required), None, None, Some("Of the last six months.")))?;
    rules.payers((
        "patient_weight_kg",
        Some(Required),
        None,
        Some(json!({ "range": { "min": 0.2, "max": 700 } })),
        None,
    ))?;
    rules.orgs(org, None, PolicyAction::Add, ("ward", Some(Required), None, None, None), "for the monthly report")?;
    rules.orgs(
        org,
        Some(payer()?),
        PolicyAction::Waive,
        ("referral_number", None, None, None, None),
        "agreed with the payer",
    )?;
    Ok(rules.events)
}

struct Rules<'a> {
    simulation: &'a Simulation,
    task_type_id: TaskTypeId,
    events: Vec<Event>,
}

impl Rules<'_> {
    fn tell<T: EventData>(&mut self, org_id: OrgId, subject: SubjectId, payload: &T) -> anyhow::Result<()> {
        let mut event = Event::new(org_id, subject, SOURCE, payload)?;
        let number = self.events.len();
        event.event_id = self.simulation.id::<EventId>(&format!("rule {number} for {}", self.task_type_id))?;
        event.occurred_at = self.simulation.scenario.start - TimeDelta::seconds(20);
        self.events.push(event);
        Ok(())
    }

    fn everyones(&mut self, (field, level, rule, validation, help): Said) -> anyhow::Result<()> {
        let (rule, validation) = (rule_of(rule)?, validation_of(validation)?);
        let (field, help_text) = (field.try_into()?, help.map(Text::from));
        let set = RequirementSet { field, level, rule, validation, help_text, reason: None, set_by: None };
        self.tell(SHARED_ORG, self.task_type_id.subject(), &set)
    }

    fn payers(&mut self, (field, level, rule, validation, help): Said) -> anyhow::Result<()> {
        let set = PayerRequirementSet {
            task_type_id: self.task_type_id,
            field: field.try_into()?,
            level,
            rule: rule_of(rule)?,
            validation: validation_of(validation)?,
            help_text: help.map(Text::from),
            reason: None,
            set_by: None,
        };
        self.tell(SHARED_ORG, payer()?.subject(), &set)
    }

    fn orgs(
        &mut self,
        org: &Org,
        payer_id: Option<PayerId>,
        action: PolicyAction,
        (field, level, rule, validation, help): Said,
        reason: &str,
    ) -> anyhow::Result<()> {
        let set = OrgPolicySet {
            payer_id,
            task_type_id: self.task_type_id,
            field: field.try_into()?,
            action,
            level,
            rule: rule_of(rule)?,
            validation: validation_of(validation)?,
            help_text: help.map(Text::from),
            reason: Some(reason.into()),
            set_by: org.users.first().copied(),
        };
        self.tell(org.org_id, org.org_id.subject(), &set)
    }
}

fn rule_of(rule: Option<Value>) -> anyhow::Result<Option<Rule>> {
    Ok(rule.map(|rule| Json::of(&rule)).transpose()?.map(Rule::try_from).transpose()?)
}

fn validation_of(validation: Option<Value>) -> anyhow::Result<Option<Validation>> {
    Ok(validation.map(|validation| Json::of(&validation)).transpose()?.map(Validation::try_from).transpose()?)
}
