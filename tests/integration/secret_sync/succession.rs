//! Whose content a Secret has when classes, pods and nodes leave: that of one who lives.

use serde_json::{Value, json};

use api_server::{Matcher, Seen};
use kit::eventually;
use kit::mirror::{DRIVER, Mirror, SECRETS, USER, encoded, object, owners};
use kit::provider::answer;
use kit::scene::ALWAYS;
use kit::world::Pod;

const FED_BY: &str = "secrets-store.csi.k8s.io/fed-by";
const MEETING: &str = "SecretOfSeveralClasses";

/// Classes of these names that all name the Secret `shared`, and a provider that gives each pod its own content.
fn meet(mirror: &Mirror, classes: &[&str]) {
    for class in classes {
        mirror.class(class, json!([object("shared", &[("password", "pass")])]));
    }
    mirror.provider.script(|request| {
        let attributes: Value = serde_json::from_str(&request.attributes).expect("attributes are JSON");
        let pod = attributes["csi.storage.k8s.io/pod.name"].as_str().unwrap_or_default();
        Ok(answer("v1", &[("password", 0, format!("of-{pod}").as_bytes())]))
    });
}

/// From now on the pods of that node have content of a later version.
fn rotate(mirror: &Mirror, version: &'static str) {
    mirror.provider.script(move |_| Ok(answer(version, &[("password", 0, version.as_bytes())])));
}

/// The pod's object goes, and with it what the cluster's garbage collector takes along.
fn collect(mirror: &Mirror, pod: &Pod) {
    assert!(mirror.world.api.delete(&format!("/api/v1/namespaces/default/pods/{}", pod.name)));
    mirror.world.api.collect_garbage();
}

/// Waits until the Secret has the content of that pod, and all of these owners.
#[track_caller]
fn wait_until_fed(mirror: &Mirror, pod: &Pod, owned_by: &[&str]) {
    mirror.wait_for("shared", "pass", &format!("of-{}", pod.name));
    eventually("it has its owners", || owners(&mirror.secret("shared")) == owned_by);
}

/// A node, and another beside it.
fn two_nodes() -> (Mirror, Mirror) {
    let one = Mirror::start(&[]);
    let other = one.beside("node-2", &[]);
    (one, other)
}

/// Pods of the ReplicaSets `stable-1` on the one node and `canary-1` on the other, each of a class of its own that names
/// the Secret: the canary, which came later, feeds it.
fn canary_over_stable(one: &Mirror, other: &Mirror) -> [Pod; 2] {
    for mirror in [one, other] {
        meet(mirror, &["stable", "canary"]);
    }
    let sets = ["stable-1", "canary-1"].map(|name| one.replica_set(name));
    let stable = one.owned_pod("stable", "stable", &[&sets[0]]);
    let canary = other.owned_pod("canary", "canary", &[&sets[1]]);
    one.publish(&stable);
    one.settle();
    other.publish(&canary);
    wait_until_fed(one, &canary, &["stable-1", "canary-1"]);
    [stable, canary]
}

/// Events that say that classes meet in a Secret: of which pod, and what it says.
fn meetings(mirror: &Mirror) -> Vec<(String, String)> {
    let events =
        mirror.world.api.list("/api/v1/events").into_iter().filter(|event| event["reason"] == MEETING);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.map(|event| (text(&event["involvedObject"]["name"]), text(&event["message"]))).collect()
}

/// How often the Secret was written since the journal was last emptied, races that were lost left out.
fn writes(mirror: &Mirror) -> usize {
    let is_write = |seen: &Seen| {
        let is_of_it = seen.path.ends_with(SECRETS) || seen.path.ends_with("/secrets/shared");
        is_of_it && ["create", "patch", "update"].contains(&seen.verb) && seen.code < 300
    };
    mirror.world.api.requests().iter().filter(|seen| is_write(seen)).count()
}

