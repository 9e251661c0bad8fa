//! Pod: who owns it, whether it still needs its Secrets, and which of its volumes are a CSI driver's.
//!
//! A pod may be as large as the API server stores objects, and nearly all of that may stand in fields that are read:
//! so what is held of one has limits that no pod of a sane author comes near.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::meta::ObjectMeta;
use super::tolerant::{ByShape, Name, Shaped};
use super::watched::{ObjectKey, Watched};
use super::{OwnerReference, null_as_empty};
use crate::resource::{PODS, Resource};
use crate::transport::Form;

/// A pod, as far as the driver reads it. It is never written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity; a later pod of the same name has another.
    pub uid: String,
    /// Version of this state.
    pub resource_version: String,
    /// Who made it, such as a ReplicaSet; of more than a few the first.
    pub owners: Vec<OwnerReference>,
    /// True once it is being deleted, or has run to its end.
    pub is_ending: bool,
    /// Identity of the static pod that kubelet shows by this one, its mirror; empty for every other pod.
    pub mirrors: String,
    /// The node that it was given to; empty before that.
    pub node: String,
    /// Its inline CSI volumes; of more than anybody mounts the first.
    pub volumes: Vec<PodVolume>,
}

/// An inline CSI volume of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodVolume {
    /// Name in the pod.
    pub name: String,
    /// The CSI driver.
    pub driver: String,
    /// Its attribute `secretProviderClass`; empty when it has none.
    pub class: String,
    /// True when it says that nobody may write into it.
    pub is_read_only: bool,
}

impl Watched for Pod {
    const RESOURCE: &'static Resource = &PODS;
    const FORM: Form = Form::Whole;
    const PAGE: u32 = 50;

    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn version(&self) -> &str {
        &self.resource_version
    }
}

impl From<Raw> for Pod {
    fn from(raw: Raw) -> Pod {
        let has_run = matches!(raw.status.phase.as_str(), "Succeeded" | "Failed");
        Pod {
            key: ObjectKey { namespace: raw.metadata.namespace, name: raw.metadata.name },
            uid: raw.metadata.uid,
            resource_version: raw.metadata.resource_version,
            owners: raw.metadata.owner_references.0,
            is_ending: has_run || raw.metadata.deletion_timestamp.is_some(),
            mirrors: raw.metadata.annotations.mirrors,
            node: raw.spec.node_name,
            volumes: raw.spec.volumes,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "null_as_empty")]
    metadata: RawMeta,
    #[serde(deserialize_with = "null_as_empty")]
    spec: RawSpec,
    #[serde(deserialize_with = "null_as_empty")]
    status: RawStatus,
}

type RawMeta = ObjectMeta<IgnoredAny, RawPodAnnotations, RawOwners>;

