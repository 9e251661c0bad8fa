//! Whoever may create classes and pods in a namespace of his own: objects as large as the API server stores.

use std::time::Duration;

use rpc::status::Status;
use serde_json::{Map, Value, json};

use crate::node::Node;
use crate::table::Report;
use kit::eventually;
use kit::objects;
use kit::provider::answer;
use kit::world::Pod;

use super::Attack;

pub const ALL: [Attack; 7] = [
    ("480,000 secretObjects, in two classes and pods", || {
        class("objects", json!(vec![json!({}); STORED / 3]))
    }),
    ("480,000 data entries", || class("data", json!([secret("s", json!(vec![json!({}); STORED / 3]))]))),
    ("18,000 Secrets of one class", || {
        let secrets = (0..18_000).map(|number| secret(&format!("s{number}"), entries()));
        class("secrets", secrets.collect())
    }),
    ("130,000 labels", || {
        let mut one = secret("s", entries());
        one["labels"] = many(STORED / 11);
        class("labels", json!([one]))
    }),
    ("130,000 parameters", || {
        let node = Node::start("parameters");
        bomb(node, &|class| class["spec"]["parameters"] = many(STORED / 11))
    }),
    ("a pod of 6 MiB", || pod("pod-of-6", 6 << 20)),
    ("a pod of 24 MiB", || pod("pod-of-24", 24 << 20)),
];

/// What etcd takes, in bytes.
const STORED: usize = 1_440_000;

fn secret(name: &str, data: Value) -> Value {
    json!({"secretName": name, "type": "Opaque", "data": data})
}

fn entries() -> Value {
    json!([{"objectName": "secret", "key": "k"}])
}

fn many(count: usize) -> Value {
    Value::Object((0..count).map(|number| (format!("{number:x}"), json!(""))).collect::<Map<_, _>>())
}

fn class(name: &str, secret_objects: Value) -> Report {
    bomb(Node::start(name), &|class| class["spec"]["secretObjects"] = secret_objects.clone())
}

/// Two such classes, each used by a pod of this node, and changed while they are in use.
fn bomb(node: Node, spoil: &dyn Fn(&mut Value)) -> Report {
    let _provider = node.world.provider("tenant", |_| Ok(answer("1", &[("secret", 0o644, b"x")])));
    let names = ["one", "two"];
    let put = |round: usize| {
        for name in names {
            let mut class = objects::class(TENANT, name, "tenant", json!({"round": round.to_string()}));
            spoil(&mut class);
            node.world.api.put(class);
        }
    };
    put(0);
    let pods = names.map(|name| pod_of(&node, TENANT, name, name, &json!([])));
    let outcomes = node.publish_all(&pods);
    for round in 1..4 {
        put(round);
        drop(node.publish_all(&pods));
    }
    let mounted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let told = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).map(Status::to_string);
    assert_eq!(mounted, pods.len(), "a class that is there already still mounts: {told:?}");
    node.report_within(PATIENCE, "both pods mounted".to_owned())
}

/// A pod that the API server knows, with such containers.
fn pod_of(node: &Node, namespace: &str, name: &str, class: &str, containers: &Value) -> Pod {
    let stored = node.world.api.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
        "spec": {"nodeName": node.world.node, "containers": containers, "volumes": [{"name": "secrets", "csi": {
            "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": class}}}]},
    }));
    let uid = stored["metadata"]["uid"].as_str().expect("the server gives one");
    let mut pod = node.world.pod_of_uid(name, class, uid);
    pod.namespace = namespace.to_owned();
    pod
}

/// A pod of that size on the node of others, whose Secret is restored after a restart all the same.
fn pod(name: &str, bytes: usize) -> Report {
    let mut node = Node::start(name);
    let mut class = objects::class("default", "mirrored", "honest", json!({"bytes": "100"}));
    class["spec"]["secretObjects"] = json!([secret("others", entries())]);
    node.world.api.put(class);
    let others = pod_of(&node, "default", "others", "mirrored", &json!([]));
    pod_of(&node, TENANT, "fat", "none", &json!([{"name": "c", "args": ["<".repeat(bytes)]}]));
    node.world.kubelet.publish(&others).expect("it is no concern of theirs");
    let path = "/api/v1/namespaces/default/secrets/others";
    eventually("the Secret is made", || node.world.api.get(path).is_some());
    node.restart();
    assert!(node.world.api.delete(path));
    eventually("the Secret is restored", || node.world.api.get(path).is_some());
    node.report("another pod's Secret made, and restored after a restart".to_owned())
}

/// Megabytes are read and put together again for each of these calls: by the driver, by the double of the API server and
/// by the provider, all on the processors on which the neighbours wait.
const PATIENCE: Duration = Duration::from_secs(3);
/// The attacker's namespace.
const TENANT: &str = "tenant";
