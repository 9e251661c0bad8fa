//! The operator that a document has installed: it runs as a process, since no container does.

use std::path::Path;

use serde_json::json;

use e2e::admin::Admin;
use e2e::control_plane::ControlPlane;
use e2e::kinds;
use e2e::operator::{ACCOUNT, Launcher, NAMESPACE, Operator};
use e2e::patience::until;

/// Starts it, as kubelet would start the Deployment's pod.
pub fn start(control_plane: &ControlPlane, admin: &Admin, directory: &Path) -> Operator {
    let account = kinds::core(NAMESPACE, "serviceaccounts", ACCOUNT);
    until("the operator has an account", || admin.get(&account).is_some());
    let operator = Launcher::new(control_plane, directory).launch(admin);
    operator.wait_until_ready();
    operator
}

/// Removes what a document has left behind that broke off.
pub fn remove(admin: &Admin) {
    if admin.get(REQUEST).is_some() {
        admin.patch(REQUEST, &json!({"metadata": {"finalizers": null}}));
        admin.delete(REQUEST);
    }
    for plural in ["clusterroles", "clusterrolebindings"] {
        admin.delete(&kinds::access(plural, ACCOUNT));
    }
    // Another's subjects are nothing that applying a manifest takes away.
    admin.delete(&kinds::access("clusterrolebindings", "secretproviderclasses-rolebinding"));
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    admin.delete(&namespace);
    until("the operator's namespace is gone", || admin.get(&namespace).is_none());
}

const REQUEST: &str = "/apis/operator.openshift.io/v1/clustercsidrivers/secrets-store.csi.k8s.io";