#[test]
fn when_the_last_pod_of_a_class_leaves_its_node_the_class_that_stays_feeds_the_secret() {
    let mirror = Mirror::start(&ALWAYS);
    meet(&mirror, &["stable", "canary"]);
    let (stable, canary) = (mirror.pod("stable", "stable"), mirror.pod("canary", "canary"));
    mirror.publish(&stable);
    assert_eq!(mirror.secret("shared")["metadata"]["annotations"], Value::Null, "there is nobody to tell");
    mirror.publish(&canary);
    wait_until_fed(&mirror, &canary, &["stable-default-stable", "canary-default-canary"]);
    let owner = mirror.secret("shared")["metadata"]["ownerReferences"][1]["uid"].clone();
    let fed_by = format!("canary/canary/{}/{}", canary.uid, owner.as_str().unwrap_or_default());
    assert_eq!(mirror.secret("shared")["metadata"]["annotations"][FED_BY], fed_by);
    mirror.settle();
    mirror.unpublish(&canary);
    mirror.wait_for("shared", "pass", "of-stable");
    for _ in 0..3 {
        mirror.publish(&stable);
    }
    mirror.pass_fence();
    assert_eq!(mirror.value("shared", "pass").as_deref(), Some("of-stable"));
    let message = "classes canary and stable name one secret, shared, which has the content of class canary now; \
                   unless one is to take the other's place, give them different secretNames";
    assert_eq!(meetings(&mirror), [("canary".to_owned(), message.to_owned())]);
}

#[test]
fn a_class_that_names_a_secret_no_longer_leaves_it_to_the_one_that_does() {
    let mirror = Mirror::start(&ALWAYS);
    meet(&mirror, &["stable", "canary"]);
    let (stable, canary) = (mirror.pod("stable", "stable"), mirror.pod("canary", "canary"));
    mirror.publish(&stable);
    mirror.publish(&canary);
    wait_until_fed(&mirror, &canary, &["stable-default-stable", "canary-default-canary"]);
    mirror.class("canary", json!([object("its-own", &[("password", "pass")])]));
    eventually("the class has come through", || {
        mirror.publish(&canary);
        mirror.find("its-own").is_some()
    });
    mirror.wait_for("shared", "pass", "of-stable");
}

#[test]
fn the_content_of_a_class_stays_while_it_has_a_pod_here() {
    let mirror = Mirror::start(&ALWAYS);
    meet(&mirror, &["stable", "canary"]);
    let pods = [("stable", "stable"), ("first", "canary"), ("second", "canary"), ("last", "canary")]
        .map(|(name, class)| mirror.pod(name, class));
    pods.iter().for_each(|pod| mirror.publish(pod));
    mirror.wait_for("shared", "pass", "of-last");
    mirror.settle();
    mirror.unpublish(&pods[3]);
    eventually("another pod of the class is named", || {
        let fed_by = mirror.secret("shared")["metadata"]["annotations"][FED_BY].to_string();
        fed_by.contains("/second/") || fed_by.contains("/first/")
    });
    mirror.pass_fence();
    assert_eq!(mirror.value("shared", "pass").as_deref(), Some("of-last"), "the newest of its class");
    mirror.unpublish(&pods[2]);
    mirror.unpublish(&pods[1]);
    mirror.wait_for("shared", "pass", "of-stable");
}

#[test]
fn the_content_of_a_class_stays_while_it_has_a_pod_on_another_node() {
    let one = Mirror::start(&[]);
    let others = ["node-2", "node-3"].map(|node| one.beside(node, &[]));
    for mirror in [&one, &others[0], &others[1]] {
        meet(mirror, &["stable", "canary"]);
    }
    let sets = ["stable-1", "canary-1", "canary-2"].map(|name| one.replica_set(name));
    let pods = [
        one.owned_pod("stable", "stable", &[&sets[0]]),
        others[0].owned_pod("older", "canary", &[&sets[1]]),
        others[1].owned_pod("newer", "canary", &[&sets[2]]),
    ];
    for (mirror, pod) in [&one, &others[0], &others[1]].into_iter().zip(&pods) {
        mirror.publish(pod);
        mirror.settle();
    }
    wait_until_fed(&one, &pods[2], &["stable-1", "canary-1", "canary-2"]);
    others[1].unpublish(&pods[2]);
    eventually("the other pod of the class is named", || {
        one.secret("shared")["metadata"]["annotations"][FED_BY].to_string().contains("/older/")
    });
    // The turn of the other class comes, and finds a pod that lives.
    one.pass_fence();
    others[0].pass_fence();
    assert_eq!(one.value("shared", "pass").as_deref(), Some("of-newer"));
    others[0].unpublish(&pods[1]);
    wait_until_fed(&one, &pods[0], &["stable-1", "canary-1", "canary-2"]);
}

#[test]
fn a_pod_that_went_while_the_driver_was_away_feeds_its_secret_no_longer() {
    let mut mirror = Mirror::start(&[]);
    meet(&mirror, &["stable", "canary"]);
    let sets = ["stable-1", "canary-1"].map(|name| mirror.replica_set(name));
    let stable = mirror.owned_pod("stable", "stable", &[&sets[0]]);
    let canary = mirror.owned_pod("canary", "canary", &[&sets[1]]);
    mirror.publish(&stable);
    mirror.publish(&canary);
    wait_until_fed(&mirror, &canary, &["stable-1", "canary-1"]);
    mirror.world.take_driver().kill();
    collect(&mirror, &canary);
    mirror.world.start_driver();
    wait_until_fed(&mirror, &stable, &["stable-1", "canary-1"]);
}

