//! `micro_state.observed`

use serde::{Deserialize, Serialize};

use crate::{
    id::{EndpointId, NodeId, RunId, StepId},
    payload::{
        embedding::{Embedding, IMAGE_DIMENSIONS, TEXT_DIMENSIONS},
        step_screenshot_captured::v1,
        value::{IndexedText, Object, Text},
    },
};

/// A service saw a screen. The subject is the micro-state: the same screen seen again has the same id, if the service
/// recognises it. What is embedded of it is its structure and its labels, never what was entered or shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MicroStateObserved {
    /// The run in which it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The step of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_id: Option<StepId>,
    /// The node of the workflow's graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// The kind of portal, by the name that services search by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_type: Option<IndexedText>,
    /// The portal account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    /// Where it was seen. Of its path, what holds a digit is not embedded; of its query, the names alone are.
    pub url: Text,
    /// The title of the page; empty where it has none.
    pub title: Text,
    /// What is on the screen: `headings`, texts or objects with `text` and `level`; `controls`, objects with
    /// `role`, `label` and `state`. Of these parts that have `"dynamic": true` the text is not embedded, and
    /// neither is any other member.
    pub ui: Object,
    /// Text on the screen. Embedded only where `text_is_static`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Whether the text belongs to the screen, whoever looks at it, and so holds nothing about anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_is_static: Option<bool>,
    /// A picture of it: its `uri`, perhaps its `sha256`; kept as sent.
    #[serde(default, deserialize_with = "v1::with_uri_if_any", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = v1::optional_screenshot_alternatives())))]
    pub screenshot: Option<Object>,
    /// The service's own embedding of the screen's text, for projectors that take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_embedding: Option<Embedding<TEXT_DIMENSIONS>>,
    /// The service's embedding of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_embedding: Option<Embedding<IMAGE_DIMENSIONS>>,
    /// The model that made the text's embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<IndexedText>,
}
