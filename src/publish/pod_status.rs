//! The SecretProviderClassPodStatus of a volume: what is mounted where, in versions and never in contents.

use std::time::{Duration, Instant};

use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::event::PodRef;
use kube::types::{
    ObjectVersion as StatusObject, OwnerReference, PodStatus, PodStatusMeta, SecretProviderClassPodStatus,
};
use provider::answer::ObjectVersion;

use super::fingerprint::Fingerprint;
use super::request::PublishRequest;

/// A pod status that the API server is known to have.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPodStatus {
    status: Fingerprint,
    name: String,
    uid: String,
    seen: Instant,
}

impl KnownPodStatus {
    fn new(status: &PodStatus, stored: PodStatusMeta, seen: Instant) -> KnownPodStatus {
        KnownPodStatus { status: Fingerprint::of(status), name: stored.name, uid: stored.uid, seen }
    }

    /// As the owner of what is to go with it.
    pub fn as_owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: SecretProviderClassPodStatus::API_VERSION.to_owned(),
            kind: SecretProviderClassPodStatus::KIND.to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            ..OwnerReference::default()
        }
    }

    /// Looks for the pod status of that name; none when it is missing or of another pod.
    pub fn find(
        client: &Client,
        wanted: &SecretProviderClassPodStatus,
        budget: Budget,
        now: Instant,
    ) -> Result<Option<KnownPodStatus>, ApiError> {
        let (namespace, name) = (&wanted.metadata.namespace, &wanted.metadata.name);
        match client.pod_status(namespace, name, budget) {
            Ok(found) if found.metadata.owner_references == wanted.metadata.owner_references => {
                Ok(Some(KnownPodStatus::new(&found.status, found.metadata, now)))
            }
            Ok(_of_another_pod) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What the pod status of a volume has to say.
pub fn desired(
    request: &PublishRequest,
    node: &str,
    objects: &[ObjectVersion],
) -> SecretProviderClassPodStatus {
    let pod = &request.pod;
    let mut desired = of_pod(pod, &request.class, node);
    let mut objects: Vec<StatusObject> = objects
        .iter()
        .map(|object| StatusObject { id: object.id.clone(), version: object.version.clone() })
        .collect();
    objects.sort();
    desired.status = PodStatus {
        pod_name: pod.name.clone(),
        secret_provider_class_name: request.class.clone(),
        mounted: true,
        target_path: request.target.as_str().to_owned(),
        objects,
        ..PodStatus::default()
    };
    desired
}

/// The pod status of that pod's use of that class, without what is mounted.
pub fn of_pod(pod: &PodRef, class: &str, node: &str) -> SecretProviderClassPodStatus {
    let name = name(&pod.name, &pod.namespace, class);
    let mut status = SecretProviderClassPodStatus::named(&pod.namespace, &name);
    status.metadata.labels.insert(NODE_LABEL.to_owned(), label_value(node));
    status.metadata.owner_references.push(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        ..OwnerReference::default()
    });
    status
}

/// Makes the API server's pod status say what `desired` says; writes nothing when it does already.
///
/// `known` is what an earlier call returned: equal to `desired` and not too old, it saves even the read.
pub fn ensure(
    client: &Client,
    desired: &SecretProviderClassPodStatus,
    known: Option<&KnownPodStatus>,
    budget: Budget,
    now: Instant,
) -> Result<KnownPodStatus, ApiError> {
    let mut exists = match known {
        Some(known)
            if known.status == Fingerprint::of(&desired.status)
                && now.duration_since(known.seen) < TRUSTED =>
        {
            return Ok(known.clone());
        }
        Some(_) => true,
        None => false,
    };
    let (namespace, name) = (&desired.metadata.namespace, &desired.metadata.name);
    let mut attempts_left = ATTEMPTS;
    loop {
        let outcome = if exists {
            match client.pod_status(namespace, name, budget) {
                Ok(found) => match merged(&found, desired) {
                    None => Ok(found),
                    Some(merged) => client.update_pod_status(&merged, budget),
                },
                Err(error) => Err(error),
            }
        } else {
            client.create_pod_status(desired, budget)
        };
        attempts_left -= 1;
        match outcome {
            Ok(stored) => return Ok(KnownPodStatus::new(&desired.status, stored.metadata, now)),
            Err(error) if attempts_left == 0 => return Err(error),
            // Somebody else was faster, or it belonged to this pod's predecessor on another node: look again.
            Err(error) if error.is_already_exists() || error.is_conflict() => exists = true,
            Err(error) if error.is_not_found() && exists => exists = false,
            Err(error) => return Err(error),
        }
    }
}

/// What has to be written so that `found` says what `desired` says, if anything: labels and fields of others
/// stay, the status and the owner are replaced.
fn merged(
    found: &SecretProviderClassPodStatus,
    desired: &SecretProviderClassPodStatus,
) -> Option<SecretProviderClassPodStatus> {
    let mut merged = found.clone();
    merged.metadata.labels.extend(desired.metadata.labels.clone());
    merged.metadata.owner_references.clone_from(&desired.metadata.owner_references);
    merged.status = desired.status.clone();
    (merged != *found).then_some(merged)
}

/// `<pod>-<namespace>-<class>`; longer than a name may be, it is cut and carries a hash of the whole.
fn name(pod: &str, namespace: &str, class: &str) -> String {
    shorten(format!("{pod}-{namespace}-{class}"), MAX_NAME_BYTES)
}

/// A node's name as a label value, which may be shorter than a name.
pub fn label_value(node: &str) -> String {
    shorten(node.to_owned(), MAX_LABEL_BYTES)
}

/// Cuts `text` to `limit` bytes, the last seventeen of them a dash and the hash of the whole.
fn shorten(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let hash = format!("-{:016x}", fnv1a(text.as_bytes()));
    let kept = text.floor_char_boundary(limit - hash.len());
    // A name must not have anything but a letter or digit before a dash that somebody may split at.
    let head = text.get(..kept).unwrap_or_default().trim_end_matches(['-', '.', '_']);
    format!("{head}{hash}")
}

/// FNV-1a with 64 bits. Not the standard library's hash, which may be another in the next release of the compiler:
/// an upgrade of the driver must find the names that the last one made.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The label by which the pod statuses of a node are found.
pub const NODE_LABEL: &str = "internal.secrets-store.csi.k8s.io/node-name";
/// Length of the name of an object in Kubernetes.
const MAX_NAME_BYTES: usize = 253;
/// Length of the value of a label in Kubernetes.
const MAX_LABEL_BYTES: usize = 63;
/// Conflicts in a row mean that somebody fights us: kubelet or the next refresh tries again later.
const ATTEMPTS: u32 = 5;
/// How long a pod status that was seen is trusted to be there still.
const TRUSTED: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use kube::event::PodRef;
    use volume::target::TargetPath;

    fn request() -> PublishRequest {
        PublishRequest {
            volume_id: "v".to_owned(),
            target: TargetPath::parse("/pods/u/mount", None).unwrap(),
            class: "db".to_owned(),
            pod: PodRef { namespace: "team".to_owned(), name: "web".to_owned(), uid: "u1".to_owned() },
            attributes: Default::default(),
            secrets: Default::default(),
            had_foreign_tokens: false,
            group: None,
        }
    }

    fn object(id: &str, version: &str) -> ObjectVersion {
        ObjectVersion { id: id.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_status_names_pod_class_path_and_sorted_objects() {
        let status = desired(&request(), "node-1", &[object("b", "v1"), object("a", "v2")]);
        assert_eq!(status.metadata.name, "web-team-db");
        assert_eq!(status.metadata.labels[NODE_LABEL], "node-1");
        assert_eq!(status.metadata.owner_references[0].uid, "u1");
        assert_eq!(status.status.target_path, "/pods/u/mount");
        let ids: Vec<_> = status.status.objects.iter().map(|object| object.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn nothing_is_written_when_nothing_differs() {
        let wanted = desired(&request(), "node-1", &[object("a", "1")]);
        assert_eq!(merged(&wanted, &wanted), None);
    }

    #[test]
    fn a_status_of_another_node_is_taken_over_and_foreign_labels_stay() {
        let mut found = desired(&request(), "old-node", &[object("a", "1")]);
        found.metadata.labels.insert("team".to_owned(), "blue".to_owned());
        found.metadata.resource_version = "7".to_owned();
        let merged = merged(&found, &desired(&request(), "node-1", &[object("a", "2")])).unwrap();
        assert_eq!(merged.metadata.labels[NODE_LABEL], "node-1");
        assert_eq!(merged.metadata.labels["team"], "blue");
        assert_eq!(merged.metadata.resource_version, "7");
        assert_eq!(merged.status.objects[0].version, "2");
    }

    #[test]
    fn the_hash_in_a_name_is_the_same_in_every_release() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let pod = "p".repeat(253);
        let (one, other) = (name(&pod, "ns", "class-1"), name(&pod, "ns", "class-2"));
        assert!(one.len() <= 253 && other.len() <= 253);
        assert_ne!(one, other);
        assert_eq!(name("web", "team", "db"), "web-team-db");
        assert!(label_value(&"n".repeat(200)).len() <= 63);
        assert_eq!(label_value("node-1"), "node-1");
    }
}
