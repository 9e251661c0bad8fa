//! What the operator asked of the API server in the whole run, compared with what its roles let it ask.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::manifest;
pub use e2e::audit::{Request, requests};
use e2e::permission::{Permission, list, permissions};
use kit::yaml;

/// Requests that were refused for lack of a right.
pub fn forbidden(audit_log: &Path) -> Vec<String> {
    let refused = requests(audit_log).into_iter().filter(|request| request.code == 403);
    // With the rights of OpenShift's own operator, which has neither of these: see the case.
    let refused = refused.filter(|request| {
        let is_other_installation = request.namespace == "kube-system" && request.name == "csi-secrets-store";
        !is_other_installation && !request.permission().to_string().contains("subjectaccessreviews")
    });
    let texts: BTreeSet<String> = refused
        .map(|request| format!("{} {}/{}", request.permission(), request.namespace, request.name))
        .collect();
    texts.into_iter().collect()
}

/// What the operator's own roles permit and nobody has asked for. What it only gives the driver is no part of it.
pub fn unused(audit_log: &Path) -> Vec<String> {
    let shipped = manifest::program();
    let roles = shipped.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role");
    let mut given = of_driver();
    // By which OpenShift lets pods be privileged.
    given.push(json!({
        "apiGroups": ["security.openshift.io"], "resources": ["securitycontextconstraints"],
        "resourceNames": ["privileged"], "verbs": ["use"],
    }));
    let rules = roles.flat_map(|role| list(&role["rules"])).filter(|rule| !given.contains(rule));
    let permitted: BTreeSet<Permission> = rules.flat_map(permissions).collect();
    let asked: BTreeSet<Permission> = requests(audit_log).iter().map(Request::permission).collect();
    permitted.difference(&asked).map(Permission::to_string).collect()
}

/// The rules of the driver's roles, which the operator has because it gives them.
pub fn of_driver() -> Vec<Value> {
    let files = ["rbac-secretproviderclass.yaml", "rbac-secretprovidersyncing.yaml"];
    let objects = files.iter().flat_map(|file| yaml::read(&Path::new(manifest::DEPLOY).join(file)));
    let roles = objects.filter(|object| object["kind"] == "ClusterRole");
    roles.flat_map(|role| list(&role["rules"]).cloned().collect::<Vec<_>>()).collect()
}
