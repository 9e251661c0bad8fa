//! With whom a Secret lives and dies.

use serde_json::{Value, json};

use kit::eventually;
use kit::mirror::{Mirror, object, owners, reference};
use kit::objects::pod_status_path;
use kit::world::Pod;

fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{name}")
}

fn replica_set_path(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/default/replicasets/{name}")
}

/// The pod's object is being deleted, or has come to that phase.
fn end(mirror: &Mirror, pod: &Pod, phase: Option<&str>) {
    let mut stored = mirror.world.api.get(&pod_path(&pod.name)).expect("the pod is there");
    match phase {
        Some(phase) => stored["status"]["phase"] = json!(phase),
        None => {
            stored["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
            stored["status"]["phase"] = json!("Running");
        }
    }
    mirror.world.api.put(stored);
}

#[test]
fn the_secret_of_a_pod_that_nobody_owns_belongs_to_its_pod_status() {
    let (mirror, _pod) = Mirror::published(&[]);
    let path = pod_status_path("default", "web", "db");
    let pod_status = mirror.world.api.get(&path).expect("the pod status is there");
    let owner = json!([{
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus",
        "name": "web-default-db", "uid": pod_status["metadata"]["uid"],
    }]);
    assert_eq!(mirror.secret("db-secret")["metadata"]["ownerReferences"], owner);
}

#[test]
fn the_secret_of_a_pod_with_owners_belongs_to_these_and_they_do_not_control_it() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let (set, other) = (mirror.replica_set("web-1"), mirror.replica_set("web-2"));
    mirror.publish(&mirror.owned_pod("web", "db", &[&set, &other]));
    let owner = |set: &Value| {
        let mut owner = reference(set);
        owner
            .as_object_mut()
            .unwrap()
            .retain(|field, _| field != "controller" && field != "blockOwnerDeletion");
        owner
    };
    let found = &mirror.secret("db-secret")["metadata"]["ownerReferences"];
    assert_eq!(*found, json!([owner(&set), owner(&other)]));
}

#[test]
fn the_owners_of_a_pod_that_change_are_followed() {
    let (mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    let set = mirror.replica_set("adopter");
    let mut pod = mirror.world.api.get(&pod_path("web")).unwrap();
    pod["metadata"]["ownerReferences"] = json!([reference(&set)]);
    mirror.world.api.put(pod);
    eventually("the new owner is there", || {
        owners(&mirror.secret("db-secret")).contains(&"adopter".to_owned())
    });
}

#[test]
fn an_owner_that_was_made_again_takes_the_place_of_its_namesake_and_others_stay() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let set = mirror.replica_set("web-1");
    let old =
        |kind: &str, uid: &str| json!({"apiVersion": "apps/v1", "kind": kind, "name": "web-1", "uid": uid});
    let foreign =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "7", "controller": true});
    mirror.world.api.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "namespace": "default", "name": "db-secret",
            "labels": {"secrets-store.csi.k8s.io/managed": "true"},
            "ownerReferences": [foreign, old("ReplicaSet", "1"), old("DaemonSet", "1")],
        },
    }));
    mirror.publish(&mirror.owned_pod("web", "db", &[&set]));
    mirror.wait_for("db-secret", "pass", "old");
    let is_there =
        || mirror.secret("db-secret").to_string().contains(set["metadata"]["uid"].as_str().unwrap());
    eventually("the owner is there", is_there);
    let found = mirror.secret("db-secret")["metadata"]["ownerReferences"].clone();
    let new = old("ReplicaSet", set["metadata"]["uid"].as_str().unwrap());
    assert_eq!(found, json!([foreign, new, old("DaemonSet", "1")]));
}

#[test]
fn a_pod_that_ends_does_not_bring_its_secret_back() {
    let rows = [("deleted", None), ("succeeded", Some("Succeeded")), ("failed", Some("Failed"))];
    let mirror = Mirror::start(&[]);
    let pods = rows.map(|(name, _)| {
        mirror.class(name, json!([object(name, &[("password", "pass")])]));
        mirror.pod(name, name)
    });
    pods.iter().for_each(|pod| mirror.publish(pod));
    mirror.settle();
    for ((name, phase), pod) in rows.iter().zip(&pods) {
        end(&mirror, pod, *phase);
        mirror.delete(name);
    }
    mirror.pass_fence();
    for (name, _) in rows {
        assert_eq!(mirror.find(name), None, "{name}");
    }
}

#[test]
fn a_secret_goes_with_its_last_owner_and_stays_away() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let sets = ["web-1", "web-2"].map(|name| mirror.replica_set(name));
    let pods = [mirror.owned_pod("one", "db", &[&sets[0]]), mirror.owned_pod("other", "db", &[&sets[1]])];
    pods.iter().for_each(|pod| mirror.publish(pod));
    eventually("both own it", || owners(&mirror.secret("db-secret")) == ["web-1", "web-2"]);
    mirror.settle();
    for (gone, left) in [("one", &["web-2"][..]), ("other", &[])] {
        let (pod, set) = if gone == "one" { (&pods[0], "web-1") } else { (&pods[1], "web-2") };
        end(&mirror, pod, None);
        mirror.unpublish(pod);
        assert!(mirror.world.api.delete(&pod_path(gone)));
        assert!(mirror.world.api.delete(&replica_set_path(set)));
        mirror.world.api.collect_garbage();
        mirror.pass_fence();
        let found = mirror.find("db-secret");
        assert_eq!(found.is_some(), !left.is_empty(), "after {gone}");
        assert_eq!(found.map(|secret| owners(&secret)).unwrap_or_default(), left, "after {gone}");
    }
}

#[test]
fn the_secret_of_a_bare_pod_goes_with_it() {
    let (mirror, pod) = Mirror::published(&[]);
    mirror.settle();
    end(&mirror, &pod, None);
    mirror.unpublish(&pod);
    assert!(mirror.world.api.delete(&pod_path("web")));
    mirror.world.api.collect_garbage();
    mirror.pass_fence();
    assert_eq!(mirror.find("db-secret"), None);
}

#[test]
fn an_owner_that_goes_before_its_pods_takes_the_secret_along() {
    let mirror = Mirror::start(&[]);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    let set = mirror.replica_set("web-1");
    let pod = mirror.owned_pod("web", "db", &[&set]);
    mirror.publish(&pod);
    mirror.settle();
    // The collector removes the Secret and marks the pod; kubelet is not that fast.
    assert!(mirror.world.api.delete(&replica_set_path("web-1")));
    mirror.delete("db-secret");
    end(&mirror, &pod, None);
    mirror.pass_fence();
    assert_eq!(mirror.find("db-secret"), None);
    mirror.unpublish(&pod);
}
