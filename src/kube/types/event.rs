//! Event of the core API: what `kubectl describe pod` shows below the pod.

use serde::Serialize;

/// A core/v1 Event about a pod. Only ever created, so it carries exactly what is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `v1`.
    pub api_version: &'static str,
    /// `Event`.
    pub kind: &'static str,
    /// Name and namespace.
    pub metadata: EventMeta,
    /// The pod.
    pub involved_object: InvolvedObject,
    /// Short, stable, in CamelCase.
    pub reason: String,
    /// For people; never a secret.
    pub message: String,
    /// `Warning` or `Normal`.
    #[serde(rename = "type")]
    pub kind_of_event: &'static str,
    /// Who reports.
    pub source: Source,
    /// The reporter once more, in the field that newer readers use.
    pub reporting_component: String,
    /// The reporter's node, in the field that newer readers use.
    pub reporting_instance: String,
    /// When it was first seen, RFC 3339 in seconds.
    pub first_timestamp: String,
    /// When it was last seen, RFC 3339 in seconds.
    pub last_timestamp: String,
    /// How often it was seen.
    pub count: u32,
}

/// Name and namespace of an event; the namespace is the pod's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventMeta {
    /// Unique name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvolvedObject {
    /// `v1`.
    pub api_version: &'static str,
    /// `Pod`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity, so that a later pod of the same name does not inherit the event.
    pub uid: String,
}

/// Who reports an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The program.
    pub component: String,
    /// The node.
    pub host: String,
}
