//! The workflows: which steps there are, what each takes in and gives out, and what goes wrong.

use events::id::{InvalidId, NodeId, WorkflowId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NAMESPACE, matter::Matter};

/// How a run reaches the payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Web,
    Voice,
    Efax,
}

impl Channel {
    /// The code of `channel_type_lu`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Voice => "voice",
            Self::Efax => "efax",
        }
    }

    /// The service that works over this channel: the `source` of its events.
    pub fn service(self) -> &'static str {
        match self {
            Self::Web => "/portal-runner",
            Self::Voice => "/voice-agent",
            Self::Efax => "/fax-desk",
        }
    }

    /// The steps that reach the payer, the same for every workflow.
    pub fn nodes(self) -> &'static [Node] {
        match self {
            Self::Web => WEB,
            Self::Voice => VOICE,
            Self::Efax => EFAX,
        }
    }

    /// What it leads to.
    pub fn line(self) -> &'static str {
        match self {
            Self::Web => "portal",
            Self::Voice => "phone",
            Self::Efax => "fax",
        }
    }

    /// Who works over this channel, as definitions of workflows say it.
    pub fn agent_type(self) -> &'static str {
        match self {
            Self::Web => "browser",
            Self::Voice => "voice",
            Self::Efax => "fax",
        }
    }

    /// What cannot be helped by trying again.
    pub fn fatal_faults(self) -> &'static [Fault] {
        match self {
            Self::Web => &[
                Fault("portal login expired", "login_expired"),
                Fault("payer rejected the request: member not found", "payer_rejected"),
                Fault("payer portal is down for maintenance", "portal_down"),
            ],
            Self::Voice => &[
                Fault("payer rejected the request: provider not on file", "payer_rejected"),
                Fault("call ended: the payer's line is closed", "line_closed"),
            ],
            Self::Efax => &[
                Fault("fax number is not in service", "fax_unreachable"),
                Fault("payer rejected the request: form is outdated", "payer_rejected"),
            ],
        }
    }
}

/// What goes wrong, for people and for programs.
#[derive(Clone, Copy, Debug)]
pub struct Fault(pub &'static str, pub &'static str);

/// A step of a workflow.
#[derive(Debug)]
pub struct Node {
    pub label: &'static str,
    /// The least and the greatest number of seconds that it takes.
    pub seconds: (u32, u32),
    pub input: fn(&Matter) -> Value,
    pub output: fn(&Matter) -> Value,
    /// What may go wrong, and be tried again.
    pub faults: &'static [Fault],
    /// Whether it may be left out.
    pub is_optional: bool,
}

/// A step that stays within the org: quick, and it does not fail.
const fn local(label: &'static str, input: fn(&Matter) -> Value, output: fn(&Matter) -> Value) -> Node {
    Node { label, seconds: (1, 4), input, output, faults: &[], is_optional: false }
}

/// A kind of billing work.
#[derive(Debug)]
pub struct Workflow {
    pub name: &'static str,
    /// What its runs' external ids start with.
    pub prefix: &'static str,
    pub revision: i32,
    pub opening: &'static [Node],
    pub closing: &'static [Node],
}

impl Workflow {
    /// Its id, the same in every org.
    pub fn id(&self) -> Result<WorkflowId, InvalidId> {
        WorkflowId::try_from(Uuid::new_v5(&NAMESPACE, self.name.as_bytes()))
    }

    /// The id of one of its nodes.
    pub fn node_id(&self, node: &Node) -> Result<NodeId, InvalidId> {
        NodeId::try_from(Uuid::new_v5(&NAMESPACE, format!("{} of {}", node.label, self.name).as_bytes()))
    }

    /// The steps of a run over this channel.
    pub fn nodes(&self, channel: Channel) -> impl Iterator<Item = &'static Node> {
        self.opening.iter().chain(channel.nodes()).chain(self.closing)
    }
}

