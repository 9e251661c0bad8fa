//! SecretProviderClassPodStatus: what a pod's volume holds, in versions and never in contents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PodStatusMeta, null_as_empty};

/// One pod's use of one class. Written back whole; fields the driver does not know are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretProviderClassPodStatus {
    /// Always [`SecretProviderClassPodStatus::API_VERSION`].
    pub api_version: String,
    /// Always [`SecretProviderClassPodStatus::KIND`].
    pub kind: String,
    /// Name, labels and owners.
    #[serde(deserialize_with = "null_as_empty")]
    pub metadata: PodStatusMeta,
    /// What is mounted.
    #[serde(deserialize_with = "null_as_empty")]
    pub status: PodStatus,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What is mounted.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// The pod.
    #[serde(deserialize_with = "null_as_empty")]
    pub pod_name: String,
    /// The class.
    #[serde(deserialize_with = "null_as_empty")]
    pub secret_provider_class_name: String,
    /// Whether the volume is mounted.
    #[serde(deserialize_with = "null_as_empty")]
    pub mounted: bool,
    /// Where it is mounted, as kubelet sees it.
    #[serde(deserialize_with = "null_as_empty")]
    pub target_path: String,
    /// The objects in it; left out when there are none.
    #[serde(deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectVersion>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One object and the version of it that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectVersion {
    /// The provider's name for the object.
    #[serde(deserialize_with = "null_as_empty")]
    pub id: String,
    /// The provider's version of it.
    #[serde(deserialize_with = "null_as_empty")]
    pub version: String,
}

impl SecretProviderClassPodStatus {
    /// Group and version that the driver speaks.
    pub const API_VERSION: &'static str = "secrets-store.csi.x-k8s.io/v1";
    /// The kind.
    pub const KIND: &'static str = "SecretProviderClassPodStatus";

    /// An empty pod status of that name.
    pub fn named(namespace: &str, name: &str) -> SecretProviderClassPodStatus {
        let mut status = SecretProviderClassPodStatus::default();
        status.metadata.namespace = namespace.to_owned();
        status.metadata.name = name.to_owned();
        status
    }
}

impl Default for SecretProviderClassPodStatus {
    fn default() -> SecretProviderClassPodStatus {
        SecretProviderClassPodStatus {
            api_version: SecretProviderClassPodStatus::API_VERSION.to_owned(),
            kind: SecretProviderClassPodStatus::KIND.to_owned(),
            metadata: PodStatusMeta::default(),
            status: PodStatus::default(),
            rest: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OwnerReference;
    use super::*;

    #[test]
    fn a_new_status_is_written_with_the_fields_of_the_api() {
        let mut status = SecretProviderClassPodStatus::named("team", "web-team-db");
        status.metadata.labels.insert("internal.secrets-store.csi.k8s.io/node-name".into(), "n1".into());
        status.metadata.owner_references.push(OwnerReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: "web".into(),
            uid: "u".into(),
            ..OwnerReference::default()
        });
        status.status = PodStatus {
            pod_name: "web".into(),
            secret_provider_class_name: "db".into(),
            mounted: true,
            target_path: "/t".into(),
            ..PodStatus::default()
        };
        let written = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1",
            "kind": "SecretProviderClassPodStatus",
            "metadata": {
                "name": "web-team-db",
                "namespace": "team",
                "labels": {"internal.secrets-store.csi.k8s.io/node-name": "n1"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u"}],
            },
            "status": {
                "podName": "web", "secretProviderClassName": "db", "mounted": true, "targetPath": "/t",
            },
        });
        assert_eq!(serde_json::to_value(&status).unwrap(), written);
    }

    #[test]
    fn what_the_driver_does_not_know_survives_being_written_back() {
        let object = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1",
            "kind": "SecretProviderClassPodStatus",
            "newTopLevel": {"a": [1, 2]},
            "metadata": {
                "name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "9",
                "labels": {"theirs": "kept"}, "annotations": {"theirs": "kept"}, "finalizers": ["x/y"],
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true},
                ],
            },
            "status": {
                "podName": "p", "secretProviderClassName": "c", "mounted": true, "targetPath": "/t",
                "objects": [{"id": "a", "version": "1"}], "newInStatus": null,
            },
        });
        let read: SecretProviderClassPodStatus = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(read.status.objects, [ObjectVersion { id: "a".into(), version: "1".into() }]);
        assert_eq!(serde_json::to_value(&read).unwrap(), object);
    }

    #[test]
    fn null_and_absent_fields_are_empty() {
        let object =
            json!({"metadata": {"name": "n", "labels": null, "ownerReferences": null}, "status": null});
        let read: SecretProviderClassPodStatus = serde_json::from_value(object).unwrap();
        assert_eq!(read.status, PodStatus::default());
        assert!(read.metadata.labels.is_empty());
        assert_eq!(read.kind, SecretProviderClassPodStatus::KIND);
        let object = json!({"status": {"objects": null, "mounted": null}});
        let read: SecretProviderClassPodStatus = serde_json::from_value(object).unwrap();
        assert!(read.status.objects.is_empty() && !read.status.mounted);
    }
}
