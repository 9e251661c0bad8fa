//! Clusters where the driver may not touch Secrets: volumes do not notice, and the one who can give the permission
//! learns what is missing.

use std::time::{Duration, Instant};

use serde_json::json;

use api_server::Matcher;
use kit::eventually;
use kit::mirror::{Mirror, object, secret_path, value};
use kit::scene::ALWAYS;
use kit::world::Pod;

/// What everybody concerned is to read.
const MISSING: &str = "the driver's service account may not list, watch, create and patch Secrets: bind it to \
                       ClusterRole secretprovidersyncing-role (Helm: syncSecret.enabled=true)";
const PERMITTED: &str = "secrets_store_csi_sync_permitted";

/// Pods of a class with two Secrets, published.
fn pods(mirror: &Mirror, names: &[&str]) -> Vec<Pod> {
    let objects = json!([object("one", &[("password", "pass")]), object("two", &[("password", "pass")])]);
    mirror.class("db", objects);
    let pods: Vec<Pod> = names.iter().map(|name| mirror.pod(name, "db")).collect();
    for pod in &pods {
        mirror.publish(pod);
    }
    pods
}

/// Each pod has had the one event.
fn assert_each_is_told_once(mirror: &Mirror, pods: &[Pod]) {
    for pod in pods {
        let message = mirror.event_for(&pod.name);
        assert_eq!(message, format!("class default/db asks for Kubernetes Secrets, but {MISSING}"));
    }
    for pod in pods {
        assert_eq!(mirror.world.api.events_for(&pod.name).len(), 1, "{}", pod.name);
    }
}

#[test]
fn without_the_role_volumes_are_mounted_and_refreshed_as_if_nobody_had_asked_for_secrets() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.world.api.deny("*", "secrets");
    let pods = pods(&mirror, &["a", "b", "c"]);
    mirror.answer_with("v2", &[("password", b"new")]);
    for _ in 0..5 {
        for pod in &pods {
            mirror.publish(pod);
            assert_eq!(pod.read("password"), "new");
            assert!(!mirror.world.kubelet.condition(pod).0);
        }
    }
    assert_each_is_told_once(&mirror, &pods);
    assert_eq!(mirror.world.metric(PERMITTED), Some(0.0));
    assert!(mirror.errors("Forbidden") >= 1.0);
    eventually("the list is asked for", || mirror.world.api.count("list", "v1/secrets") == 1);
    assert!(mirror.asked().len() <= 1, "one question stands for all: {:?}", mirror.asked());
    assert_eq!(mirror.world.driver().count_log(MISSING), 1);
    pods.iter().for_each(|pod| mirror.unpublish(pod));
    assert_eq!(mirror.world.driver().count_log("E1"), 0, "{}", mirror.world.driver().log());
}

#[test]
fn where_secrets_may_be_written_but_not_listed_nothing_goes_on_without_the_list() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.world.api.deny("list", "secrets");
    let pods = pods(&mirror, &["a", "b"]);
    eventually("it is found out", || mirror.world.metric(PERMITTED) == Some(0.0));
    mirror.world.api.forget_requests();
    mirror.answer_with("v2", &[("password", b"new")]);
    pods.iter().for_each(|pod| mirror.publish(pod));
    let late = mirror.pod("late", "db");
    mirror.publish(&late);
    let message = mirror.event_for("late");
    assert!(message.contains(MISSING), "{message}");
    assert_eq!(mirror.asked(), Vec::<String>::new());
    assert_eq!(mirror.world.api.count("list", "v1/secrets"), 0, "it is asked for each minute");
    assert_eq!(mirror.world.metric(PERMITTED), Some(0.0));
}

#[test]
fn a_namespace_where_secrets_may_not_be_written_costs_the_others_nothing() {
    let mirror = Mirror::start(&ALWAYS);
    for verb in ["create", "patch"] {
        let closed = Matcher::verb(verb).and_path("/namespaces/closed/secrets");
        mirror.world.api.fail_always(closed, 403);
    }
    let class =
        json!([object("db-secret", &[("password", "pass")]), object("other", &[("password", "pass")])]);
    let [closed, open] = ["closed", "open"].map(|namespace| {
        mirror.class_in(namespace, "db", class.clone());
        let pod = mirror.pod_with(namespace, namespace, "db", json!([]));
        mirror.publish(&pod);
        pod
    });
    assert!(mirror.event_for("closed").contains(MISSING));
    mirror.settle();
    mirror.world.api.forget_requests();
    for round in ["second", "third", "fourth"] {
        mirror.answer_with(round, &[("password", round.as_bytes())]);
        mirror.publish(&closed);
        mirror.publish(&open);
        assert_eq!(closed.read("password"), round);
        eventually("the open namespace has it", || {
            let secret = mirror.world.api.get(&secret_path("open", "db-secret"));
            secret.and_then(|secret| value(&secret, "pass")).as_deref() == Some(round)
        });
    }
    let asked = mirror
        .world
        .api
        .requests()
        .into_iter()
        .filter(|seen| seen.path.contains("/namespaces/closed/secrets"));
    assert_eq!(asked.collect::<Vec<_>>(), [], "it is asked again after a minute");
    assert_eq!(mirror.world.driver().count_log(MISSING), 1);
    assert_eq!(mirror.world.metric(PERMITTED), Some(0.0), "it is not permitted everywhere");
    assert_eq!(mirror.world.api.events_for("closed").len(), 1);
    assert_eq!(mirror.world.api.events_for("open").len(), 0);

    // With the last pod that cannot have its Secret, the trouble is gone too.
    mirror.unpublish(&closed);
    mirror.answer_with("fifth", &[("password", b"fifth")]);
    mirror.publish(&open);
    eventually("it is permitted wherever it is needed", || mirror.world.metric(PERMITTED) == Some(1.0));
}

#[test]
fn secrets_appear_by_themselves_within_a_minute_or_so_after_the_permission_is_given() {
    let mirror = Mirror::start(&[]);
    mirror.world.api.deny("*", "secrets");
    let pods = pods(&mirror, &["a", "b"]);
    eventually("the list is refused", || mirror.world.api.count("list", "v1/secrets") == 1);
    let refused = Instant::now();
    mirror.world.api.allow("*", "secrets");
    let is_there = mirror.world.api.wait(Duration::from_secs(90), |_| {
        ["one", "two"].iter().all(|name| mirror.value(name, "pass").as_deref() == Some("old"))
    });
    assert!(is_there, "{}", mirror.world.driver().log());
    assert!(refused.elapsed() > Duration::from_secs(55), "the API server is left alone meanwhile");
    assert!(refused.elapsed() < Duration::from_secs(70), "{:?}", refused.elapsed());
    assert_eq!(mirror.world.metric(PERMITTED), Some(1.0));
    mirror.world.driver().wait_for_log("secrets may be written again");
    assert_eq!(mirror.world.driver().count_log(MISSING), 1);
    for pod in pods {
        let events = mirror.world.api.events_for(&pod.name);
        assert!(events.len() <= 1, "{events:?}");
    }
}
