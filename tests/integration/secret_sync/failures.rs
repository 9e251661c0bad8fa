//! Secrets that cannot be made: the pod's owner reads what to change, the class's other Secrets are made, and the
//! volume is none the worse.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use api_server::Matcher;
use kit::mirror::{Mirror, SECRETS, object};
use kit::scene::ALWAYS;

/// A file of the fixtures for certificates and keys.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/tls/{name}", kit::repository::ROOT);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is wrong, the entry, what the pod's owner reads, and the reason that is counted.
type Row = (&'static str, Value, &'static str, &'static str);

/// Each row's class has a good entry as well; the pod of each is told exactly that.
fn assert_told(mirror: &Mirror, rows: Vec<Row>) {
    for (number, (name, entry, message, reason)) in rows.into_iter().enumerate() {
        let (class, good) = (format!("class-{number}"), format!("good-{number}"));
        let before = mirror.errors(reason);
        mirror.class(&class, json!([entry, object(&good, &[("password", "pass")])]));
        let pod = mirror.pod(&format!("pod-{number}"), &class);
        mirror.publish(&pod);
        assert_eq!(mirror.value(&good, "pass").as_deref(), Some("old"), "{name}: the other entry");
        assert_eq!(
            mirror.event_for(&pod.name),
            message.replace("CLASS", &format!("default/{class}")),
            "{name}"
        );
        assert!(mirror.errors(reason) > before, "{name}");
        assert!(!mirror.world.kubelet.condition(&pod).0, "{name}");
    }
}

#[test]
fn an_entry_that_breaks_a_rule_is_named_with_its_place_in_the_class() {
    let entry = |field: &str, value: Value| {
        let mut entry = object("bad", &[("password", "pass")]);
        entry[field] = value;
        entry
    };
    let item = |object: &str, key: &str| entry("data", json!([{"objectName": object, "key": key}]));
    let reason = "InvalidSecretObject";
    let rows: Vec<Row> = vec![
        (
            "no name",
            entry("secretName", json!("  ")),
            "secretObjects of class CLASS: could not read secretObjects[0]: secret name is empty",
            reason,
        ),
        (
            "a name that no object can have",
            entry("secretName", json!("Db_Secret")),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"Db_Secret\"): secret name is \
             not one of lower-case letters, digits, '-' and '.', beginning and ending with a letter or a digit \
             around each '.', 253 bytes at most",
            reason,
        ),
        (
            "no type",
            entry("type", json!("")),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): secret type is empty",
            reason,
        ),
        (
            "no data",
            entry("data", json!([])),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): data is empty",
            reason,
        ),
        (
            "no object",
            item(" ", "pass"),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): data[0]: object name \
             in secretObjects.data is empty",
            reason,
        ),
        (
            "no key",
            item("password", ""),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): data[0]: key in \
             secretObjects.data is empty",
            reason,
        ),
        (
            "a key that no Secret can have",
            item("password", "a/b"),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): data[0]: key \"a/b\" is \
             not one of letters, digits, '-', '_' and '.', not beginning with '..', 253 bytes at most",
            reason,
        ),
        (
            "a type that is a number",
            entry("type", json!(7)),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): type is not a string",
            reason,
        ),
        (
            "labels that are a list",
            entry("labels", json!(["a"])),
            "secretObjects of class CLASS: could not read secretObjects[0] (secret \"bad\"): labels is not an object",
            reason,
        ),
    ];
    let mirror = Mirror::start(&[]);
    assert_told(&mirror, rows);
    assert_eq!(mirror.find("bad"), None);
}

#[test]
fn of_two_entries_with_one_name_the_first_counts_and_the_pod_is_told() {
    let mirror = Mirror::start(&[]);
    let objects =
        json!([object("db-secret", &[("password", "a")]), object("db-secret", &[("password", "b")])]);
    mirror.class("db", objects);
    mirror.publish(&mirror.pod("web", "db"));
    assert_eq!(mirror.value("db-secret", "a").as_deref(), Some("old"));
    assert_eq!(mirror.value("db-secret", "b"), None);
    assert_eq!(
        mirror.event_for("web"),
        "secretObjects of class default/db: secret db-secret is named twice, the first entry is used"
    );
    assert_eq!(mirror.errors("InvalidSecretObject"), 1.0);
}

