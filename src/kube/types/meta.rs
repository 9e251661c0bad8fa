//! Metadata of objects: as they are read, and as they are written back.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::null_as_empty;

/// Metadata of an object that is read. Of what it holds besides its identity, a kind names the types in which it wants
/// it; the rest is passed over where it is read, and never held.
#[derive(Default, Deserialize)]
#[serde(
    default,
    rename_all = "camelCase",
    bound = "L: Default + Deserialize<'de>, A: Default + Deserialize<'de>, \
             O: Default + Deserialize<'de>, M: Default + Deserialize<'de>"
)]
pub(super) struct ObjectMeta<L = IgnoredAny, A = IgnoredAny, O = IgnoredAny, M = IgnoredAny> {
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) namespace: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) name: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) uid: String,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) resource_version: String,
    pub(super) deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) labels: L,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) annotations: A,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) owner_references: O,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) managed_fields: M,
}

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
