//! What is mirrored is never said aloud: not in the log at its most talkative, not in an event or a metric, whatever
//! goes wrong with a Secret.

use serde_json::{Value, json};

use crate::secrecy::forms;
use api_server::Matcher;
use kit::mirror::{Mirror, USER, encoded, object};
use kit::scene::ALWAYS;

const FIRST: &str = "canary-first-content-of-a-mirrored-file-3d1f";
const NEXT: &str = "canary-next-content-of-a-mirrored-file-a902";
const THEIRS: &str = "canary-content-that-a-user-wrote-77be";
const KEY: &str = "Y2FuYXJ5LW9mLWEtYnJva2VuLWtleS00YzE2";
const CANARIES: [&str; 4] = [FIRST, NEXT, THEIRS, KEY];

#[test]
fn nothing_that_the_driver_says_holds_what_it_mirrors_in_text() {
    mirror_everything(&["-v=10"]);
}

#[test]
fn nothing_that_the_driver_says_holds_what_it_mirrors_in_json() {
    mirror_everything(&["-v=10", "--log-format-json=true"]);
}

/// Makes, changes, refuses and loses Secrets in every way there is, and looks at all that was said about it.
fn mirror_everything(flags: &[&str]) {
    let mut mirror = Mirror::start(&[&ALWAYS, flags].concat());
    let broken_key = format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n");
    let files = |content: &'static str, version: &str| {
        mirror.answer_with(version, &[("password", content.as_bytes()), ("key", broken_key.as_bytes())]);
    };
    let with = |name: &str, field: &str, value: Value| {
        let mut object = object(name, &[("password", "pass")]);
        object[field] = value;
        object
    };
    files(FIRST, "v1");
    let foreign = |name: &str, kind: &str, labels: Value| {
        mirror.world.api.put_as(
            USER,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": kind, "data": {"pass": encoded(THEIRS)},
                "metadata": {"namespace": "default", "name": name, "labels": labels},
            }),
        )
    };
    foreign("foreign", "Opaque", json!({}));
    foreign("other-type", "example.com/x", json!({"secrets-store.csi.k8s.io/managed": "true"}));
    let mut tls = object("tls", &[("password", "tls.crt"), ("key", "tls.key")]);
    tls["type"] = json!("kubernetes.io/tls");
    let mut key = object("tls-key", &[("key", "tls.key")]);
    key["type"] = json!("kubernetes.io/tls");
    let classes = [
        ("fine", object("fine", &[("password", "pass")])),
        ("foreign", object("foreign", &[("password", "pass")])),
        ("other-type", object("other-type", &[("password", "pass")])),
        ("tls", tls),
        ("tls-key", key),
        ("rejected", with("rejected", "labels", json!({"env": "two words"}))),
        ("rejected-type", with("rejected-type", "type", json!("kubernetes.io/dockerconfigjson"))),
        ("no-data", with("no-data", "data", json!([]))),
        ("no-file", object("no-file", &[("absent", "pass")])),
    ];
    let pods = classes.map(|(name, object)| {
        mirror.class(name, json!([object]));
        let pod = mirror.pod(name, name);
        mirror.publish(&pod);
        pod
    });
    assert_eq!(mirror.value("fine", "pass").as_deref(), Some(FIRST));
    mirror.settle();
    mirror.edit(USER, "fine", |secret| secret["data"]["pass"] = encoded(THEIRS));
    mirror.wait_for("fine", "pass", FIRST);

    // Answers to writes that echo what was written, are none, or are lost.
    let patch = || Matcher::verb("patch").and_path("/secrets/fine");
    for (number, code) in [401, 409, 422, 429, 500].into_iter().enumerate() {
        mirror.world.api.fail_next(1, patch(), code, None);
        files(if number % 2 == 0 { NEXT } else { FIRST }, &format!("round-{number}"));
        mirror.publish(&pods[0]);
        mirror.world.driver().wait_for_log("fine");
    }
    for body in
        [format!("{{\"data\":{{\"pass\":\"{}\"", encoded(NEXT)), format!("[\"{NEXT}\"]"), String::new()]
    {
        mirror.world.api.answer_next(1, patch(), 200, body);
    }
    mirror.delete("fine");
    for pod in &pods {
        mirror.publish(pod);
    }
    mirror.world.api.clear_faults();
    files(NEXT, "last");
    mirror.publish(&pods[0]);
    mirror.wait_for("fine", "pass", NEXT);
    for pod in &pods[1..] {
        mirror.event_for(&pod.name);
    }

    let mut said = vec![("/metrics", mirror.world.http_get("/metrics").1)];
    let log = mirror.world.take_driver().terminate();
    assert!(log.contains("call ended"), "not at its most talkative");
    assert!(log.contains("secret was created"), "{log}");
    said.push(("log", log));
    for collection in ["/api/v1/events", "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasspodstatuses"]
    {
        let stored = mirror.world.api.list(collection);
        assert!(!stored.is_empty(), "nothing at {collection}");
        said.push((collection, serde_json::to_string(&stored).unwrap()));
    }
    for canary in CANARIES {
        for (form, needle) in forms(canary) {
            for (place, text) in &said {
                let line = text.lines().find(|line| line.contains(&needle));
                assert!(line.is_none(), "{canary} as {form} in {place}: {}", line.unwrap_or_default());
            }
        }
    }
}