#[test]
fn files_that_do_not_make_the_secret_are_named_with_what_is_wrong_with_them() {
    let mirror = Mirror::start(&["--max-call-recv-msg-size=8000000"]);
    let (leaf, encrypted, archive) =
        (fixture("leaf.pem"), fixture("ec256.encrypted.pem"), fixture("archive.p12"));
    let (large, edwards) = (vec![b'x'; 700 << 10], fixture("ed25519.pem"));
    mirror.answer_with(
        "v1",
        &[
            ("password", b"old"),
            ("leaf", &leaf),
            ("encrypted", &encrypted),
            ("edwards", &edwards),
            ("archive", &archive),
            ("large", &large),
            ("dir/file", b"x"),
        ],
    );
    let tls = |certificate: &str, key: &str| {
        let mut entry = object("bad", &[(certificate, "tls.crt"), (key, "tls.key")]);
        entry["type"] = json!("kubernetes.io/tls");
        entry
    };
    let data = "SecretDataError";
    let rows: Vec<Row> = vec![
        (
            "no such file",
            object("bad", &[("absent", "pass")]),
            "failed to get data in spc CLASS for secret bad, err: file matching objectName absent not found in the pod",
            data,
        ),
        (
            "a directory",
            object("bad", &[("dir", "pass")]),
            "failed to get data in spc CLASS for secret bad, err: file matching objectName dir not found in the pod",
            data,
        ),
        (
            "more than a Secret can hold",
            object("bad", &[("large", "a"), ("large", "b")]),
            "failed to get data in spc CLASS for secret bad, err: the data has 1433600 bytes and a Secret can have \
             1048576: spread the files over several secretObjects",
            data,
        ),
        (
            "another key than those of a certificate",
            {
                let mut entry = tls("leaf", "leaf");
                entry["data"][1]["key"] = json!("ca.crt");
                entry
            },
            "failed to get data in spc CLASS for secret bad, err: key 'ca.crt' is not supported. Only 'tls.key' and \
             'tls.crt' are supported",
            data,
        ),
    ];
    assert_told(&mirror, rows);
    // What is wrong with a key is worded elsewhere; here it matters that it reaches the pod.
    let rows = [
        ("no-key", tls("leaf", "leaf"), "could not take tls.key from file leaf: "),
        ("no-certificate", tls("password", "leaf"), "could not take tls.crt from file password: "),
        ("encrypted", tls("leaf", "encrypted"), "could not take tls.key from file encrypted: "),
        ("edwards", tls("leaf", "edwards"), "could not take tls.key from file edwards: "),
        ("archive", tls("archive", "archive"), "could not take tls.crt from file archive: "),
        ("leads-out", object("bad", &[("../password", "pass")]), "failed to read file ../password, err: "),
    ];
    for (name, entry, text) in rows {
        mirror.class(name, json!([entry]));
        mirror.publish(&mirror.pod(name, name));
        let beginning = format!("failed to get data in spc default/{name} for secret bad, err: {text}");
        let message = mirror.event_for(name);
        assert!(message.starts_with(&beginning) && message.len() > beginning.len(), "{name}: {message}");
    }
    assert_eq!(mirror.find("bad"), None);
    assert!(mirror.errors("SecretDataError") >= 10.0);
}

#[test]
fn what_the_api_server_does_not_accept_is_told_by_its_field_and_reason() {
    let mirror = Mirror::start(&[]);
    let entry = |field: &str, value: Value| {
        let mut entry = object("bad", &[("password", "pass")]);
        entry[field] = value;
        entry
    };
    let rows = [
        (
            "label",
            entry("labels", json!({"env": "two words"})),
            "metadata.labels: Invalid value: \"two words\"",
        ),
        (
            "annotation",
            entry("annotations", json!({"two words": "x"})),
            "metadata.annotations: Invalid value",
        ),
        ("type", entry("type", json!("kubernetes.io/basic-auth")), "data[username]: Required value"),
    ];
    for (name, entry, text) in rows {
        mirror.class(name, json!([entry, object(&format!("good-{name}"), &[("password", "pass")])]));
        mirror.publish(&mirror.pod(name, name));
        assert_eq!(mirror.value(&format!("good-{name}"), "pass").as_deref(), Some("old"), "{name}");
        let message = mirror.event_for(name);
        let beginning = format!("secret bad of class default/{name} is not up to date: ");
        assert!(message.starts_with(&beginning) && message.contains(text), "{name}: {message}");
    }
    assert!(mirror.errors("SecretRejected") >= 3.0);
}

/// A refusal of the API server's with that code and message.
fn refusal(code: u16, message: &str) -> Vec<u8> {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message});
    status.to_string().into_bytes()
}

#[test]
fn a_refusal_that_may_pass_is_asked_about_again_within_seconds_and_the_pod_is_told() {
    let mirror = Mirror::start(&[]);
    let rows = [
        (
            "quota",
            403,
            "exceeded quota: count, requested: secrets=1, used: 10, limited: 10",
            "exceeded quota",
        ),
        ("namespace", 403, "because it is being terminated", "because it is being terminated"),
        ("webhook", 403, "admission webhook denied hunter2", "refused by a policy"),
        ("webhook-400", 400, "hunter2", "no further explanation"),
    ];
    // A list of Secrets that arrives has everything looked at.
    mirror.settle();
    for (name, code, message, told) in rows {
        mirror.world.api.forget_requests();
        let create = Matcher::verb("create").and_path(SECRETS);
        mirror.world.api.answer_next(2, create, code, refusal(code, message));
        mirror.class(name, json!([object(name, &[("password", "pass")])]));
        let begun = Instant::now();
        mirror.publish(&mirror.pod(name, name));
        mirror.wait_for(name, "pass", "old");
        // A second, two, and a quarter of each; the rest is for a slow machine.
        let taken = begun.elapsed();
        assert!(taken >= Duration::from_secs(3) && taken < Duration::from_secs(8), "{name}: {taken:?}");
        let look = [format!("get {name}"), "create secrets".to_owned()];
        mirror.wait_until_asked(&look.iter().cycle().take(6).map(String::as_str).collect::<Vec<_>>());
        let event = mirror.event_for(name);
        assert!(event.contains(told) && event.contains("it is tried again"), "{name}: {event}");
        assert_eq!(mirror.world.api.events_for(name).len(), 1, "{name}");
    }
}

