//! Warning events on pods, and what is never in them nor anywhere else that people can read.

use rpc::status::{Code, Status};
use serde_json::json;

use api_server::Matcher;
use kit::eventually;
use kit::objects::class_path;
use kit::provider::answer;
use kit::scene::{ALWAYS, Scene};
use kit::tokens::{TOKENS, bound_to};

#[test]
fn a_pod_that_cannot_start_is_told_why() {
    let scene = Scene::start(&[]);
    scene.world.api.delete(&class_path("default", "db"));
    let status = scene.world.kubelet.publish(&scene.pod).unwrap_err();
    eventually("the pod is told", || scene.world.api.events_for("web").len() == 1);
    let event = scene.world.api.events_for("web").remove(0);
    assert_eq!(event["metadata"]["namespace"], "default");
    assert_eq!(
        event["involvedObject"],
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web", "uid": "uid-web"})
    );
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("SecretsStorePublishFailed")));
    assert_eq!(event["message"], status.message);
    assert!(status.message.starts_with("failed to get secretproviderclass default/db"), "{status}");
    assert!(status.message.ends_with("not found"), "{status}");
    assert_eq!(event["source"], json!({"component": "secrets-store-csi-driver", "host": "node-1"}));
    assert_eq!((&event["count"], &event["firstTimestamp"]), (&json!(1), &event["lastTimestamp"]));
}

#[test]
fn the_same_news_is_told_once_and_other_pods_are_told_too() {
    let scene = Scene::scripted(&[], |_| Err(Status::new(Code::Internal, "no")));
    for _ in 0..5 {
        scene.world.kubelet.publish(&scene.pod).unwrap_err();
    }
    scene.world.class("other", "absent", json!({"objects": "some"}));
    let other = scene.world.pod("other", "other");
    scene.world.kubelet.publish(&other).unwrap_err();
    // One thread posts them in order: what was queued before is there by now.
    eventually("the other pod is told", || scene.world.api.events_for("other").len() == 1);
    assert_eq!(scene.world.api.events_for("web").len(), 1);
    assert_eq!(scene.world.count("secrets_store_csi_events_dropped_total", &[]), 4.0);
}

#[test]
fn a_pod_that_starts_is_told_nothing() {
    let scene = Scene::published(&ALWAYS);
    scene.publish();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    let Scene { world, .. } = &scene;
    let other = world.pod("other", "missing");
    world.kubelet.publish(&other).unwrap_err();
    eventually("the other pod is told", || world.api.events_for("other").len() == 1);
    assert_eq!(world.api.events_for("web").len(), 0);
}

#[test]
fn an_event_that_cannot_be_posted_fails_nothing_else() {
    let scene = Scene::start(&[]);
    scene.world.api.fail_always(Matcher::verb("create").and_path("/events"), 403);
    scene.world.api.delete(&class_path("default", "db"));
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    eventually("the event is counted as dropped", || {
        scene.world.count("secrets_store_csi_events_dropped_total", &[]) == 1.0
    });
    scene.world.class("db", "test", json!({"objects": "some"}));
    scene.publish();
}

#[test]
fn a_queued_event_is_posted_before_the_driver_ends() {
    let mut scene = Scene::start(&[]);
    scene.world.api.delete(&class_path("default", "db"));
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    scene.world.take_driver().terminate();
    assert_eq!(scene.world.api.events_for("web").len(), 1);
}

#[test]
fn no_secret_is_ever_said_aloud() {
    const SECRETS: [&str; 5] =
        ["s3cr3t-c0ntent", "s3cr3t-n3w-c0ntent", "s3cr3t-t0ken", "s3cr3t-cl13nt", "s3cr3t-attr1bute"];
    let [content, new_content, token, client, attribute] = SECRETS;
    let mut scene = Scene::start(&[ALWAYS[0], ALWAYS[1], "-v=10", "--volume-size-limit=64Ki"]);
    scene.world.class("db", "test", json!({"objects": attribute, "tenant": "blue"}));
    let tokens = bound_to(&scene.pod.uid, token);
    for key in [TOKENS, "clientsecret"] {
        scene
            .pod
            .secrets
            .insert(key.to_owned(), if key == "clientsecret" { client.to_owned() } else { tokens.clone() });
    }
    scene.pod.attributes.insert(TOKENS.to_owned(), tokens);
    scene.pod.attributes.insert("tenant".to_owned(), attribute.to_owned());

    // Success, every kind of failure that has a payload in hand, a refresh, and the end.
    let full = vec![b'x'; 128 << 10];
    scene.answer_with(answer("v1", &[("../up", 0, content.as_bytes())]));
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    scene.answer_with(answer("v1", &[("password", 0, content.as_bytes()), ("full", 0, &full)]));
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    scene.answer_with(answer("v1", &[("password", 0, content.as_bytes())]));
    scene.publish();
    assert_eq!(scene.pod.read("password"), content);
    scene.answer_with(answer("v2", &[("password", 0, new_content.as_bytes()), ("full", 0, &full)]));
    scene.publish();
    scene.provider.script(|_| Err(Status::new(Code::Internal, "no")));
    scene.publish();
    scene.answer_with(answer("v2", &[("password", 0, new_content.as_bytes())]));
    scene.publish();
    assert_eq!(scene.pod.read("password"), new_content);
    let condition = scene.world.kubelet.condition(&scene.pod).1;
    let (_, metrics) = scene.world.http_get("/metrics");
    scene.world.kubelet.unpublish(&scene.pod).unwrap();

    let log = scene.world.take_driver().terminate();
    assert!(log.contains("call ended"), "the test reads the most talkative log:\n{log}");
    let events = json!(scene.world.api.list("/api/v1/events")).to_string();
    let pod_statuses =
        json!(scene.world.api.list("/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasspodstatuses"))
            .to_string();
    assert!(
        events.contains("SecretsStorePublishFailed") && pod_statuses.contains("web"),
        "there is something to look at"
    );
    for (place, text) in [
        ("log", &log),
        ("events", &events),
        ("pod status", &pod_statuses),
        ("metrics", &metrics),
        ("condition", &condition),
    ] {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in the {place}:\n{text}");
        }
    }
}
