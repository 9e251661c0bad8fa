//! The objects that the cases are made of.

use serde_json::{Value, json};

use crate::images::SHELL;

/// A class of the provider's, for the files of that list.
pub fn class(name: &str, objects: &str) -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": name},
        "spec": {"provider": PROVIDER, "parameters": {"objects": objects}},
    })
}

/// A pod that sleeps, with the volume of a class at [`MOUNT`].
pub fn pod(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": pod_spec(class),
    })
}

/// The same pod, who prints each change of `foo`, and each moment at which it cannot be read.
pub fn reader(name: &str, class: &str) -> Value {
    let mut pod = pod(name, class);
    pod["spec"]["containers"][0]["command"] = json!(["sh", "-c", READ]);
    pod
}

/// What is inside of such a pod.
pub fn pod_spec(class: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main",
            "image": SHELL,
            "imagePullPolicy": "Never",
            "command": ["sleep", "infinity"],
            "volumeMounts": [mount("secrets", MOUNT)],
        }],
        "volumes": [volume("secrets", class)],
    })
}

/// A volume of that class.
pub fn volume(name: &str, class: &str) -> Value {
    json!({"name": name, "csi": {
        "driver": DRIVER, "readOnly": true, "volumeAttributes": {"secretProviderClass": class},
    }})
}

/// A volume in a container.
pub fn mount(name: &str, path: &str) -> Value {
    json!({"name": name, "mountPath": path, "readOnly": true})
}

/// Adds to a list within an object.
pub fn add(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().expect("a list").push(item);
}

/// The driver's name.
pub const DRIVER: &str = "secrets-store.csi.k8s.io";
/// The provider's name.
pub const PROVIDER: &str = "node-provider";
/// Where a pod has its secrets.
pub const MOUNT: &str = "/mnt/secrets";
const READ: &str = r#"last=
while :; do
    if now=$(cat /mnt/secrets/foo 2>&1); then
        [ "$now" = "$last" ] || echo "saw $now"
        last=$now
    else
        echo "LOST $now"
    fi
    usleep 100000
done"#;