#[test]
fn when_a_driver_is_killed_and_its_pod_collected_the_other_node_feeds_the_secret() {
    for (name, class) in [("two classes", "canary"), ("one class", "stable")] {
        let one = Mirror::start(&[]);
        let mut other = one.beside("node-2", &[]);
        for mirror in [&one, &other] {
            meet(mirror, &["stable", "canary"]);
        }
        let (stable, dead) = (one.pod("stable", "stable"), other.pod("dead", class));
        one.publish(&stable);
        one.settle();
        other.publish(&dead);
        wait_until_fed(&one, &dead, &["stable-default-stable", &format!("dead-default-{class}")]);
        one.pass_fence();
        assert_eq!(one.value("shared", "pass").as_deref(), Some("of-dead"), "{name}: its node may be back");
        if class == "canary" {
            eventually("who has lost his place is told", || !meetings(&one).is_empty());
        }

        other.world.take_driver().kill();
        one.world.api.forget_requests();
        collect(&one, &dead);
        wait_until_fed(&one, &stable, &["stable-default-stable"]);
        one.pass_fence();
        assert_eq!(writes(&one), 1, "{name}: {:?}", one.asked());
        assert_eq!(one.value("shared", "pass").as_deref(), Some("of-stable"), "{name}");
        let told = if class == "canary" { vec!["stable".to_owned()] } else { Vec::new() };
        // An event is on its way when the Secret is written.
        eventually("as many are told as should be", || meetings(&one).len() >= told.len());
        let pods: Vec<String> = meetings(&one).into_iter().map(|(pod, _)| pod).collect();
        assert_eq!(pods, told, "{name}: who has lost his place is told, and nobody else");
    }
}

#[test]
fn of_the_pods_of_a_class_that_loses_its_place_one_is_told() {
    let one = Mirror::start(&[]);
    let others = ["node-2", "node-3"].map(|node| one.beside(node, &[]));
    let nodes = [&one, &others[0], &others[1]];
    let rows = [("idle", "stable"), ("feeder", "stable"), ("newcomer", "canary")];
    for mirror in nodes {
        meet(mirror, &["stable", "canary"]);
    }
    for (mirror, (name, class)) in nodes.into_iter().zip(rows) {
        mirror.publish(&mirror.pod(name, class));
        mirror.settle();
    }
    one.wait_for("shared", "pass", "of-newcomer");
    let message = "classes canary and stable name one secret, shared, which has the content of class canary now; \
                   unless one is to take the other's place, give them different secretNames";
    eventually("it is told", || !meetings(&one).is_empty());
    nodes.iter().for_each(|mirror| mirror.pass_fence());
    assert_eq!(meetings(&one), [("feeder".to_owned(), message.to_owned())]);
}

#[test]
fn a_node_that_a_pod_leaves_tells_the_others_though_what_owned_the_pod_stays() {
    let (one, other) = two_nodes();
    let [stable, canary] = canary_over_stable(&one, &other);
    // Scaled down to nothing, while the API server has a bad moment.
    one.world.api.answer_next(1, Matcher::verb("patch").and_path(SECRETS), 400, "denied");
    one.world.api.fail_next(1, Matcher::verb("patch").and_path(SECRETS), 500, None);
    other.unpublish(&canary);
    wait_until_fed(&one, &stable, &["stable-1", "canary-1"]);
    assert_eq!(one.world.api.events_for("canary").len(), 0, "nobody is left to be told");
}

#[test]
fn a_pod_of_another_class_that_is_gone_without_a_word_is_found_missing_at_the_next_look() {
    let (one, mut other) = two_nodes();
    let [stable, canary] = canary_over_stable(&one, &other);
    other.world.take_driver().kill();
    collect(&one, &canary);
    one.pass_fence();
    one.edit(USER, "shared", |secret| secret["metadata"]["labels"]["anything"] = json!("new"));
    wait_until_fed(&one, &stable, &["stable-1", "canary-1"]);
}

