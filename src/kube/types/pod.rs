//! Pod: who owns it, whether it still needs its Secrets, and which of its volumes are a CSI driver's.

use serde::Deserialize;

use super::watched::{ObjectKey, Watched};
use super::{OwnerReference, null_as_empty};
use crate::kube::resource::{PODS, Resource};
use crate::kube::transport::Form;

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
    /// Who made it, such as a ReplicaSet.
    pub owners: Vec<OwnerReference>,
    /// True once it is being deleted, or has run to its end.
    pub is_ending: bool,
    /// Identity of the static pod that kubelet shows by this one, its mirror; empty for every other pod.
    pub mirrors: String,
    /// The node that it was given to; empty before that.
    pub node: String,
    /// Its inline CSI volumes.
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
        let csi = |volume: RawVolume| {
            let RawVolume { name, csi } = volume;
            csi.map(|csi| {
                let RawCsi { driver, read_only, volume_attributes } = csi;
                let is_read_only = read_only.unwrap_or_default();
                PodVolume { name, driver, class: volume_attributes.class, is_read_only }
            })
        };
        let has_run = matches!(raw.status.phase.as_str(), "Succeeded" | "Failed");
        Pod {
            key: ObjectKey { namespace: raw.metadata.namespace, name: raw.metadata.name },
            uid: raw.metadata.uid,
            resource_version: raw.metadata.resource_version,
            owners: raw.metadata.owner_references,
            is_ending: has_run || raw.metadata.deletion_timestamp.is_some(),
            mirrors: raw.metadata.annotations.mirrors,
            node: raw.spec.node_name,
            volumes: raw.spec.volumes.into_iter().filter_map(csi).collect(),
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

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    #[serde(deserialize_with = "null_as_empty")]
    namespace: String,
    #[serde(deserialize_with = "null_as_empty")]
    name: String,
    #[serde(deserialize_with = "null_as_empty")]
    uid: String,
    #[serde(deserialize_with = "null_as_empty")]
    resource_version: String,
    #[serde(deserialize_with = "null_as_empty")]
    owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "null_as_empty")]
    annotations: RawPodAnnotations,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPodAnnotations {
    #[serde(rename = "kubernetes.io/config.mirror", deserialize_with = "null_as_empty")]
    mirrors: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    #[serde(deserialize_with = "null_as_empty")]
    node_name: String,
    #[serde(deserialize_with = "null_as_empty")]
    volumes: Vec<RawVolume>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawVolume {
    #[serde(deserialize_with = "null_as_empty")]
    name: String,
    csi: Option<RawCsi>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawCsi {
    #[serde(deserialize_with = "null_as_empty")]
    driver: String,
    read_only: Option<bool>,
    #[serde(deserialize_with = "null_as_empty")]
    volume_attributes: RawAttributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAttributes {
    #[serde(rename = "secretProviderClass", deserialize_with = "null_as_empty")]
    class: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    #[serde(deserialize_with = "null_as_empty")]
    phase: String,
}

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
}
