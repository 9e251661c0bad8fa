//! What kubelet asks for, after it was checked: no field here can be wrong in form.

use std::collections::BTreeMap;

use base::secret::SecretString;
use kube::event::PodRef;
use volume::target::TargetPath;

/// A publish, first or repeated.
pub struct PublishRequest {
    /// Kubelet's name for the volume; never part of a path.
    pub volume_id: String,
    /// Where the volume goes.
    pub target: TargetPath,
    /// Name of the SecretProviderClass, in the pod's namespace.
    pub class: String,
    /// The pod.
    pub pod: PodRef,
    /// The volume's attributes, kubelet's own and service account tokens among them.
    pub attributes: BTreeMap<String, SecretString>,
    /// The Secret that the pod's volume refers to, and tokens on newer clusters.
    pub secrets: BTreeMap<String, SecretString>,
    /// True when tokens came that are not kubelet's: they are in neither of the two.
    pub had_foreign_tokens: bool,
    /// The pod's fsGroup, when kubelet leaves its application to us.
    pub group: Option<u32>,
}

/// The end of a volume.
pub struct UnpublishRequest {
    /// Kubelet's name for the volume.
    pub volume_id: String,
    /// Where the volume is.
    pub target: TargetPath,
}

/// Keys of a volume's attributes that kubelet sets begin so; nobody else may.
pub const KUBELET_PREFIX: &str = "csi.storage.k8s.io/";
/// Attribute: name of the pod.
pub const POD_NAME: &str = "csi.storage.k8s.io/pod.name";
/// Attribute: namespace of the pod.
pub const POD_NAMESPACE: &str = "csi.storage.k8s.io/pod.namespace";
/// Attribute: uid of the pod.
pub const POD_UID: &str = "csi.storage.k8s.io/pod.uid";
/// Attribute or secret: tokens of the pod's service account, by audience.
pub const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";
/// What kubelet sets of these. Any other key of the prefix is a pod's own, and no provider hears of it: one that a later
/// kubelet sets is believed once this driver knows it.
pub const KUBELET_KEYS: [&str; 6] = [EPHEMERAL, POD_NAME, POD_NAMESPACE, POD_UID, SERVICE_ACCOUNT, TOKENS];
/// Attribute: whether the volume is one of a pod, which it always is.
const EPHEMERAL: &str = "csi.storage.k8s.io/ephemeral";
/// Attribute: name of the pod's service account.
const SERVICE_ACCOUNT: &str = "csi.storage.k8s.io/serviceAccount.name";
/// Attribute: name of the SecretProviderClass.
pub const CLASS: &str = "secretProviderClass";
