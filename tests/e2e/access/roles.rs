//! What the roles in deploy/ let the driver do, computed from the files alone.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifest;
use e2e::permission::{Permission, list, permissions};

/// Everything that roles bound to the driver's service account permit.
pub fn of_driver() -> BTreeSet<Permission> {
    let shipped = manifest::shipped();
    let bindings = shipped.iter().filter(|object| object["kind"] == "ClusterRoleBinding");
    let of_driver = bindings.filter(|binding| list(&binding["subjects"]).any(is_driver));
    let names: Vec<&Value> = of_driver.map(|binding| &binding["roleRef"]["name"]).collect();
    let roles = shipped.iter().filter(|object| object["kind"] == "ClusterRole");
    let bound = roles.filter(|role| names.contains(&&role["metadata"]["name"]));
    bound.flat_map(|role| list(&role["rules"])).flat_map(permissions).collect()
}

fn is_driver(subject: &Value) -> bool {
    let [namespace, name] = SERVICE_ACCOUNT;
    subject["kind"] == "ServiceAccount" && subject["namespace"] == namespace && subject["name"] == name
}

/// Namespace and name of who the driver is.
pub const SERVICE_ACCOUNT: [&str; 2] = ["kube-system", "secrets-store-csi-driver"];
