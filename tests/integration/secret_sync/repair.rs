//! What users do to Secrets that the driver keeps, and to those that it must not touch.

use serde_json::{Value, json};

use kit::eventually;
use kit::mirror::{DRIVER, Mirror, USER, encoded, object, owners, secret_path};

const MANAGED: &str = "secrets-store.csi.k8s.io/managed";

/// A Secret of that name and type which a user made.
fn foreign(mirror: &Mirror, name: &str, kind: &str, labels: Value) {
    mirror.world.api.put_as(
        USER,
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"namespace": "default", "name": name, "labels": labels},
            "data": {"mine": encoded("precious")},
        }),
    );
}

#[test]
fn a_secret_that_a_user_deletes_comes_back_while_a_pod_needs_it() {
    let (mirror, pod) = Mirror::published(&[]);
    mirror.settle();
    let uid = mirror.secret("db-secret")["metadata"]["uid"].clone();
    mirror.delete("db-secret");
    mirror.wait_for("db-secret", "pass", "old");
    assert_ne!(mirror.secret("db-secret")["metadata"]["uid"], uid);
    assert_eq!(owners(&mirror.secret("db-secret")), ["web-default-db"]);
    mirror.unpublish(&pod);
    mirror.delete("db-secret");
    mirror.pass_fence();
    assert_eq!(mirror.find("db-secret"), None, "nobody needs it any longer");
}

#[test]
fn what_a_user_changes_in_a_secret_is_put_right() {
    let mirror = Mirror::start(&[]);
    mirror.answer_with("v1", &[("password", b"old"), ("user", b"root")]);
    let content = |secret: &Value| {
        let metadata = &secret["metadata"];
        let owners = owners(secret).len();
        [&secret["data"], &metadata["labels"], &metadata["annotations"], &json!(owners)].map(Value::clone)
    };
    type Change = fn(&mut Value);
    let table: [(&str, Change); 7] = [
        ("a value", |secret| secret["data"]["pass"] = encoded("guessed")),
        ("a key gone", |secret| drop(secret["data"].as_object_mut().unwrap().remove("name"))),
        ("no data at all", |secret| secret["data"] = json!({})),
        ("a label", |secret| secret["metadata"]["labels"]["env"] = json!("production")),
        ("a label gone", |secret| drop(secret["metadata"]["labels"].as_object_mut().unwrap().remove("env"))),
        ("an annotation", |secret| secret["metadata"]["annotations"]["note"] = json!("theirs")),
        ("no owner", |secret| secret["metadata"]["ownerReferences"] = json!([])),
    ];
    // Each in a Secret of its own: what is changed again and again is put right ever later.
    let secret = |number: usize| format!("db-secret-{number}");
    for number in 0..table.len() {
        let mut object = object(&secret(number), &[("password", "pass"), ("user", "name")]);
        object["labels"] = json!({"env": "test"});
        object["annotations"] = json!({"note": "ours"});
        mirror.class(&format!("db-{number}"), json!([object]));
        mirror.publish(&mirror.pod(&format!("web-{number}"), &format!("db-{number}")));
    }
    mirror.settle();
    let whole = content(&mirror.secret(&secret(0)));
    for (number, (name, change)) in table.into_iter().enumerate() {
        mirror.edit(USER, &secret(number), change);
        let is_whole = || content(&mirror.secret(&secret(number))) == whole;
        eventually(&format!("it is put right: {name}"), is_whole);
    }
    // What is put right is the driver's own again, so that nobody writes back and forth.
    mirror.pass_fence();
    mirror.world.api.forget_requests();
    mirror.pass_fence();
    mirror.wait_until_asked(&[]);
}

#[test]
fn labels_annotations_and_owners_of_others_stay() {
    let (mirror, pod) = Mirror::published(&["--enable-secret-rotation", "--rotation-poll-interval=0"]);
    mirror.settle();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "7"});
    mirror.edit(USER, "db-secret", |secret| {
        secret["metadata"]["labels"]["team"] = json!("blue");
        secret["metadata"]["annotations"] = json!({"note": "mine"});
        secret["metadata"]["ownerReferences"].as_array_mut().unwrap().push(owner.clone());
    });
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
    let metadata = mirror.secret("db-secret")["metadata"].clone();
    assert_eq!(
        (&metadata["labels"]["team"], &metadata["annotations"]["note"]),
        (&json!("blue"), &json!("mine"))
    );
    assert_eq!(metadata["ownerReferences"][1], owner);
}

