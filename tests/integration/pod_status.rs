//! The SecretProviderClassPodStatus of a volume: what the API server is told, and when.
//!
//! That a pod status which somebody deleted is made again ten minutes after it was last seen is not tested here: it
//! would take ten minutes.

use rpc::status::Code;
use serde_json::{Value, json};

use api_server::{Close, Matcher};
use kit::objects::pod_status_path;
use kit::provider::{ScriptedProvider, answer};
use kit::scene::{ALWAYS, HOURLY, Scene, new};
use kit::world::World;

const KIND: &str = "secretproviderclasspodstatuses";

fn stored(scene: &Scene) -> Value {
    let path = pod_status_path("default", "web", "db");
    scene
        .world
        .api
        .get(&path)
        .unwrap_or_else(|| panic!("no pod status, log:\n{}", scene.world.driver().log()))
}

/// How many requests wrote a pod status.
fn writes(scene: &Scene) -> usize {
    ["create", "update", "patch", "delete"].iter().map(|verb| scene.world.api.count(verb, KIND)).sum()
}

#[test]
fn a_volume_has_a_pod_status_with_its_node_its_pod_and_its_objects_in_order() {
    let scene = Scene::scripted(&[], |_| {
        let mut answer = answer("v1", &[("b", 0, b"x"), ("a", 0, b"x"), ("B", 0, b"x")]);
        answer.object_version[1].version = "v2".to_owned();
        Ok(answer)
    });
    scene.publish();
    let stored = stored(&scene);
    assert_eq!(stored["apiVersion"], "secrets-store.csi.x-k8s.io/v1");
    assert_eq!(stored["kind"], "SecretProviderClassPodStatus");
    assert_eq!(
        stored["metadata"]["labels"],
        json!({"internal.secrets-store.csi.k8s.io/node-name": "node-1"})
    );
    assert_eq!(
        stored["metadata"]["ownerReferences"],
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-web"}])
    );
    assert_eq!(
        stored["status"],
        json!({
            "podName": "web",
            "secretProviderClassName": "db",
            "mounted": true,
            "targetPath": scene.pod.target,
            "objects": [
                {"id": "B", "version": "v1"},
                {"id": "a", "version": "v2"},
                {"id": "b", "version": "v1"},
            ],
        })
    );
}

#[test]
fn nothing_is_asked_of_the_api_server_about_it_while_nothing_changes() {
    let scene = Scene::published(&ALWAYS);
    scene.world.api.forget_requests();
    for _ in 0..20 {
        scene.publish();
    }
    assert_eq!(scene.provider.calls(), 21);
    assert_eq!(writes(&scene), 0);
    assert_eq!(scene.world.api.count("get", KIND), 0);
}

#[test]
fn new_versions_are_written_once() {
    let scene = Scene::published(&ALWAYS);
    scene.world.api.forget_requests();
    scene.answer_with(new());
    for _ in 0..3 {
        scene.publish();
    }
    assert_eq!(stored(&scene)["status"]["objects"], json!([{"id": "password", "version": "v2"}]));
    assert_eq!((scene.world.api.count("update", KIND), writes(&scene)), (1, 1));
}

#[test]
fn after_a_restart_an_unchanged_pod_status_is_read_and_not_written() {
    let mut scene = Scene::published(&ALWAYS);
    scene.world.start_driver();
    scene.world.api.forget_requests();
    for _ in 0..3 {
        scene.publish();
    }
    assert_eq!(scene.world.api.count("update", KIND), 0);
    assert!(scene.world.api.count("get", KIND) <= 2);
}

#[test]
fn a_conflict_is_read_again_and_retried() {
    for conflicts in 1..=3 {
        let scene = Scene::published(&ALWAYS);
        scene.answer_with(new());
        scene.world.api.fail_next(conflicts, Matcher::verb("update").and_path(KIND), 409, None);
        scene.publish();
        assert_eq!(stored(&scene)["status"]["objects"][0]["version"], "v2", "{conflicts}");
        assert_eq!(scene.world.count("node_publish_error_total", &[]), 0.0, "{conflicts}");
    }
}

#[test]
fn conflicts_without_end_fail_a_first_publish_after_a_bounded_number_of_attempts() {
    let scene = Scene::published(&[]);
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    scene.answer_with(new());
    scene.world.api.fail_always(Matcher::verb("update").and_path(KIND), 409);
    let status = scene.world.kubelet.publish(&scene.pod).unwrap_err();
    assert_eq!(status.code, Code::Unknown, "{status}");
    let beginning = "failed to create secret provider class pod status for pod default/web, err: ";
    assert!(status.message.starts_with(beginning), "{status}");
    assert!((2..=10).contains(&scene.world.api.count("update", KIND)));
    assert!(!scene.pod.is_mounted());
    scene.world.api.clear_faults();
    scene.publish();
}

