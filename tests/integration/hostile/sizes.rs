//! Authors of classes and of pods: however large an object is that the API server stores, the driver holds little of it,
//! and does for others what it did before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use serde_json::{Map, Value, json};

use super::callers::Held;
use super::*;
use ::api_server::Matcher;
use kit::eventually;
use kit::mirror::{Mirror, object};
use kit::objects;

/// About what etcd stores of one object.
const STORED_BYTES: usize = 1_500_000;
/// More than the driver's memory may grow by, whatever it is told, also where the watch and a publish read a class at the
/// same time; a tree of such a class takes 240 MiB.
const MOST_KIB: u64 = 24 * 1024;
const PODS: &str = "/api/v1/pods";
const NAME: &str = "secrets-store.csi.k8s.io";

/// Classes of that size, by what they have too much of.
fn bombs() -> Vec<(&'static str, Value)> {
    let names = || (0..STORED_BYTES / 11).map(|number| (format!("{number:x}"), json!("")));
    let with_objects = |name: &'static str, secret_objects: Value| {
        let mut class = objects::class("default", name, "test", objects(&["password"]));
        class["spec"]["secretObjects"] = secret_objects;
        (name, class)
    };
    let secret = |number: usize| json!({"secretName": format!("s{number}"), "type": "o", "data": [{"objectName": "password", "key": "k"}]});
    let labelled = json!({"secretName": "s", "type": "o", "labels": names().collect::<Map<_, _>>(),
        "data": [{"objectName": "password", "key": "k"}]});
    let data = json!({"secretName": "s", "type": "Opaque", "data": vec![json!({}); STORED_BYTES / 3]});
    let text = json!({"secretName": "x".repeat(STORED_BYTES)});
    let deep = (0..100).fold(json!(vec![json!([]); STORED_BYTES / 3]), |inner, _| json!([inner]));
    vec![
        with_objects("objects", json!(vec![json!({}); STORED_BYTES / 3])),
        with_objects("data", json!([data])),
        with_objects("labels", json!([labelled])),
        with_objects("many", (0..STORED_BYTES / 80).map(secret).collect()),
        with_objects("text", json!([text])),
        with_objects("deep", json!([{"secretName": deep}])),
        (
            "parameters",
            objects::class("default", "parameters", "test", names().collect::<Map<_, _>>().into()),
        ),
        ("parameter", objects::class("default", "parameter", "test", json!({"a": "x".repeat(STORED_BYTES)}))),
    ]
}

#[test]
fn a_class_of_any_size_mounts_and_takes_a_few_mebibytes_whether_it_is_used_or_only_there() {
    let mirror = Mirror::start(&ALWAYS_DUE);
    mirror.answer_with("v1", &[("password", b"hunter2")]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    Held::by(&mirror.world);
    let before = Held::by(&mirror.world);
    for (name, class) in bombs() {
        // Seen by the watch before and while it is used.
        mirror.world.api.put(class.clone());
        let pod = mirror.pod(&format!("of-{name}"), name);
        for _ in 0..2 {
            mirror.publish(&pod);
            mirror.world.api.put(class.clone());
        }
        assert_eq!(pod.read("password"), "hunter2", "{name}");
        let held = Held::by(&mirror.world);
        println!("{name}: {} KiB, at most {} KiB", held.kib, held.peak_kib);
        assert!(
            held.peak_kib < before.kib + MOST_KIB,
            "{name}: {} KiB, {} before",
            held.peak_kib,
            before.kib
        );
        mirror.world.kubelet.unpublish(&pod).unwrap();
        mirror.world.api.delete(&objects::class_path("default", name));
    }
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("hunter2"), "others are not disturbed");
}

/// A class with more parameters than are held of one.
fn large_class(name: &str) -> Value {
    let names = (0..600).map(|number| (format!("p{number}"), json!("x".repeat(300))));
    objects::class("default", name, "test", names.collect::<Map<_, _>>().into())
}

#[test]
fn pods_of_classes_that_are_too_large_ask_their_provider_in_turn_and_nobody_else_waits() {
    let mirror = Mirror::start(&[]);
    let [asking, most] = [0, 0].map(|number| Arc::new(AtomicUsize::new(number)));
    let go_on = Arc::new(AtomicBool::new(false));
    let (now, peak, is_over) = (Arc::clone(&asking), Arc::clone(&most), Arc::clone(&go_on));
    mirror.provider.script(move |_| {
        peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        eventually("it may go on", || is_over.load(SeqCst));
        now.fetch_sub(1, SeqCst);
        Ok(good())
    });
    mirror.world.class("fence", "fence", json!({"objects": "some"}));
    let pods: Vec<Pod> = (0..6)
        .map(|number| {
            mirror.world.api.put(large_class(&format!("c{number}")));
            mirror.pod(&format!("p{number}"), &format!("c{number}"))
        })
        .collect();
    thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| mirror.publish(pod));
        }
        eventually("two ask", || asking.load(SeqCst) == 2);
        let is_read = |number| {
            mirror.world.api.count("get", &objects::class_path("default", &format!("c{number}"))) > 0
        };
        eventually("all have read their classes", || (0..pods.len()).all(is_read));
        mirror.publish(&mirror.pod("small", "fence"));
        assert_eq!(most.load(SeqCst), 2);
        go_on.store(true, SeqCst);
    });
    assert!(pods.iter().all(|pod| pod.read("password") == "hunter2"));
    assert_eq!(most.load(SeqCst), 2);
}

