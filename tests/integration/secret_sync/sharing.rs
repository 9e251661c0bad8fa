//! Several pods, and several nodes, that keep one Secret.

use serde_json::json;

use kit::eventually;
use kit::mirror::{DRIVER, Mirror, USER, encoded, object, owners, secret_path};
use kit::scene::ALWAYS;

#[test]
fn pods_that_share_a_secret_own_it_together_and_one_of_them_keeps_it() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let sets = ["web-1", "web-2", "web-3"].map(|name| mirror.replica_set(name));
    let pods: Vec<_> =
        sets.iter().zip(["a", "b", "c"]).map(|(set, name)| mirror.owned_pod(name, "db", &[set])).collect();
    let world = &mirror.world;
    std::thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| {
                world.kubelet.publish(pod).expect("a publish");
                assert!(world.api.get(&secret_path("default", "db-secret")).is_some(), "{}", pod.name);
            });
        }
    });
    eventually("all own it", || {
        let mut owners = owners(&mirror.secret("db-secret"));
        owners.sort();
        owners == ["web-1", "web-2", "web-3"]
    });
    mirror.settle();
    for pod in &pods[..2] {
        mirror.unpublish(pod);
    }
    mirror.delete("db-secret");
    mirror.wait_for("db-secret", "pass", "old");
    assert_eq!(owners(&mirror.secret("db-secret")), ["web-3"]);
}

#[test]
fn of_pods_that_share_a_secret_the_one_that_was_refreshed_last_speaks_for_it() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let (one, other) = (mirror.pod("one", "db"), mirror.pod("other", "db"));
    mirror.publish(&one);
    mirror.publish(&other);
    mirror.settle();
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&one);
    mirror.wait_for("db-secret", "pass", "new");
    // The other's volume is older, whatever happens to the Secret.
    mirror.edit(USER, "db-secret", |secret| secret["data"]["pass"] = encoded("guessed"));
    mirror.wait_for("db-secret", "pass", "new");
    mirror.pass_fence();
    mirror.world.api.forget_requests();
    mirror.publish(&other);
    assert_eq!(other.read("password"), "new");
    mirror.pass_fence();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("new"));
    assert!(!mirror.asked().contains(&"patch db-secret".to_owned()), "{:?}", mirror.asked());
}

#[test]
fn two_classes_may_feed_secrets_of_one_pod_and_of_one_name() {
    let mirror = Mirror::start(&[]);
    for class in ["db", "cache"] {
        mirror.class(
            class,
            json!([object("shared", &[("password", "pass")]), object(class, &[("password", "pass")])]),
        );
        mirror.publish(&mirror.pod(&format!("web-{class}"), class));
    }
    for name in ["shared", "db", "cache"] {
        assert_eq!(mirror.value(name, "pass").as_deref(), Some("old"), "{name}");
    }
    eventually("both own it", || {
        owners(&mirror.secret("shared")) == ["web-db-default-db", "web-cache-default-cache"]
    });
}

#[test]
fn what_another_node_wrote_later_stays_and_what_a_user_wrote_goes() {
    let mirror = Mirror::start(&ALWAYS);
    let mut object = object("db-secret", &[("password", "pass")]);
    object["labels"] = json!({"env": "test"});
    mirror.class("db", json!([object]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    mirror.edit(DRIVER, "db-secret", |secret| {
        secret["data"]["pass"] = encoded("newer");
        secret["metadata"]["labels"]["env"] = json!("of-a-newer-class");
    });
    mirror.publish(&pod);
    mirror.pass_fence();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("newer"));
    assert_eq!(mirror.secret("db-secret")["metadata"]["labels"]["env"], "of-a-newer-class");

    mirror.edit(USER, "db-secret", |secret| secret["data"]["pass"] = encoded("guessed"));
    mirror.wait_for("db-secret", "pass", "old");
    mirror.edit(DRIVER, "db-secret", |secret| secret["data"]["pass"] = encoded("newer"));
    mirror.pass_fence();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("newer"));

    // This node's own rotation is the newest of all.
    mirror.answer_with("v2", &[("password", b"newest")]);
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "newest");
}

#[test]
fn a_race_with_another_node_for_the_same_secret_ends_with_both_as_owners() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    let set = mirror.replica_set("of-another-node");
    // The driver writes over a version that it has not seen yet.
    mirror.world.api.set_latency(std::time::Duration::from_millis(30));
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    for round in 0..5 {
        mirror.edit(DRIVER, "db-secret", |secret| {
            secret["metadata"]["annotations"]["round"] = json!(round.to_string());
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "of-another-node",
                "uid": set["metadata"]["uid"]});
            secret["metadata"]["ownerReferences"].as_array_mut().unwrap().truncate(1);
            secret["metadata"]["ownerReferences"].as_array_mut().unwrap().push(owner);
        });
    }
    mirror.world.api.set_latency(std::time::Duration::ZERO);
    mirror.wait_for("db-secret", "pass", "new");
    assert_eq!(owners(&mirror.secret("db-secret")), ["web-default-db", "of-another-node"]);
    assert_eq!(mirror.secret("db-secret")["metadata"]["annotations"]["round"], "4");
}
