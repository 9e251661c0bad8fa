//! Secrets that a class asks for: there before the pod starts, fresh after a rotation, gone with their owners.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::provider::answer;
use crate::support::scene::Scene;

const SECRET: &str = "/api/v1/namespaces/default/secrets/db-secret";

/// A class whose one file becomes one key of one Secret.
fn class() -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"namespace": "default", "name": "db"},
        "spec": {"provider": "test", "parameters": {"objects": "some"}, "secretObjects": [{
            "secretName": "db-secret", "type": "Opaque", "labels": {"env": "test"},
            "data": [{"objectName": "password", "key": "pass"}],
        }]},
    })
}

/// The pod, as the API server has it.
fn pod(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": "web", "uid": uid},
        "spec": {"nodeName": "node-1", "volumes": [{"name": "secrets", "csi": {
            "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "db"}}}]},
        "status": {"phase": "Pending"},
    })
}

#[test]
fn a_secret_is_there_when_the_first_publish_answers_and_follows_a_rotation() {
    let mut scene = Scene::start(&["--enable-secret-rotation=true", "--rotation-poll-interval=0s"]);
    scene.world.api.put(class());
    let stored = scene.world.api.put(pod(""));
    scene.pod.uid = stored["metadata"]["uid"].as_str().unwrap().to_owned();
    scene.publish();
    let secret = scene.world.api.get(SECRET).unwrap_or_else(|| panic!("{}", scene.world.driver().log()));
    assert_eq!(secret["data"]["pass"], "b2xk");
    assert_eq!(secret["metadata"]["labels"]["env"], "test");
    assert_eq!(secret["metadata"]["ownerReferences"][0]["kind"], "SecretProviderClassPodStatus");
    scene.answer_with(answer("v2", &[("password", 0, b"new")]));
    scene.publish();
    eventually("the secret is new", || scene.world.api.get(SECRET).unwrap()["data"]["pass"] == "bmV3");
}
