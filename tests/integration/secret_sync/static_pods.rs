//! Pods that kubelet runs without the API server: nothing there could own their Secrets.

use serde_json::json;

use kit::mirror::{Mirror, object};
use kit::world::Pod;

/// A name as kubelet gives it to a static pod: a hash of what it was told to run.
const HASH: &str = "0123456789abcdef0123456789abcdef";

const OTHER_HASH: &str = "fedcba9876543210fedcba9876543210";

/// The static pod's picture in the API server, which belongs to the node.
fn show(mirror: &Mirror, pod: &Pod) {
    mirror.world.api.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "default", "name": pod.name, "annotations": {"kubernetes.io/config.mirror": pod.uid},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": true}],
        },
        "spec": {"nodeName": "node-1", "volumes": [{"name": "secrets", "csi": {
            "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": pod.class}}}]},
        "status": {"phase": "Running"},
    }));
}

#[test]
fn a_static_pod_has_its_volume_and_is_told_why_there_is_no_secret() {
    let mirror = Mirror::start(&[]);
    let rows = [
        ("shown", HASH, true),
        ("hidden", OTHER_HASH, false),
        ("shown-with-a-uid-of-its-manifest", "3c1b1f4e-9df0-4d0b-8f7e-2f3f6c1b7a10", true),
    ];
    for (number, (name, uid, is_shown)) in rows.into_iter().enumerate() {
        mirror.class(name, json!([object(name, &[("password", "pass")])]));
        let pod = mirror.world.pod_of_uid(name, name, uid);
        if is_shown {
            show(&mirror, &pod);
        }
        mirror.publish(&pod);
        assert_eq!(pod.read("password"), "old", "{name}");
        let expected = format!(
            "secret {name} of class default/{name} is not made for this pod: the pod is a static one, which kubelet \
             runs without the API server, so nothing there could own the secret and take it along; the volume is \
             mounted all the same. Have a pod of a Deployment, a DaemonSet or the like mount the class"
        );
        assert_eq!(mirror.event_for(name), expected, "{name}");
        // This is how `kubectl describe` finds the events of a static pod.
        assert_eq!(mirror.world.api.events_for(name)[0]["involvedObject"]["uid"], pod.uid, "{name}");
        assert_eq!(mirror.find(name), None, "{name}");
        assert!(mirror.errors("StaticPod") > f64::from(u8::try_from(number).unwrap()), "{name}");
        mirror.unpublish(&pod);
    }
}

#[test]
fn a_static_pod_beside_another_of_its_class_misses_nothing() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    let pod = mirror.world.pod_of_uid("static", "db", HASH);
    show(&mirror, &pod);
    mirror.publish(&pod);
    mirror.settle();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
    assert_eq!(mirror.world.api.events_for("static").len(), 0);
}