#[test]
fn a_class_that_is_too_large_says_so_once_and_what_is_within_the_limits_is_mirrored() {
    let mirror = Mirror::start(&ALWAYS_DUE);
    let secrets: Vec<Value> =
        (0..200).map(|number| object(&format!("s{number:03}"), &[("password", "pass")])).collect();
    let mut class = objects::class("default", "large", "test", objects(&["password"]));
    class["spec"]["secretObjects"] = json!(secrets);
    for number in 0..1100 {
        class["spec"]["parameters"][format!("p{number}")] = json!("hunter2");
    }
    mirror.world.api.put(class);
    for pod in ["one", "two"] {
        let pod = mirror.pod(pod, "large");
        for _ in 0..2 {
            mirror.publish(&pod);
        }
    }
    eventually("the first 128 are there", || mirror.find("s127").is_some());
    assert!(mirror.find("s128").is_none());
    let told: Map<String, Value> = serde_json::from_str(&mirror.provider.last().attributes).unwrap();
    assert_eq!((told["p0"].as_str(), told["p1099"].as_str()), (Some("hunter2"), Some("hunter2")));
    let sentence = "class default/large is too large: its 1101 parameters of";
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    let events = || {
        let events = ["one", "two"].into_iter().flat_map(|pod| mirror.world.api.events_for(pod));
        events.map(|event| message(&event)).filter(|text| text.contains("too large")).collect::<Vec<_>>()
    };
    eventually("it is told", || !events().is_empty());
    let events = events();
    assert!(events.len() == 1 && events[0].starts_with(sentence), "{events:?}");
    assert!(events[0].contains("of its 200 secretObjects only the first 128 are looked at"), "{events:?}");
    assert_eq!(mirror.world.driver().count_log(sentence), 1);
    assert!(!mirror.world.driver().log().contains("hunter2"));
}

/// A pod of somebody else, whose containers say so much.
fn fat_pod(mirror: &Mirror, name: &str, bytes: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "evil", "name": name},
        "spec": {"nodeName": mirror.world.node, "containers": [{"name": "c", "args": ["<".repeat(bytes)]}]},
        "status": {"phase": "Running"},
    })
}

#[test]
fn a_pod_of_any_size_keeps_nobodys_secrets_from_being_taken_up_after_a_restart() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    for number in 0..4 {
        mirror.world.api.put(fat_pod(&mirror, &format!("fat-{number}"), 9 << 20));
    }
    mirror.world.take_driver().kill();
    mirror.delete("db-secret");
    mirror.world.api.forget_requests();
    mirror.world.start_driver();
    mirror.wait_for("db-secret", "pass", "old");
    assert_eq!(mirror.world.api.count("list", PODS), 1, "in one page");
    let held = Held::by(&mirror.world);
    println!("{} KiB at most", held.peak_kib);
    // The watch shows it as well, and goes on.
    eventually("pods are watched", || mirror.world.api.count("watch", PODS) == 1);
    mirror.world.api.put(fat_pod(&mirror, "fat-0", 10 << 20));
    mirror.world.api.put(fat_pod(&mirror, "late", 10 << 20));
    mirror.settle();
    assert_eq!((mirror.world.api.count("list", PODS), mirror.world.api.count("watch", PODS)), (1, 1));
    let later = Held::by(&mirror.world);
    println!("{} KiB at most", later.peak_kib);
    assert!(later.peak_kib < held.kib + MOST_KIB, "{} KiB, {} before", later.peak_kib, held.kib);
}

#[test]
fn pods_whose_every_field_is_as_large_as_can_be_take_little_each() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    mirror.settle();
    let before = Held::by(&mirror.world);
    let owner =
        |number: usize| json!({"apiVersion": "v", "kind": "K", "name": "n", "uid": number.to_string()});
    let volume = |number: usize| json!({"name": number.to_string(), "csi": {"driver": NAME, "volumeAttributes": {"secretProviderClass": "c"}}});
    for number in 0..10 {
        let mut pod = fat_pod(&mirror, &format!("fat-{number}"), 0);
        pod["metadata"]["ownerReferences"] = (0..5_000).map(owner).collect();
        pod["spec"]["volumes"] = (0..4_000).map(volume).collect();
        mirror.world.api.put(pod);
    }
    mirror.settle();
    let held = Held::by(&mirror.world);
    println!("{} KiB before, {} KiB at most", before.kib, held.peak_kib);
    assert!(held.peak_kib < before.kib + MOST_KIB, "{} KiB, {} before", held.peak_kib, before.kib);
}

#[test]
fn a_list_of_pods_that_never_ends_costs_a_pause_and_no_memory_and_is_completed_when_it_can_be() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    mirror.world.take_driver().kill();
    mirror.delete("db-secret");
    mirror.world.api.forget_requests();
    let page =
        json!({"kind": "PodList", "metadata": {"resourceVersion": "5", "continue": "again"}, "items": []});
    mirror.world.api.answer_next(4, Matcher::verb("list").and_path(PODS), 200, page.to_string());
    mirror.world.start_driver();
    mirror.wait_for("db-secret", "pass", "old");
    assert_eq!(mirror.world.api.count("list", PODS), 5);
    assert_eq!(mirror.world.driver().count_log("the list has no end"), 1);
}
