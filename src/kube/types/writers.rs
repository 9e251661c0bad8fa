//! Who wrote which field of a Secret last, as the API server notes it in `managedFields`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::null_as_empty;

/// Who wrote the fields of a Secret that a class can declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writers {
    /// Keys of the content.
    pub data: Written,
    /// Labels.
    pub labels: Written,
    /// Annotations.
    pub annotations: Written,
    /// When the driver last wrote something, RFC 3339 in seconds; empty when it never did.
    pub at: String,
}

/// Fields of one kind, by name. Who removes a field is not noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Those that the driver wrote last, on whatever node.
    pub ours: BTreeSet<String>,
    /// Those that somebody else wrote last, or applied with the same value, and under which name.
    pub theirs: BTreeMap<String, Arc<str>>,
}

impl Written {
    /// True when the driver wrote that field last.
    pub fn is_ours(&self, name: &str) -> bool {
        self.ours.contains(name)
    }

    /// The same, and nobody else has a word in it.
    pub fn is_ours_alone(&self, name: &str) -> bool {
        self.is_ours(name) && !self.theirs.contains_key(name)
    }

    fn add(&mut self, fields: BTreeMap<String, IgnoredAny>, stranger: Option<&Arc<str>>) {
        let names = fields.into_keys().filter_map(|name| name.strip_prefix("f:").map(str::to_owned));
        match stranger {
            None => self.ours.extend(names),
            Some(manager) => self.theirs.extend(names.map(|name| (name, Arc::clone(manager)))),
        }
    }
}

impl Writers {
    /// True when a driver has written a field since `before` that was not its own then.
    pub fn took_from_others(&self, before: &Writers) -> bool {
        let pairs = [
            (&self.data, &before.data),
            (&self.labels, &before.labels),
            (&self.annotations, &before.annotations),
        ];
        pairs.iter().any(|(now, before)| !now.ours.is_subset(&before.ours))
    }

    pub(super) fn of(entries: Vec<RawManager>) -> Writers {
        let mut writers = Writers::default();
        for RawManager { manager, time, fields } in entries {
            let stranger = (manager != FIELD_MANAGER).then(|| Arc::from(manager));
            writers.data.add(fields.data, stranger.as_ref());
            writers.labels.add(fields.metadata.labels, stranger.as_ref());
            writers.annotations.add(fields.metadata.annotations, stranger.as_ref());
            if stranger.is_none() {
                writers.at = writers.at.max(time);
            }
        }
        writers
    }
}

/// One manager's fields, as the server tracks them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawManager {
    #[serde(deserialize_with = "null_as_empty")]
    manager: String,
    #[serde(deserialize_with = "null_as_empty")]
    time: String,
    #[serde(rename = "fieldsV1", deserialize_with = "null_as_empty")]
    fields: RawFields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFields {
    #[serde(rename = "f:data", deserialize_with = "null_as_empty")]
    data: BTreeMap<String, IgnoredAny>,
    #[serde(rename = "f:metadata", deserialize_with = "null_as_empty")]
    metadata: RawFieldsOfMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFieldsOfMetadata {
    #[serde(rename = "f:labels", deserialize_with = "null_as_empty")]
    labels: BTreeMap<String, IgnoredAny>,
    #[serde(rename = "f:annotations", deserialize_with = "null_as_empty")]
    annotations: BTreeMap<String, IgnoredAny>,
}

/// The name under which the server notes the driver's writes. The upstream driver's are noted under the same one, the
/// first word of its user agent ever since release 0.0.18: its Secrets are ours after a change of the image.
pub const FIELD_MANAGER: &str = "csi-secrets-store";