#[test]
fn of_several_nodes_that_stay_the_one_whose_owner_stands_first_feeds_the_secret() {
    let one = Mirror::start(&[]);
    let mut others = ["node-2", "node-3"].map(|node| one.beside(node, &[]));
    for mirror in [&one, &others[0], &others[1]] {
        meet(mirror, &["first", "second", "third"]);
    }
    let first = one.pod("first", "first");
    let [second, third] =
        [(&others[0], "second"), (&others[1], "third")].map(|(mirror, name)| mirror.pod(name, name));
    one.publish(&first);
    one.settle();
    others[0].publish(&second);
    others[0].settle();
    others[1].publish(&third);
    let all = ["first-default-first", "second-default-second", "third-default-third"];
    wait_until_fed(&one, &third, &all);
    others[1].world.take_driver().kill();
    one.world.api.forget_requests();
    collect(&one, &third);
    wait_until_fed(&one, &first, &all[..2]);
    // The second's turn comes and finds the first there.
    eventually("the second has looked whether the first is there", || {
        one.world.api.count("get", "/namespaces/default/pods/first") > 0
    });
    others[0].pass_fence();
    one.pass_fence();
    assert_eq!(one.value("shared", "pass").as_deref(), Some("of-first"));
    assert_eq!(writes(&one), 1, "{:?}", one.asked());
}

#[test]
fn two_nodes_with_different_content_do_not_write_back_and_forth() {
    for (name, class) in [("two classes", "canary"), ("one class", "stable")] {
        let one = Mirror::start(&ALWAYS);
        let other = one.beside("node-2", &ALWAYS);
        for mirror in [&one, &other] {
            meet(mirror, &["stable", "canary"]);
        }
        let (stable, canary) = (one.pod("stable", "stable"), other.pod("canary", class));
        one.publish(&stable);
        one.settle();
        other.publish(&canary);
        other.settle();
        wait_until_fed(&one, &canary, &["stable-default-stable", &format!("canary-default-{class}")]);
        let refresh = || {
            for _ in 0..5 {
                one.publish(&stable);
                other.publish(&canary);
            }
        };
        let settle = || {
            refresh();
            one.pass_fence();
            other.pass_fence();
        };
        one.world.api.forget_requests();
        refresh();
        // What is edited is put right once, where nothing is left to be put right by the other.
        one.edit(USER, "shared", |secret| secret["data"]["pass"] = encoded("guessed"));
        eventually("it is put right", || one.value("shared", "pass").as_deref() != Some("guessed"));
        settle();
        assert_eq!(writes(&one), 1, "{name}: {:?}", one.asked());
        if class == "canary" {
            assert_eq!(one.value("shared", "pass").as_deref(), Some("of-canary"), "who fed it goes first");
        }

        // News on one side is one write, by whomever and in whatever order.
        rotate(&one, "newer-of-one");
        one.publish(&stable);
        one.wait_for("shared", "pass", "newer-of-one");
        rotate(&other, "newer-of-other");
        other.publish(&canary);
        one.wait_for("shared", "pass", "newer-of-other");
        settle();
        assert_eq!(writes(&one), 3, "{name}: {:?}", one.asked());
        assert_eq!(one.value("shared", "pass").as_deref(), Some("newer-of-other"), "{name}");
    }
}

#[test]
fn what_a_driver_wrote_that_names_nobody_gives_way_when_its_owner_leaves() {
    let (mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    let set = mirror.replica_set("of-another-node");
    mirror.edit(DRIVER, "db-secret", |secret| {
        secret["data"]["pass"] = encoded("of-another-node");
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "of-another-node",
            "uid": set["metadata"]["uid"]});
        secret["metadata"]["ownerReferences"].as_array_mut().unwrap().push(owner);
    });
    mirror.pass_fence();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("of-another-node"));
    assert!(mirror.world.api.delete("/apis/apps/v1/namespaces/default/replicasets/of-another-node"));
    mirror.world.api.collect_garbage();
    mirror.wait_for("db-secret", "pass", "old");
}

#[test]
fn a_pod_that_leaves_a_secret_of_its_own_asks_nothing_of_the_api_server() {
    let (mirror, pod) = Mirror::published(&[]);
    mirror.settle();
    mirror.world.api.forget_requests();
    mirror.unpublish(&pod);
    mirror.pass_fence();
    mirror.wait_until_asked(&[]);
}

#[test]
fn no_class_can_say_who_feeds_a_secret() {
    let mirror = Mirror::start(&[]);
    let mut object = object("db-secret", &[("password", "pass")]);
    object["annotations"] = json!({FED_BY: "another", "note": "ours"});
    mirror.class("db", json!([object]));
    mirror.publish(&mirror.pod("web", "db"));
    mirror.settle();
    assert_eq!(mirror.secret("db-secret")["metadata"]["annotations"], json!({"note": "ours"}));
}