#[test]
fn a_secret_that_people_must_change_is_not_asked_about_again_meanwhile() {
    let mirror = Mirror::start(&[]);
    let mut invalid = object("invalid", &[("password", "pass")]);
    invalid["type"] = json!("kubernetes.io/basic-auth");
    mirror.class_in("other", "invalid", json!([invalid]));
    mirror.settle();
    mirror.publish(&mirror.pod_with("other", "invalid", "invalid", json!([])));
    // Three times longer than the first pause of what is asked about again.
    let create = Matcher::verb("create").and_path(SECRETS);
    mirror.world.api.answer_next(2, create, 403, refusal(403, "exceeded quota: count"));
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    mirror.wait_for("db-secret", "pass", "old");
    assert_eq!(mirror.world.api.count("create", "/namespaces/other/secrets"), 1);
}

#[test]
fn a_key_that_becomes_unreadable_leaves_the_secret_with_the_last_good_one() {
    let (leaf, key) = (fixture("leaf.pem"), fixture("rsa.pkcs1.pem"));
    let mirror = Mirror::start(&ALWAYS);
    mirror.answer_with("v1", &[("cert", &leaf), ("key", &key)]);
    let mut tls = object("db-secret", &[("cert", "tls.crt"), ("key", "tls.key")]);
    tls["type"] = json!("kubernetes.io/tls");
    mirror.class("db", json!([tls]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    let good = mirror.secret("db-secret");
    mirror.answer_with("v2", &[("cert", &leaf), ("key", &key[..300])]);
    mirror.publish(&pod);
    assert!(mirror.event_for("web").contains("could not take tls.key from file key: "));
    mirror.pass_fence();
    assert_eq!(mirror.secret("db-secret"), good);
    mirror.answer_with("v3", &[("cert", &leaf), ("key", &fixture("ec256.sec1.pem"))]);
    mirror.publish(&pod);
    let next = String::from_utf8(fixture("ec256.sec1.pem")).unwrap();
    mirror.wait_for("db-secret", "tls.key", &next);
    mirror.world.driver().wait_for_log("secret is up to date again");
}

#[test]
fn a_class_that_is_mended_makes_its_secret_with_the_next_refresh() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.class("db", json!([object("db-secret", &[("absent", "pass")])]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    assert_eq!(mirror.find("db-secret"), None);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    kit::eventually("the secret comes", || {
        mirror.publish(&pod);
        mirror.value("db-secret", "pass").as_deref() == Some("old")
    });
}

#[test]
fn a_publish_answers_while_secrets_hang_and_they_come_when_the_api_server_is_back() {
    let mirror = Mirror::start(&[]);
    let objects = json!([object("one", &[("password", "pass")]), object("two", &[("password", "pass")])]);
    mirror.class("db", objects);
    let pod = mirror.pod("web", "db");
    mirror.world.api.hang(Matcher::path(SECRETS));
    let begun = Instant::now();
    mirror.publish(&pod);
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(7), "{taken:?}");
    assert_eq!(pod.read("password"), "old");
    mirror.world.api.clear_faults();
    mirror.wait_for("one", "pass", "old");
    mirror.wait_for("two", "pass", "old");
    mirror.world.driver().wait_for_log("could not bring a secret up to date");
    assert_eq!(
        mirror.world.api.events_for("web").len(),
        0,
        "an outage is nothing that a pod's owner can mend"
    );
    assert!(mirror.errors("APIServerError") >= 1.0);
}

#[test]
fn a_server_that_asks_for_patience_gets_it_and_the_secret_is_there_all_the_same() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.world.api.fail_next(2, Matcher::verb("create").and_path(SECRETS), 429, Some(1));
    let begun = Instant::now();
    mirror.publish(&mirror.pod("web", "db"));
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    mirror.wait_until_asked(&["get db-secret", "create secrets", "create secrets", "create secrets"]);
    assert_eq!(mirror.world.count("secrets_store_csi_sync_errors_total", &[]), 0.0);
}

#[test]
fn an_answer_that_is_lost_makes_no_second_secret_and_no_failure() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    let patch = Matcher::verb("patch").and_path("/secrets/db-secret");
    mirror.world.api.close_next(1, patch, api_server::Close::After);
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
    let create = Matcher::verb("create").and_path(SECRETS);
    mirror.world.api.close_next(1, create, api_server::Close::After);
    mirror.class("other", json!([object("other", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("other", "other"));
    assert_eq!(mirror.value("other", "pass").as_deref(), Some("new"));
    mirror.pass_fence();
    assert_eq!(mirror.world.count("secrets_store_csi_sync_errors_total", &[]), 0.0);
    assert_eq!(mirror.world.api.events_for("web").len() + mirror.world.api.events_for("other").len(), 0);
}
