//! What a refresh does to Secrets: what differs is written, and nothing else is even asked.

use std::fs;

use serde_json::{Value, json};

use api_server::Matcher;
use kit::eventually;
use kit::mirror::{DRIVER, Mirror, USER, encoded, object, value};
use kit::provider::versions_only;
use kit::scene::ALWAYS;

#[test]
fn a_rotation_is_one_write_of_the_secret_that_differs() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.answer_with("v1", &[("password", b"old"), ("user", b"root"), ("other", b"same")]);
    let objects = json!([
        object("db-secret", &[("password", "pass"), ("user", "name")]),
        object("other-secret", &[("other", "other"), ("user", "name")]),
    ]);
    mirror.class("db", objects);
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    let other = mirror.secret("other-secret");
    mirror.world.api.forget_requests();
    mirror.answer_with("v2", &[("password", b"new"), ("user", b"root"), ("other", b"same")]);
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
    assert_eq!(mirror.value("db-secret", "name").as_deref(), Some("root"));
    mirror.wait_until_asked(&["patch db-secret"]);
    mirror.pass_fence();
    mirror.wait_until_asked(&["patch db-secret"]);
    assert_eq!(mirror.secret("other-secret"), other);
    let count = mirror.world.count("sync_k8s_secret_total", &[("provider", "test")]);
    assert_eq!(count, 3.0, "what changes nothing is not counted");
}

#[test]
fn a_key_that_did_not_change_is_not_written_again() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.answer_with("v1", &[("password", b"old"), ("user", b"root")]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass"), ("user", "name")])]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    // Another node has rotated one key, this one now rotates the other.
    mirror.edit(DRIVER, "db-secret", |secret| secret["data"]["name"] = encoded("root"));
    mirror.answer_with("v2", &[("password", b"new"), ("user", b"root")]);
    let before = mirror.secret("db-secret");
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
    let after = mirror.secret("db-secret");
    assert_eq!((&after["data"]["name"], &after["type"]), (&before["data"]["name"], &before["type"]));
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    assert_eq!(after["metadata"]["ownerReferences"], before["metadata"]["ownerReferences"]);
}

#[test]
fn a_refresh_that_changes_nothing_asks_nothing_about_secrets_pods_or_classes() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    let secret = mirror.secret("db-secret");
    mirror.world.api.forget_requests();
    for _ in 0..10 {
        mirror.publish(&pod);
    }
    mirror.pass_fence();
    assert_eq!(mirror.secret("db-secret"), secret);
    mirror.wait_until_asked(&[]);
    let others = ["/secretproviderclasses", "/pods", "/secretproviderclasspodstatuses"];
    for seen in mirror.world.api.requests() {
        let is_for_fence = seen.path.contains("/namespaces/fence/");
        assert!(is_for_fence || !others.iter().any(|resource| seen.path.contains(resource)), "{seen:?}");
    }
}

#[test]
fn what_the_class_drops_goes_and_what_it_adds_comes() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.answer_with("v1", &[("password", b"old"), ("user", b"root")]);
    let mut before = object("db-secret", &[("password", "pass"), ("user", "name")]);
    before["labels"] = json!({"stays": "1", "goes": "1", "changes": "1"});
    before["annotations"] = json!({"goes": "1"});
    mirror.class("db", json!([before, object("dropped", &[("user", "name")])]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    mirror.edit(USER, "db-secret", |secret| secret["metadata"]["labels"]["foreign"] = json!("1"));

    let mut after = object("db-secret", &[("password", "pass"), ("password", "again")]);
    after["labels"] = json!({"stays": "1", "changes": "2", "comes": "1"});
    mirror.class("db", json!([after, object("added", &[("user", "name")])]));
    // The driver hears of the class by a watch, a moment later.
    eventually("the class has come through", || {
        mirror.publish(&pod);
        mirror.find("added").is_some()
    });
    mirror.wait_for("db-secret", "again", "old");
    mirror.pass_fence();
    let secret = mirror.secret("db-secret");
    assert_eq!(secret["data"], json!({"pass": encoded("old"), "again": encoded("old")}));
    let managed = "secrets-store.csi.k8s.io/managed";
    let labels = json!({"stays": "1", "changes": "2", "comes": "1", "foreign": "1", managed: "true"});
    assert_eq!(secret["metadata"]["labels"], labels);
    assert_eq!(secret["metadata"]["annotations"], Value::Null);
    assert_eq!(value(&mirror.secret("added"), "name").as_deref(), Some("root"));
    // It belongs to its owners now; nobody brings it back.
    assert_eq!(value(&mirror.secret("dropped"), "name").as_deref(), Some("root"));
    mirror.delete("dropped");
    mirror.pass_fence();
    assert_eq!(mirror.find("dropped"), None);
}

#[test]
fn a_class_that_asks_for_its_first_secret_gets_it_with_the_next_refresh() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.class("db", Value::Null);
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    eventually("the secret comes", || {
        mirror.publish(&pod);
        mirror.value("db-secret", "pass").as_deref() == Some("old")
    });
}

#[test]
fn what_a_provider_writes_itself_is_followed_although_nobody_says_that_it_changed() {
    let mirror = Mirror::start(&ALWAYS);
    let write = |content: &'static str| {
        mirror.provider.script(move |request| {
            fs::write(format!("{}/password", request.target_path), content).unwrap();
            Ok(versions_only("v1", &["password"]))
        });
    };
    write("first");
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("first"));
    mirror.settle();
    mirror.world.api.forget_requests();
    write("second");
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "second");
    mirror.publish(&pod);
    mirror.publish(&pod);
    write("third");
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "third");
    mirror.wait_until_asked(&["patch db-secret", "patch db-secret"]);
}

#[test]
fn a_refresh_that_fails_leaves_the_secret_as_it_is() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    let secret = mirror.secret("db-secret");
    mirror.answer_with("v2", &[("password", b"new"), ("../up", b"x")]);
    mirror.publish(&pod);
    mirror.pass_fence();
    assert_eq!(mirror.secret("db-secret"), secret);
}

#[test]
fn a_secret_follows_though_it_was_looked_at_while_the_pod_status_of_its_new_content_was_refused() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    let pod_statuses = Matcher::verb("update").and_path("/secretproviderclasspodstatuses/");
    mirror.world.api.fail_next(1, pod_statuses, 403, None);
    mirror.answer_with("v2", &[("password", b"new"), ("user", b"root")]);
    mirror.publish(&pod);
    assert_eq!(pod.read("password"), "new");
    // Somebody touches the Secret, so the driver compares it with the volume, which nobody has said to be newer.
    mirror.edit("somebody", "db-secret", |secret| secret["metadata"]["labels"]["of"] = json!("somebody"));
    mirror.pass_fence();
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
}

#[test]
fn a_secret_follows_though_the_pod_status_of_its_new_content_was_refused_at_first() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    let pod_statuses = Matcher::verb("update").and_path("/secretproviderclasspodstatuses/");
    mirror.world.api.fail_next(1, pod_statuses, 403, None);
    mirror.answer_with("v2", &[("password", b"new"), ("user", b"root")]);
    // Writes the volume, and is refused afterwards; the next one finds it written.
    mirror.publish(&pod);
    assert_eq!(pod.read("password"), "new");
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
}