#[derive(Default)]
struct RawOwners(Vec<OwnerReference>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPodAnnotations {
    #[serde(rename = "kubernetes.io/config.mirror", deserialize_with = "name")]
    mirrors: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    #[serde(deserialize_with = "null_as_empty")]
    node_name: String,
    #[serde(deserialize_with = "volumes")]
    volumes: Vec<PodVolume>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawVolume {
    #[serde(deserialize_with = "name")]
    name: String,
    csi: Option<RawCsi>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawCsi {
    #[serde(deserialize_with = "name")]
    driver: String,
    read_only: Option<bool>,
    #[serde(deserialize_with = "null_as_empty")]
    volume_attributes: RawAttributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAttributes {
    #[serde(rename = "secretProviderClass", deserialize_with = "name")]
    class: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    #[serde(deserialize_with = "null_as_empty")]
    phase: String,
}

impl RawVolume {
    fn of_csi(self) -> Option<PodVolume> {
        let RawVolume { name, csi } = self;
        let RawCsi { driver, read_only, volume_attributes } = csi?;
        let is_read_only = read_only.unwrap_or_default();
        Some(PodVolume { name, driver, class: volume_attributes.class, is_read_only })
    }
}

/// A name: of one that is longer than any the beginning, which is no name of anything either.
fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match serde::de::DeserializeSeed::deserialize(ByShape(Name), from)? {
        Shaped::Is(name) => Ok(name),
        _ => Err(serde::de::Error::custom("a name is not a string")),
    }
}

fn volumes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PodVolume>, D::Error> {
    from.deserialize_option(First { most: MOST_VOLUMES, picked: RawVolume::of_csi, of: PhantomData })
}

impl<'de> Deserialize<'de> for RawOwners {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawOwners, D::Error> {
        // One whose name is longer than any can be of nothing that exists.
        let is_short = |owner: &OwnerReference| {
            let OwnerReference { api_version, kind, name, uid, .. } = owner;
            [api_version, kind, name, uid].iter().all(|text| text.len() <= LONGEST_OWNER_BYTES)
        };
        let picked = |owner| Some(owner).filter(is_short);
        from.deserialize_option(First { most: MOST_OWNERS, picked, of: PhantomData }).map(RawOwners)
    }
}

/// Reads a list and keeps the first of what is picked of it; `null` is an empty one.
struct First<T, F> {
    most: usize,
    picked: F,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, U, F: Fn(T) -> Option<U>> Visitor<'de> for First<T, F> {
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<U>, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<U>, A::Error> {
        let mut first = Vec::new();
        while first.len() < self.most {
            let Some(element) = list.next_element()? else { return Ok(first) };
            first.extend((self.picked)(element));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

/// Pods have one owner, or none.
const MOST_OWNERS: usize = 16;
/// Longer than every name with its group and version.
const LONGEST_OWNER_BYTES: usize = 512;
/// More inline CSI volumes than a pod that runs has volumes.
const MOST_VOLUMES: usize = 128;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(object: serde_json::Value) -> Pod {
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_pod_is_read_with_its_owner_and_its_csi_volumes() {
        let read = pod(json!({
            "metadata": {
                "namespace": "team", "name": "web-1", "uid": "u", "resourceVersion": "7",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r",
                    "controller": true, "blockOwnerDeletion": true}],
            },
            "spec": {"nodeName": "node-1", "containers": [{"env": [{"name": "A", "value": "hunter2"}]}], "volumes": [
                {"name": "scratch", "emptyDir": {}},
                {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true,
                    "volumeAttributes": {"secretProviderClass": "db", "other": "x"}}},
                {"name": "bare", "csi": {"driver": "other", "volumeAttributes": null}},
            ]},
            "status": {"phase": "Running"},
        }));
        assert_eq!((read.key.namespace.as_str(), read.key.name.as_str()), ("team", "web-1"));
        assert_eq!((read.uid.as_str(), read.version(), read.is_ending), ("u", "7", false));
        assert_eq!((read.owners.len(), read.node.as_str()), (1, "node-1"));
        let volume = |name: &str, driver: &str, class: &str, is_read_only| PodVolume {
            name: name.into(),
            driver: driver.into(),
            class: class.into(),
            is_read_only,
        };
        let volumes =
            [volume("secrets", "secrets-store.csi.k8s.io", "db", true), volume("bare", "other", "", false)];
        assert_eq!(read.volumes, volumes);
    }

    #[test]
    fn a_mirror_names_the_static_pod_that_it_shows() {
        let rows = [
            ("a mirror", json!({"kubernetes.io/config.mirror": "abc", "other": "x"}), "abc"),
            ("others", json!({"other": "x"}), ""),
            ("none", json!(null), ""),
        ];
        for (name, annotations, mirrors) in rows {
            assert_eq!(pod(json!({"metadata": {"annotations": annotations}})).mirrors, mirrors, "{name}");
        }
    }

    #[test]
    fn a_pod_that_is_deleted_or_done_is_ending() {
        let rows = [
            ("running", json!({"status": {"phase": "Running"}}), false),
            ("pending", json!({"status": {"phase": "Pending"}}), false),
            ("done", json!({"status": {"phase": "Succeeded"}}), true),
            ("failed", json!({"status": {"phase": "Failed"}}), true),
            ("deleted", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), true),
            ("nothing said", json!({"metadata": null, "spec": null, "status": null}), false),
        ];
        for (name, object, is_ending) in rows {
            assert_eq!(pod(object).is_ending, is_ending, "{name}");
        }
    }

    #[test]
    fn of_what_no_sane_pod_has_that_many_of_the_first_are_held() {
        let scratch = json!({"name": "scratch", "emptyDir": {}});
        let volume = |number: usize| {
            let attributes = json!({"secretProviderClass": "c".repeat(number), "other": "x".repeat(number)});
            json!({"name": number.to_string(), "csi": {"driver": "d", "volumeAttributes": attributes}})
        };
        let mut volumes = vec![scratch; 2_000];
        volumes.extend((0..2_000).map(volume));
        let owner = |name: String| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": "u"});
        let mut owners = vec![owner("x".repeat(9_999))];
        owners.extend((0..2_000).map(|number| owner(number.to_string())));
        let annotations = json!({"kubernetes.io/config.mirror": "x".repeat(9_999)});
        let metadata = json!({"name": "web", "ownerReferences": owners, "annotations": annotations});
        let read = pod(json!({"metadata": metadata, "spec": {"volumes": volumes, "nodeName": "n"}}));
        assert_eq!((read.key.name.as_str(), read.node.as_str()), ("web", "n"));
        assert_eq!((read.volumes.len(), read.volumes[127].name.as_str()), (128, "127"));
        assert_eq!((read.owners.len(), read.owners[0].name.as_str()), (16, "0"));
        assert_eq!(read.mirrors.len(), 512);
        let longest = pod(json!({"spec": {"volumes": [volume(9_999)]}}));
        assert_eq!(longest.volumes[0].class.len(), 512, "a name that no class has");
    }

    #[test]
    fn a_list_or_a_name_of_another_shape_is_refused() {
        for object in [
            json!({"spec": {"volumes": {}}}),
            json!({"spec": {"volumes": [7]}}),
            json!({"spec": {"volumes": [{"name": 7}]}}),
            json!({"metadata": {"ownerReferences": "x"}}),
        ] {
            assert!(serde_json::from_value::<Pod>(object.clone()).is_err(), "{object}");
        }
        assert_eq!(
            pod(json!({"spec": {"volumes": null}, "metadata": {"ownerReferences": null}})),
            Pod::default()
        );
    }
}
