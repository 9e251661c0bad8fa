//! The names that are interface: of the objects that are installed, and of what is reported about them.
//!
//! They are those of the OpenShift operator, so that what waits for its conditions, selects its pods or reads its
//! must-gather goes on working.

/// The driver, its CSIDriver object, and the ClusterCSIDriver object that asks for it.
pub const DRIVER: &str = "secrets-store.csi.k8s.io";
/// The operator, in labels and as the manager of fields.
pub const OPERATOR: &str = "secrets-store-csi-driver-operator";
/// The kind of the object that asks for the driver.
pub const CLUSTER_CSI_DRIVER: &str = "ClusterCSIDriver";
/// The DaemonSet, and the label `app` of its pods.
pub const NODE: &str = "secrets-store-csi-driver-node";
/// The service account of its pods.
pub const NODE_ACCOUNT: &str = "secrets-store-csi-driver-node-sa";
/// The ConfigMap that OpenShift puts its trusted authorities into.
pub const TRUSTED_CA: &str = "secrets-store-csi-driver-trusted-ca-bundle";
/// The key in it.
pub const TRUSTED_CA_KEY: &str = "ca-bundle.crt";
/// The right to run privileged pods, on OpenShift.
pub const PRIVILEGED_ROLE: &str = "secrets-store-privileged-role";
/// That right, for the driver's pods.
pub const PRIVILEGED_BINDING: &str = "secrets-store-node-privileged-binding";
/// What the driver may do; upstream's manifests have the same name for theirs.
pub const DRIVER_ROLE: &str = "secretproviderclasses-role";
/// That role, for the driver's pods; upstream's manifests have the same name for theirs.
pub const DRIVER_BINDING: &str = "secretproviderclasses-rolebinding";
/// Who may connect to the driver's pods.
pub const NETWORK_POLICY: &str = "sscsi-allow-ingress-to-metrics-operand";
/// The lease that the leading operator holds.
pub const LEASE: &str = "secrets-store-csi-driver-operator-lock";
/// The container of the driver.
pub const DRIVER_CONTAINER: &str = "csi-driver";

/// The controller that static objects are reported under.
pub const STATIC_CONTROLLER: &str = "SecretsStoreConditionalStaticResourcesController";
/// The controller that the DaemonSet is reported under, and that the finalizer names.
pub const NODE_CONTROLLER: &str = "SecretsStoreDriverNodeServiceController";

/// Whose DaemonSet this is the spec of, in hex.
pub const SPEC_HASH: &str = "operator.openshift.io/spec-hash";
/// The generation at which the last roll-out of a DaemonSet was seen complete.
pub const STABLE_GENERATION: &str = "storage.openshift.io/stable-generation";
/// What namespaces may have pods with this driver's volumes, on OpenShift.
pub const PROFILE_LABEL: &str = "security.openshift.io/csi-ephemeral-volume-profile";
/// Says that an operator looks after a CSIDriver, on OpenShift.
pub const MANAGED_ANNOTATION: &str = "csi.openshift.io/managed";
/// On the ClusterCSIDriver, while a CSIDriver is deleted and made anew: what it had as tokenRequests, in JSON.
pub const KEPT_TOKENS: &str = "secrets-store-csi-driver-operator.operator.openshift.io/kept-token-requests";

/// The DaemonSet of the plain manifests and of the chart, ours and upstream's.
pub const FOREIGN_NODE: &str = "csi-secrets-store";
/// Where those install it unless told otherwise.
pub const FOREIGN_NAMESPACE: &str = "kube-system";

/// The finalizer of an operator of that name.
pub fn finalizer(operator: &str) -> String {
    format!("{operator}.operator.openshift.io/{NODE_CONTROLLER}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finalizer_is_the_one_that_the_openshift_operator_left() {
        assert_eq!(
            finalizer(OPERATOR),
            "secrets-store-csi-driver-operator.operator.openshift.io/SecretsStoreDriverNodeServiceController"
        );
    }
}
