//! Pods, Deployments and classes as users write them.

use serde_json::{Value, json};

use api_server::base64;
use kit::objects;

/// A pod to be made, by itself or by a Deployment.
#[derive(Clone)]
pub struct Workload {
    namespace: String,
    name: String,
    /// Name of the volume and of its class.
    volumes: Vec<(String, String)>,
    /// Name of the variable, Secret and key.
    variables: Vec<(String, String, String)>,
}

impl Workload {
    /// Without volumes.
    pub fn named(namespace: &str, name: &str) -> Workload {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Workload { namespace, name, volumes: Vec::new(), variables: Vec::new() }
    }

    /// With a further volume of this class; its name is the class's.
    pub fn mounting(mut self, class: &str) -> Workload {
        self.volumes.push((class.to_owned(), class.to_owned()));
        self
    }

    /// With a variable from a Secret.
    pub fn reading(mut self, variable: &str, secret: &str, key: &str) -> Workload {
        self.variables.push((variable.to_owned(), secret.to_owned(), key.to_owned()));
        self
    }

    /// A pod of its own.
    pub fn pod(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": self.spec(),
        })
    }

    /// A Deployment of such pods.
    pub fn deployment(&self, replicas: u32) -> Value {
        let labels = json!({"app": self.name});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self.spec()},
            },
        })
    }

    fn spec(&self) -> Value {
        let mounts = self
            .volumes
            .iter()
            .map(|(name, _)| json!({"name": name, "mountPath": format!("/mnt/{name}"), "readOnly": true}));
        let variables = self.variables.iter().map(|(variable, secret, key)| {
            json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
        });
        let volumes = self.volumes.iter().map(|(name, class)| {
            let attributes = json!({"secretProviderClass": class});
            json!({"name": name, "csi": {"driver": DRIVER, "readOnly": true, "volumeAttributes": attributes}})
        });
        json!({
            // There is no scheduler.
            "nodeName": NODE,
            "automountServiceAccountToken": false,
            // With none, the API server would remove the pod before kubelet has heard of it.
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main",
                "image": "none",
                "env": variables.collect::<Vec<_>>(),
                "volumeMounts": mounts.collect::<Vec<_>>(),
            }],
            "volumes": volumes.collect::<Vec<_>>(),
        })
    }
}

/// A class that asks the reference provider for these objects.
pub fn class(namespace: &str, name: &str, wanted: &[&str]) -> Value {
    objects::class(namespace, name, PROVIDER, objects::objects(wanted))
}

/// The same class with a Secret, of these keys and the objects that they are filled from.
pub fn with_secret(mut class: Value, secret: &str, keys: &[(&str, &str)]) -> Value {
    let data: Vec<Value> =
        keys.iter().map(|(key, object)| json!({"objectName": object, "key": key})).collect();
    let secret = json!({
        "secretName": secret,
        "type": "Opaque",
        "labels": {"environment": "test"},
        "annotations": {"team": "shop"},
        "data": data,
    });
    match class["spec"]["secretObjects"].as_array_mut() {
        Some(secrets) => secrets.push(secret),
        None => class["spec"]["secretObjects"] = json!([secret]),
    }
    class
}

/// The content of a key of a Secret, if it has that key; every secret here is text.
pub fn content(secret: &Value, key: &str) -> Option<String> {
    let bytes = base64::decode(secret["data"][key].as_str()?).expect("the API server knows base64");
    Some(String::from_utf8(bytes).expect("secrets of this test are text"))
}

/// Name of the CSI driver.
pub const DRIVER: &str = "secrets-store.csi.k8s.io";
/// Name of the node.
pub const NODE: &str = "node-1";
/// Name of the reference provider: of its program, of its socket, and in classes.
pub const PROVIDER: &str = "e2e-provider";