#[test]
fn a_create_whose_answer_was_lost_is_no_failure() {
    let scene = Scene::start(&[]);
    scene.world.api.close_next(1, Matcher::verb("create").and_path(KIND), Close::After);
    scene.publish();
    assert_eq!(stored(&scene)["status"]["mounted"], true);
}

#[test]
fn a_busy_api_server_is_asked_again() {
    let scene = Scene::start(&[]);
    scene.world.api.fail_next(2, Matcher::verb("create").and_path(KIND), 503, None);
    scene.publish();
    assert_eq!(stored(&scene)["status"]["mounted"], true);
}

#[test]
fn a_pod_status_of_another_node_is_taken_over_and_foreign_fields_stay() {
    let scene = Scene::start(&HOURLY);
    scene.world.api.put(json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {
            "name": "web-default-db",
            "namespace": "default",
            "labels": {"internal.secrets-store.csi.k8s.io/node-name": "node-0", "team": "blue"},
            "annotations": {"note": "mine"},
            "finalizers": ["example.com/hold"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-of-its-predecessor"}],
        },
        "status": {"podName": "web", "secretProviderClassName": "db", "mounted": true, "targetPath": "/elsewhere",
                   "objects": [{"id": "gone", "version": "v0"}]},
    }));
    scene.publish();
    let stored = stored(&scene);
    let metadata = &stored["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({"internal.secrets-store.csi.k8s.io/node-name": "node-1", "team": "blue"})
    );
    assert_eq!(
        (&metadata["annotations"]["note"], &metadata["finalizers"][0]),
        (&json!("mine"), &json!("example.com/hold"))
    );
    assert_eq!(
        metadata["ownerReferences"],
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-web"}])
    );
    assert_eq!(stored["status"]["objects"], json!([{"id": "password", "version": "v1"}]));
    assert_eq!(stored["status"]["targetPath"], json!(scene.pod.target));
}

#[test]
fn a_pod_status_without_labels_is_no_trouble() {
    for labels in [Value::Null, json!({})] {
        let scene = Scene::published(&ALWAYS);
        let mut bare = stored(&scene);
        bare["metadata"]["labels"] = labels.clone();
        bare["metadata"]["ownerReferences"] = Value::Null;
        scene.world.api.put(bare);
        scene.answer_with(new());
        scene.publish();
        assert_eq!(
            stored(&scene)["metadata"]["labels"],
            json!({"internal.secrets-store.csi.k8s.io/node-name": "node-1"}),
            "{labels}"
        );
        assert_eq!(stored(&scene)["status"]["objects"][0]["version"], "v2", "{labels}");
    }
}

#[test]
fn a_pod_status_that_vanished_is_made_again_with_the_next_change() {
    let scene = Scene::published(&ALWAYS);
    assert!(scene.world.api.delete(&pod_status_path("default", "web", "db")));
    scene.answer_with(new());
    scene.publish();
    assert_eq!(stored(&scene)["status"]["objects"][0]["version"], "v2");
}

#[test]
fn a_name_that_is_too_long_is_cut_and_stays_the_same() {
    let mut world = World::without_driver(&[]);
    let node = format!("{}.example.com", "node-".repeat(20));
    world.leave_out("--nodeid");
    world.add_flags(&[&format!("--nodeid={node}"), ALWAYS[0], ALWAYS[1]]);
    world.start_driver();
    let provider: ScriptedProvider = world.provider("test", |_| Ok(answer("v1", &[("a", 0, b"x")])));
    let mut pods = Vec::new();
    for class in ["db", "cache"] {
        world.class(class, "test", json!({"objects": "some"}));
        let mut pod = world.pod(&format!("web-{class}"), class);
        pod.name = "p".repeat(250);
        pods.push(pod);
    }
    for pod in pods.iter().chain(&pods) {
        world.kubelet.publish(pod).unwrap();
    }
    assert_eq!(provider.calls(), 4);
    let all = world.api.list(&format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/{KIND}"));
    assert_eq!(all.len(), 2, "one for each class, the second publish found the first one's");
    for status in all {
        let name = status["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253 && name.starts_with("ppp"), "{name}");
        let label =
            status["metadata"]["labels"]["internal.secrets-store.csi.k8s.io/node-name"].as_str().unwrap();
        assert!(label.len() <= 63 && label.starts_with("node-node-"), "{label}");
        assert_eq!(status["status"]["podName"], json!("p".repeat(250)));
    }
}