pub const WORKFLOWS: &[Workflow] = &[
    Workflow {
        name: "eligibility check",
        prefix: "ELG",
        revision: 7,
        opening: &[local(
            "Load coverage",
            |m| json!({ "member_id": m.member_id }),
            |m| json!({ "payer": m.payer.name }),
        )],
        closing: &[local(
            "Record benefits",
            |m| json!({ "reference": m.reference }),
            |m| json!({ "is_active": true, "copay": m.copay, "deductible_left": m.deductible_left }),
        )],
    },
    Workflow {
        name: "claim status",
        prefix: "CST",
        revision: 12,
        opening: &[
            local("Load claim", |m| json!({ "claim_number": m.claim_number }), |m| json!({ "amount": m.amount })),
            local("Match payer", |m| json!({ "member_id": m.member_id }), |m| json!({ "payer": m.payer.name })),
        ],
        closing: &[
            local(
                "Classify status",
                |m| json!({ "reference": m.reference }),
                |m| json!({ "claim_state": m.claim_state, "amount": m.amount }),
            ),
            local("Update worklist", |m| json!({ "claim_state": m.claim_state }), |_| json!({ "is_updated": true })),
        ],
    },
    Workflow {
        name: "prior authorisation",
        prefix: "PAU",
        revision: 3,
        opening: &[
            local(
                "Load order",
                |m| json!({ "procedure_code": m.procedure_code }),
                |m| json!({ "procedure": m.procedure }),
            ),
            local("Check requirement", |m| json!({ "payer": m.payer.name }), |_| json!({ "is_required": true })),
            Node {
                is_optional: true,
                ..local(
                    "Collect clinical notes",
                    |m| json!({ "procedure": m.procedure }),
                    |_| json!({ "documents": 3 }),
                )
            },
        ],
        closing: &[
            local(
                "Save authorisation",
                |m| json!({ "reference": m.reference }),
                |m| json!({ "authorisation": m.reference }),
            ),
            Node {
                is_optional: true,
                ..local(
                    "Notify provider",
                    |m| json!({ "authorisation": m.reference }),
                    |_| json!({ "sent_to": "inbox" }),
                )
            },
        ],
    },
];

const WEB: &[Node] = &[
    Node {
        label: "Log in to portal",
        seconds: (3, 15),
        input: |m| json!({ "payer": m.payer.name }),
        output: |_| json!({ "session": "open" }),
        faults: &[
            Fault("portal login expired", "login_expired"),
            Fault("portal asked for a one-time code", "code_needed"),
        ],
        is_optional: false,
    },
    Node {
        label: "Search member",
        seconds: (4, 30),
        input: |m| json!({ "member_id": m.member_id }),
        output: |_| json!({ "hits": 1 }),
        faults: &[Fault("portal did not answer within 30 s", "portal_timeout")],
        is_optional: false,
    },
    Node {
        label: "Read answer",
        seconds: (5, 45),
        input: |m| json!({ "claim_number": m.claim_number, "procedure_code": m.procedure_code }),
        output: |m| json!({ "reference": m.reference }),
        faults: &[
            Fault("portal did not answer within 30 s", "portal_timeout"),
            Fault("page layout was not recognised", "layout_unknown"),
        ],
        is_optional: false,
    },
];

const VOICE: &[Node] = &[
    Node {
        label: "Dial payer",
        seconds: (10, 60),
        input: |m| json!({ "payer": m.payer.name }),
        output: |_| json!({ "answered_by": "menu" }),
        faults: &[Fault("line was busy", "line_busy")],
        is_optional: false,
    },
    Node {
        label: "Speak with representative",
        seconds: (120, 1_500),
        input: |m| json!({ "member_id": m.member_id, "claim_number": m.claim_number }),
        output: |m| json!({ "reference": m.reference }),
        faults: &[Fault("call dropped while on hold", "call_dropped")],
        is_optional: false,
    },
];

const EFAX: &[Node] = &[
    Node {
        label: "Fill form",
        seconds: (2, 8),
        input: |m| json!({ "member_id": m.member_id, "procedure_code": m.procedure_code }),
        output: |_| json!({ "pages": 2 }),
        faults: &[],
        is_optional: false,
    },
    Node {
        label: "Send fax",
        seconds: (40, 300),
        input: |_| json!({ "pages": 2 }),
        output: |m| json!({ "confirmation": m.reference }),
        faults: &[Fault("fax busy", "fax_busy"), Fault("fax transmission broke off on page 2", "fax_broken_off")],
        is_optional: false,
    },
    Node {
        label: "Read reply",
        seconds: (300, 1_800),
        input: |m| json!({ "confirmation": m.reference }),
        output: |m| json!({ "reference": m.reference, "legibility": 0.93 }),
        faults: &[Fault("reply could not be read", "reply_illegible")],
        is_optional: false,
    },
];
