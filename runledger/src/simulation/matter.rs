//! What a run is about: a made-up patient's coverage, claim or order with a made-up payer.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{NAMESPACE, workflow::Channel};

/// An insurer, and where it is reached.
#[derive(Debug)]
pub struct Payer {
    pub name: &'static str,
    code: &'static str,
    portal: &'static str,
    line: u16,
}

pub const PAYERS: &[Payer] = &[
    Payer { name: "Meridian Health Plan", code: "MHP", portal: "providers.meridianplan.example", line: 100 },
    Payer { name: "Summit Mutual", code: "SUM", portal: "portal.summitmutual.example", line: 110 },
    Payer { name: "Bluewater Care", code: "BWC", portal: "bluewatercare.example/providers", line: 120 },
    Payer { name: "Keystone Benefit Trust", code: "KBT", portal: "kbt.example/eligibility", line: 130 },
    Payer { name: "Pioneer State Medicaid", code: "PSM", portal: "medicaid.pioneerstate.example", line: 140 },
    Payer { name: "Aurora Advantage", code: "AUR", portal: "auroraadvantage.example", line: 150 },
];
const PROCEDURES: &[(&str, &str)] = &[
    ("99214", "Office visit, established patient"),
    ("73721", "MRI of a lower joint"),
    ("97110", "Therapeutic exercise"),
    ("80053", "Comprehensive metabolic panel"),
    ("29881", "Knee arthroscopy"),
    ("45378", "Diagnostic colonoscopy"),
];
const CLAIM_STATES: &[&str] = &["paid", "paid", "paid", "in process", "denied: missing modifier", "pending records"];

/// The facts of one run.
#[derive(Debug)]
pub struct Matter {
    pub payer: &'static Payer,
    pub member_id: String,
    pub claim_number: String,
    pub amount: String,
    pub copay: String,
    pub deductible_left: String,
    pub procedure_code: &'static str,
    pub procedure: &'static str,
    pub claim_state: &'static str,
    pub reference: String,
}

impl Matter {
    /// The facts that chance has in store.
    pub fn draw(rng: &mut StdRng) -> Self {
        let payer = PAYERS.choose(rng).unwrap_or(&PAYERS[0]);
        let (procedure_code, procedure) = *PROCEDURES.choose(rng).unwrap_or(&PROCEDURES[0]);
        Self {
            payer,
            member_id: format!("{}{:09}", payer.code, rng.random_range(1..999_999_999)),
            claim_number: format!("CLM-{:08}", rng.random_range(1..99_999_999)),
            amount: format!("{}.{:02}", rng.random_range(40..6_800), rng.random_range(0..100)),
            copay: format!("{}.00", rng.random_range(0..9) * 10),
            deductible_left: format!("{}.{:02}", rng.random_range(0..3_000), rng.random_range(0..100)),
            procedure_code,
            procedure,
            claim_state: CLAIM_STATES.choose(rng).unwrap_or(&CLAIM_STATES[0]),
            reference: format!("{}-{:07}", payer.code, rng.random_range(1..9_999_999)),
        }
    }

    /// The payer's portal, phone line or fax line as `run.endpoint_used` names it.
    pub fn endpoint(&self, channel: Channel) -> serde_json::Value {
        let (endpoint_id, kind) = (self.payer.endpoint_id(channel), channel.line());
        let address = self.payer.address(channel);
        serde_json::json!({ "endpoint_id": endpoint_id, "kind": kind, "payer": self.payer.name, "address": address })
    }
}

impl Payer {
    /// As rules on what has to be known name it.
    pub fn payer_id(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("payer {}", self.code).as_bytes())
    }

    /// Of its portal, phone line or fax line, the same in every org.
    pub fn endpoint_id(&self, channel: Channel) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{} of {}", channel.line(), self.code).as_bytes())
    }

    /// Under which a secrets manager keeps what its portal asks for.
    pub fn name_of_secret(&self) -> String {
        format!("payers/{}/portal", self.code.to_ascii_lowercase())
    }

    /// Where that is reached.
    pub fn address(&self, channel: Channel) -> String {
        match channel {
            Channel::Web => format!("https://{}", self.portal),
            Channel::Voice => format!("+1 555 01{:02}", self.line % 100),
            Channel::Efax => format!("+1 555 01{:02}", self.line % 100 + 1),
        }
    }
}