#[test]
fn a_secret_that_nobody_handed_over_is_never_written_until_its_owner_labels_it() {
    for (name, labels) in [("no labels", json!({})), ("the label says no", json!({MANAGED: "false"}))] {
        let mirror = Mirror::start(&["--enable-secret-rotation", "--rotation-poll-interval=0"]);
        foreign(&mirror, "db-secret", "Opaque", labels);
        let untouched = mirror.secret("db-secret");
        mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
        let pod = mirror.pod("web", "db");
        mirror.publish(&pod);
        mirror.settle();
        mirror.answer_with("v2", &[("password", b"new")]);
        mirror.publish(&pod);
        mirror.pass_fence();
        assert_eq!(mirror.secret("db-secret"), untouched, "{name}");
        assert_eq!(pod.read("password"), "new", "{name}");
        let message = mirror.event_for("web");
        assert_eq!(
            message,
            "secret db-secret of class default/db is not up to date: it exists and is not managed by this driver; \
             label it secrets-store.csi.k8s.io/managed=true to hand it over, or give another secretName",
            "{name}"
        );
        assert_eq!(mirror.world.api.events_for("web").len(), 1, "{name}");
        assert!(mirror.errors("SecretNotManaged") >= 1.0, "{name}");

        mirror.edit(USER, "db-secret", |secret| {
            secret["metadata"]["labels"] = json!({MANAGED: "true", "team": "blue"});
        });
        mirror.wait_for("db-secret", "pass", "new");
        eventually("it has an owner", || owners(&mirror.secret("db-secret")) == ["web-default-db"]);
        let handed_over = mirror.secret("db-secret");
        assert_eq!(
            handed_over["data"]["mine"], untouched["data"]["mine"],
            "{name}: what it had beside stays"
        );
        assert_eq!(handed_over["metadata"]["labels"]["team"], "blue", "{name}");
    }
}

#[test]
fn a_secret_that_loses_the_label_is_left_alone_from_then_on() {
    let (mirror, pod) = Mirror::published(&["--enable-secret-rotation", "--rotation-poll-interval=0"]);
    mirror.settle();
    mirror.edit(USER, "db-secret", |secret| {
        secret["metadata"]["labels"] = json!({});
        secret["data"]["pass"] = encoded("mine now");
    });
    let taken = mirror.secret("db-secret");
    assert!(mirror.event_for("web").contains("not managed by this driver"));
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    mirror.pass_fence();
    assert_eq!(mirror.secret("db-secret"), taken);
}

#[test]
fn where_a_secret_of_another_is_removed_the_next_pod_has_its_own() {
    let mirror = Mirror::start(&[]);
    foreign(&mirror, "db-secret", "Opaque", json!({}));
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    mirror.settle();
    mirror.delete("db-secret");
    mirror.publish(&mirror.pod("next", "db"));
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
}

#[test]
fn a_secret_of_another_type_is_named_and_left_alone_until_it_is_gone() {
    let mirror = Mirror::start(&[]);
    foreign(&mirror, "db-secret", "example.com/mine", json!({MANAGED: "true"}));
    let untouched = mirror.secret("db-secret");
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    mirror.settle();
    assert_eq!(mirror.secret("db-secret"), untouched);
    assert_eq!(
        mirror.event_for("web"),
        "secret db-secret of class default/db is not up to date: it exists with type \"example.com/mine\", which \
         cannot be changed; delete it, or adapt the class"
    );
    assert!(mirror.errors("SecretOfOtherType") >= 1.0);
    mirror.delete("db-secret");
    mirror.wait_for("db-secret", "pass", "old");
}

#[test]
fn a_secret_that_is_immutable_stays_and_the_pod_is_told() {
    let (mirror, pod) = Mirror::published(&["--enable-secret-rotation", "--rotation-poll-interval=0"]);
    mirror.settle();
    mirror.edit(USER, "db-secret", |secret| secret["immutable"] = json!(true));
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    assert_eq!(pod.read("password"), "new");
    let message = mirror.event_for("web");
    assert!(message.contains("secret db-secret") && message.contains("immutable"), "{message}");
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
    assert!(mirror.errors("SecretRejected") >= 1.0);
    mirror.delete("db-secret");
    mirror.wait_for("db-secret", "pass", "new");
}

#[test]
fn what_a_driver_elsewhere_creates_in_between_is_no_failure() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    // Found missing, then created by somebody else before this driver does.
    let gone = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","code":404}"#;
    let get = api_server::Matcher::verb("get").and_path(&secret_path("default", "db-secret"));
    mirror.world.api.answer_next(1, get, 404, gone.to_vec());
    mirror.world.api.put_as(
        DRIVER,
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"namespace": "default", "name": "db-secret", "labels": {MANAGED: "true"}},
            "data": {"pass": encoded("theirs")},
        }),
    );
    mirror.publish(&mirror.pod("web", "db"));
    assert_eq!(
        mirror.value("db-secret", "pass").as_deref(),
        Some("old"),
        "this node's content is the newer one"
    );
    eventually("it has an owner", || owners(&mirror.secret("db-secret")) == ["web-default-db"]);
    assert_eq!(mirror.world.count("secrets_store_csi_sync_errors_total", &[]), 0.0);
}
