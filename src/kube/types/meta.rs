//! Metadata of objects that are written back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::null_as_empty;

/// Metadata of a pod status; unknown fields are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatusMeta {
    /// Name, unique in the namespace.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Identity given by the server; empty before creation.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The version that an update replaces; empty before creation.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Labels, those of others included.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Owners; the object is collected when the last one is gone.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Everything else, annotations included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The object that another one lives and dies with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version, such as `v1`.
    #[serde(deserialize_with = "null_as_empty")]
    pub api_version: String,
    /// Kind, such as `Pod`.
    #[serde(deserialize_with = "null_as_empty")]
    pub kind: String,
    /// Name in the namespace of the owned object.
    #[serde(deserialize_with = "null_as_empty")]
    pub name: String,
    /// Identity of the owner; a later object of the same name is another owner.
    #[serde(deserialize_with = "null_as_empty")]
    pub uid: String,
    /// Whether this is the managing owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether the owner's foreground deletion waits for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}
