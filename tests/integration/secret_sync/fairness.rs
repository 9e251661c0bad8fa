//! Namespaces beside one that asks for more than its due: whose Secrets are fresh, whose pods start, what the log says.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use api_server::Matcher;
use kit::eventually;
use kit::mirror::{Mirror, object, secret_path};
use kit::scene::ALWAYS;

/// A namespace that asks for too much.
const GREEDY: &str = "greedy";
/// And others that do.
const ALL_GREEDY: [&str; 3] = [GREEDY, "greedier", "greediest"];

/// A class of such a namespace with so many Secrets.
fn greedy_class(mirror: &Mirror, namespace: &str, name: &str, secrets: usize) {
    let objects = (0..secrets).map(|number| object(&format!("{name}-{number}"), &[("password", "pass")]));
    mirror.class_in(namespace, name, objects.collect());
}

fn made(mirror: &Mirror) -> usize {
    let of = |namespace| mirror.world.api.list(&format!("/api/v1/namespaces/{namespace}/secrets")).len();
    ALL_GREEDY.into_iter().map(of).sum()
}

#[test]
fn a_rotation_reaches_its_secret_while_thousands_of_other_namespaces_wait() {
    const MANY: usize = 3000;
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    // As if each request went to a real API server: they take minutes.
    mirror.world.api.set_latency(Duration::from_millis(20));
    for (namespace, class) in ALL_GREEDY.into_iter().flat_map(|of| [(of, "one"), (of, "other")]) {
        greedy_class(&mirror, namespace, class, MANY / 6);
        mirror.publish(&mirror.pod_with(namespace, class, class, json!([])));
    }
    for version in ["a", "b", "c"] {
        mirror.answer_with(version, &[("password", version.as_bytes())]);
        mirror.publish(&pod);
        let begun = Instant::now();
        mirror.wait_for("db-secret", "pass", version);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(made(&mirror) < MANY, "nobody would have had to wait");
    }
    let before = made(&mirror);
    eventually("the others are made as well", || made(&mirror) > before);
    let failed = mirror.errors("APIServerError");
    assert!(failed <= 6.0, "a publish tries what it has time for, and {failed} times it had none");
    let log = mirror.world.driver().log();
    let complaints = log.lines().filter(|line| line.contains("could not bring a secret up to date")).count();
    assert!(complaints <= 6, "of each class that has too many for its publish: {complaints} lines");
}

#[test]
fn a_class_whose_secrets_all_fail_has_one_line_in_the_log() {
    // As many as are looked at of one class.
    const MANY: usize = 128;
    let mirror = Mirror::start(&[]);
    let invalid =
        br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"is invalid","code":422}"#;
    let create = Matcher::verb("create").and_path(&format!("/namespaces/{GREEDY}/secrets"));
    mirror.world.api.answer_next(10 * MANY, create, 422, invalid.to_vec());
    greedy_class(&mirror, GREEDY, "invalid", MANY);
    mirror.publish(&mirror.pod_with(GREEDY, "web", "invalid", json!([])));
    let path = format!("/namespaces/{GREEDY}/secrets");
    eventually("each was tried", || mirror.world.api.count("create", &path) >= MANY);
    mirror.settle();
    let lines = || {
        let log = mirror.world.driver().log();
        log.lines().filter(|line| line.contains("could not bring a secret up to date")).count()
    };
    assert_eq!(lines(), 1, "log:\n{}", mirror.world.driver().log());
    assert!(mirror.errors("SecretRejected") >= MANY as f64);
    // Another class is another matter.
    greedy_class(&mirror, GREEDY, "another", 2);
    mirror.publish(&mirror.pod_with(GREEDY, "next", "another", json!([])));
    assert_eq!(lines(), 2);
}

#[test]
fn pods_of_one_namespace_whose_secrets_hang_keep_no_other_pod_waiting() {
    const PODS: usize = 60;
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let mine = mirror.pod("mine", "db");
    mirror.settle();
    mirror.world.api.hang(Matcher::path(&format!("/namespaces/{GREEDY}/secrets")));
    let pods: Vec<_> = (0..PODS)
        .map(|number| {
            let name = format!("hangs-{number}");
            greedy_class(&mirror, GREEDY, &name, 3);
            mirror.pod_with(GREEDY, &name, &name, json!([]))
        })
        .collect();
    let start = Barrier::new(PODS + 1);
    thread::scope(|scope| {
        for pod in &pods {
            let (mirror, start) = (&mirror, &start);
            let publish = move || {
                start.wait();
                mirror.publish(pod);
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, publish).unwrap();
        }
        start.wait();
        eventually("all of them wait for their Secrets", || pods.iter().all(|pod| pod.is_mounted()));
        let begun = Instant::now();
        mirror.publish(&mine);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        let secret: Option<Value> = mirror.world.api.get(&secret_path("default", "db-secret"));
        assert!(secret.is_some(), "its Secret is there before it starts");
        assert_eq!(made(&mirror), 0, "the others still hang");
    });
    mirror.world.api.clear_faults();
}
