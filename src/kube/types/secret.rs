//! Secret: its metadata, which is watched, its content, which is read and written only where it has to be.
//!
//! Content is wrapped from the moment it is decoded; nothing here can be printed with a value in it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Visitor;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::meta::ObjectMeta;
use super::watched::{ObjectKey, Watched};
use super::writers::{RawManager, Writers};
use super::{OwnerReference, null_as_empty};
use crate::resource::{Resource, SECRETS};
use crate::transport::Form;
use base::secret::SecretBytes;

/// What a Secret says about itself, without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawObject")]
pub struct SecretMeta {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity; a Secret that was recreated has another.
    pub uid: String,
    /// Version of this state.
    pub resource_version: String,
    /// Labels, those of others included.
    pub labels: BTreeMap<String, String>,
    /// Annotations, those of others included.
    pub annotations: BTreeMap<String, String>,
    /// What it lives and dies with.
    pub owners: Vec<OwnerReference>,
    /// Who wrote which field last.
    pub writers: Writers,
}

/// A Secret with its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Everything else.
    pub meta: SecretMeta,
    /// Its type.
    pub kind: String,
    /// Its content.
    pub data: BTreeMap<String, SecretBytes>,
}

/// A Secret to be created.
pub struct NewSecret<'a> {
    /// Namespace and name.
    pub key: &'a ObjectKey,
    /// Its type.
    pub kind: &'a str,
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// What it lives and dies with.
    pub owners: &'a [OwnerReference],
    /// Its content.
    pub data: &'a BTreeMap<String, SecretBytes>,
}

/// What changes in a Secret. A field of value `None` is removed.
pub struct SecretPatch<'a> {
    /// Namespace and name.
    pub key: &'a ObjectKey,
    /// The version that it changes.
    pub resource_version: &'a str,
    /// Labels.
    pub labels: BTreeMap<&'a str, Option<&'a str>>,
    /// Annotations.
    pub annotations: BTreeMap<&'a str, Option<&'a str>>,
    /// All owners, those of others included; `None` leaves them.
    pub owners: Option<&'a [OwnerReference]>,
    /// Content.
    pub data: BTreeMap<&'a str, Option<&'a SecretBytes>>,
}

impl Watched for SecretMeta {
    const RESOURCE: &'static Resource = &SECRETS;
    const FORM: Form = Form::Metadata;
    const PAGE: u32 = 250;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.resource_version
    }
}

impl SecretMeta {
    /// True when its owner handed it to the driver, or the driver made it.
    pub fn is_managed(&self) -> bool {
        self.labels.get(MANAGED_LABEL).is_some_and(|value| value == MANAGED)
    }
}

impl NewSecret<'_> {
    /// About as many bytes as its JSON form takes, and not fewer than its content.
    pub(crate) fn size_hint(&self) -> usize {
        let data = self.data.iter().map(|(key, value)| encoded_size(key, value.len()));
        ENVELOPE_BYTES + data.sum::<usize>() + texts(self.labels) + texts(self.annotations)
    }
}

impl SecretPatch<'_> {
    /// About as many bytes as its JSON form takes, and not fewer than its content.
    pub(crate) fn size_hint(&self) -> usize {
        let size = |(key, value): (&&str, &Option<&SecretBytes>)| {
            encoded_size(key, value.map_or(0, SecretBytes::len))
        };
        ENVELOPE_BYTES + self.data.iter().map(size).sum::<usize>()
    }
}

fn encoded_size(key: &str, bytes: usize) -> usize {
    key.len() + bytes.div_ceil(3) * 4 + 16
}

fn texts(map: &BTreeMap<String, String>) -> usize {
    map.iter().map(|(key, value)| key.len() + value.len() + 16).sum()
}

impl Serialize for NewSecret<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata<'a> {
            name: &'a str,
            namespace: &'a str,
            labels: &'a BTreeMap<String, String>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            owner_references: &'a [OwnerReference],
        }
        let metadata = Metadata {
            name: &self.key.name,
            namespace: &self.key.namespace,
            labels: self.labels,
            annotations: self.annotations,
            owner_references: self.owners,
        };
        let mut object = to.serialize_map(None)?;
        object.serialize_entry("apiVersion", "v1")?;
        object.serialize_entry("kind", "Secret")?;
        object.serialize_entry("metadata", &metadata)?;
        object.serialize_entry("type", self.kind)?;
        let data: BTreeMap<&str, Base64<'_>> =
            self.data.iter().map(|(key, value)| (key.as_str(), Base64(value))).collect();
        object.serialize_entry("data", &data)?;
        object.end()
    }
}

impl Serialize for SecretPatch<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata<'a> {
            resource_version: &'a str,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            labels: &'a BTreeMap<&'a str, Option<&'a str>>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<&'a str, Option<&'a str>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            owner_references: Option<&'a [OwnerReference]>,
        }
        let metadata = Metadata {
            resource_version: self.resource_version,
            labels: &self.labels,
            annotations: &self.annotations,
            owner_references: self.owners,
        };
        let mut object = to.serialize_map(None)?;
        object.serialize_entry("metadata", &metadata)?;
        if !self.data.is_empty() {
            let data: BTreeMap<&str, Option<Base64<'_>>> =
                self.data.iter().map(|(key, value)| (*key, value.map(Base64))).collect();
            object.serialize_entry("data", &data)?;
        }
        object.end()
    }
}

/// Content in the form that JSON has for bytes.
struct Base64<'a>(&'a SecretBytes);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.expose();
        let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
        STANDARD.encode_string(bytes, &mut text);
        to.serialize_str(&text)
    }
}

/// Content on its way in.
struct Decoded(SecretBytes);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Decoded, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Decoded;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decoded, E> {
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                Ok(Decoded(SecretBytes::new(bytes)))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Decoded, E> {
                Ok(Decoded(SecretBytes::default()))
            }
        }
        from.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Raw {
            #[serde(deserialize_with = "null_as_empty")]
            metadata: RawMeta,
            #[serde(rename = "type", deserialize_with = "null_as_empty")]
            kind: String,
            #[serde(deserialize_with = "null_as_empty")]
            data: BTreeMap<String, Decoded>,
        }
        let raw = Raw::deserialize(from)?;
        let data = raw.data.into_iter().map(|(key, Decoded(value))| (key, value)).collect();
        Ok(Secret { meta: RawObject { metadata: raw.metadata }.into(), kind: raw.kind, data })
    }
}

impl From<RawObject> for SecretMeta {
    fn from(RawObject { metadata: raw }: RawObject) -> SecretMeta {
        SecretMeta {
            key: ObjectKey { namespace: raw.namespace, name: raw.name },
            uid: raw.uid,
            resource_version: raw.resource_version,
            labels: raw.labels,
            annotations: raw.annotations,
            owners: raw.owner_references,
            writers: Writers::of(raw.managed_fields),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawObject {
    #[serde(deserialize_with = "null_as_empty")]
    metadata: RawMeta,
}

type RawMeta =
    ObjectMeta<BTreeMap<String, String>, BTreeMap<String, String>, Vec<OwnerReference>, Vec<RawManager>>;

/// The label without which the driver never writes to a Secret that it finds.
pub const MANAGED_LABEL: &str = "secrets-store.csi.k8s.io/managed";
/// Its value.
pub const MANAGED: &str = "true";
/// What surrounds the content in JSON, generously.
const ENVELOPE_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests;
