//! What a Secret holds when the first publish answers.

use serde_json::{Value, json};

use kit::mirror::{Mirror, encoded, object, secret_path, value};
use kit::scene::ALWAYS;

/// A file of the fixtures for certificates and keys.
fn fixture(name: &str) -> String {
    let path = format!("{}/tests/golden/tls/{name}", kit::repository::ROOT);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_secret_of_a_class_is_there_when_the_first_publish_answers() {
    let mirror = Mirror::start(&[]);
    mirror.answer_with("v1", &[("user", b"root"), ("deep/down/password", b"hunter2")]);
    mirror.class(
        "db",
        json!([
            {
                "secretName": " login\n", "type": "kubernetes.io/basic-auth",
                "labels": {"env": "test"}, "annotations": {"example.com/note": "two words"},
                "data": [
                    {"objectName": "user", "key": "username"},
                    {"objectName": "deep/down/password", "key": "password"},
                ],
            },
            {"secretName": "plain", "type": " ", "data": [
                {"objectName": " user ", "key": " one "}, {"objectName": "user", "key": "other"},
            ]},
            object("third", &[("deep/down/password", "a_B-1.c")]),
        ]),
    );
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);

    let login = mirror.secret("login");
    assert_eq!(login["type"], "kubernetes.io/basic-auth");
    assert_eq!(login["data"], json!({"username": encoded("root"), "password": encoded("hunter2")}));
    let labels = json!({"env": "test", "secrets-store.csi.k8s.io/managed": "true"});
    assert_eq!(login["metadata"]["labels"], labels);
    assert_eq!(login["metadata"]["annotations"], json!({"example.com/note": "two words"}));
    let plain = mirror.secret("plain");
    assert_eq!(plain["type"], "Opaque");
    assert_eq!(plain["data"], json!({"one": encoded("root"), "other": encoded("root")}));
    assert_eq!(plain["metadata"]["labels"], json!({"secrets-store.csi.k8s.io/managed": "true"}));
    assert_eq!(plain["metadata"]["annotations"], Value::Null);
    assert_eq!(value(&mirror.secret("third"), "a_B-1.c").as_deref(), Some("hunter2"));

    let count = |family: &str, labels: &[(&str, &str)]| mirror.world.count(family, labels);
    let labels = [("provider", "test"), ("os_type", "linux")];
    for family in ["sync_k8s_secret_total", "total_sync_k8s_secret"] {
        assert_eq!(count(family, &labels), 3.0, "{family}");
    }
    assert_eq!(count("k8s_secret_duration_sec_count", &[("os_type", "linux")]), 3.0);
    assert_eq!(count("secrets_store_csi_sync_permitted", &[]), 1.0);
}

#[test]
fn no_class_can_take_the_mark_of_the_driver_off_its_secrets() {
    let mirror = Mirror::start(&[]);
    let mut object = object("db-secret", &[("password", "pass")]);
    object["labels"] = json!({"secrets-store.csi.k8s.io/managed": "false"});
    mirror.class("db", json!([object]));
    mirror.publish(&mirror.pod("web", "db"));
    assert_eq!(mirror.secret("db-secret")["metadata"]["labels"]["secrets-store.csi.k8s.io/managed"], "true");
}

#[test]
fn bytes_that_are_no_text_and_files_that_are_empty_arrive_as_they_are() {
    let mirror = Mirror::start(&[]);
    mirror.answer_with("v1", &[("bytes", &[0, 0xff, 0x80, b'\n']), ("empty", b"")]);
    mirror.class("db", json!([object("db-secret", &[("bytes", "bytes"), ("empty", "empty")])]));
    mirror.publish(&mirror.pod("web", "db"));
    assert_eq!(mirror.secret("db-secret")["data"], json!({"bytes": "AP+ACg==", "empty": ""}));
}

#[test]
fn certificates_and_their_key_are_told_apart_wherever_they_come_from() {
    let (leaf, ca) = (fixture("leaf.pem"), fixture("ca.pem"));
    let (wrapped, bare) = (fixture("rsa.pkcs8.pem"), fixture("rsa.pkcs1.pem"));
    let (curve_wrapped, curve) = (fixture("ec256.pkcs8.pem"), fixture("ec256.sec1.pem"));
    let bundle = format!("a chain\n{leaf}{wrapped}{ca}");
    let mirror = Mirror::start(&[]);
    mirror.answer_with(
        "v1",
        &[("bundle", bundle.as_bytes()), ("cert", leaf.as_bytes()), ("key", curve_wrapped.as_bytes())],
    );
    let tls = |name: &str, certificate: &str, key: &str| {
        let mut object = object(name, &[(certificate, "tls.crt"), (key, "tls.key")]);
        object["type"] = json!("kubernetes.io/tls");
        object
    };
    mirror.class("db", json!([tls("of-one-file", "bundle", "bundle"), tls("of-two-files", "cert", "key")]));
    mirror.publish(&mirror.pod("web", "db"));
    let rows = [("of-one-file", format!("{leaf}{ca}"), bare), ("of-two-files", leaf, curve)];
    for (name, certificates, key) in rows {
        let secret = mirror.secret(name);
        assert_eq!(secret["type"], "kubernetes.io/tls", "{name}");
        assert_eq!(value(&secret, "tls.crt"), Some(certificates), "{name}");
        assert_eq!(value(&secret, "tls.key"), Some(key), "{name}");
    }
}

#[test]
fn without_a_class_that_asks_for_one_nothing_is_ever_asked_about_secrets_or_pods() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.class("none", Value::Null);
    mirror.class("empty", json!([]));
    for (name, class) in [("one", "none"), ("other", "empty")] {
        let pod = mirror.pod(name, class);
        mirror.publish(&pod);
        mirror.publish(&pod);
        mirror.unpublish(&pod);
    }
    let requests = mirror.world.api.requests();
    let asked = requests.iter().find(|seen| seen.path.ends_with("/pods") || seen.path.ends_with("/secrets"));
    assert_eq!(asked, None);
    assert_eq!(mirror.world.metric("secrets_store_csi_sync_permitted"), None);
}

#[test]
fn each_namespace_has_secrets_of_its_own() {
    let mirror = Mirror::start(&[]);
    for (namespace, content) in [("default", "one"), ("team", "other")] {
        mirror.answer_with("v1", &[("password", content.as_bytes())]);
        mirror.class_in(namespace, "db", json!([object("db-secret", &[("password", "pass")])]));
        mirror.publish(&mirror.pod_with(namespace, &format!("web-{namespace}"), "db", json!([])));
    }
    for (namespace, content) in [("default", "one"), ("team", "other")] {
        let secret = mirror.world.api.get(&secret_path(namespace, "db-secret")).expect(namespace);
        assert_eq!(value(&secret, "pass").as_deref(), Some(content), "{namespace}");
    }
}

#[test]
fn a_publish_that_fails_makes_no_secret() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.answer_with("v1", &[("password", b"old"), ("../up", b"x")]);
    let pod = mirror.pod("web", "db");
    mirror.world.kubelet.publish(&pod).unwrap_err();
    assert_eq!(mirror.find("db-secret"), None);
    mirror.answer_with("v1", &[("password", b"old")]);
    mirror.publish(&pod);
    mirror.secret("db-secret");
}
