//! Others who write to the driver's Secrets: what stays, what is put right, and when the driver waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use kit::eventually;
use kit::mirror::{Mirror, SECRETS, USER, encoded, object, owners, secret_path};
use kit::scene::ALWAYS;
use kit::world::Pod;

/// What the API server calls whoever quarrels with the driver.
const RELOADER: &str = "reloader";

/// A controller that looks at Secrets all the time, and changes those that are not as it wants them. Ends when the
/// test does.
struct Controller<'a> {
    is_over: &'a AtomicBool,
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// How the controller wants a Secret. False when it is so.
type Change = fn(&mut Value) -> bool;

/// Runs the controller over these Secrets, beside `test`, which is told of each change, by the Secret's name.
fn beside_a_controller(
    mirrors: &[&Mirror],
    wanted: &[(&str, Change)],
    test: impl FnOnce(&dyn Fn(&str) -> Vec<Instant>),
) {
    let changes = std::sync::Mutex::new(BTreeMap::<String, Vec<Instant>>::new());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _controller = Controller { is_over: &is_over };
        let api = &mirrors[0].world.api;
        let (changes, is_over) = (&changes, &is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                for (name, change) in wanted {
                    let Some(mut secret) = api.get(&secret_path("default", name)) else { continue };
                    if change(&mut secret) {
                        changes.lock().unwrap().entry((*name).to_owned()).or_default().push(Instant::now());
                        api.put_as(RELOADER, secret);
                    }
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        test(&|name| changes.lock().unwrap().get(name).cloned().unwrap_or_default());
    });
}

/// Pauses between the changes, in seconds.
fn pauses(changes: &[Instant]) -> Vec<f64> {
    changes.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect()
}

/// Writes to Secrets of the namespace `default` that the API server was asked for.
fn writes(mirror: &Mirror) -> Vec<String> {
    mirror
        .asked()
        .into_iter()
        .filter(|asked| asked.starts_with("patch") || asked.starts_with("create"))
        .collect()
}

fn message_of(mirror: &Mirror, pod: &str, reason: &str) -> Option<String> {
    let mut events = mirror.world.api.events_for(pod).into_iter();
    let last = events.rfind(|event| event["reason"] == reason)?;
    last["message"].as_str().map(str::to_owned)
}

/// Each Secret has its own class and pod.
fn published(mirror: &Mirror, names: &[&str]) -> Vec<Pod> {
    let publish = |name: &&str| {
        let mut object = object(name, &[("password", "pass")]);
        object["labels"] = json!({"env": "test"});
        mirror.class(name, json!([object]));
        let pod = mirror.pod(&format!("pod-{name}"), name);
        mirror.publish(&pod);
        pod
    };
    names.iter().map(publish).collect()
}

#[test]
fn a_controller_that_adds_a_key_of_its_own_is_not_written_against_and_its_key_stays() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    mirror.pass_fence();
    mirror.world.api.forget_requests();
    // It makes a new token each time that it finds the last one, and a new one if that were taken away.
    let renew: Change = |secret| {
        let number =
            secret["metadata"]["annotations"]["n"].as_str().and_then(|n| n.parse().ok()).unwrap_or(0);
        let is_done = number == 20 && secret["data"]["token"] != Value::Null;
        if !is_done {
            secret["data"]["token"] = encoded(&format!("token-{number}"));
            secret["metadata"]["annotations"]["n"] = json!((number + 1).to_string());
        }
        !is_done
    };
    beside_a_controller(&[&mirror], &[("db-secret", renew)], |changes| {
        eventually("the controller has its way", || changes("db-secret").len() >= 20);
        mirror.pass_fence();
        assert_eq!(mirror.asked(), [""; 0], "nothing is asked, let alone written");

        mirror.answer_with("v2", &[("password", b"new")]);
        mirror.publish(&pod);
        mirror.wait_for("db-secret", "pass", "new");
        mirror.wait_until_asked(&["get db-secret", "patch db-secret"]);
        assert_eq!(mirror.value("db-secret", "token").as_deref(), Some("token-19"));
        assert_eq!(changes("db-secret").len(), 20, "nobody took anything away");
    });
}

#[test]
fn a_key_that_the_class_no_longer_declares_goes_and_one_of_a_user_stays() {
    let mirror = Mirror::start(&ALWAYS);
    mirror.class("db", json!([object("db-secret", &[("password", "pass"), ("password", "former")])]));
    let pod = mirror.pod("web", "db");
    mirror.publish(&pod);
    mirror.settle();
    mirror.edit(USER, "db-secret", |secret| secret["data"]["mine"] = encoded("precious"));
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.pass_fence();
    mirror.publish(&pod);
    eventually("what the class declared before is gone", || mirror.value("db-secret", "former").is_none());
    assert_eq!(mirror.value("db-secret", "mine").as_deref(), Some("precious"));
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
}

#[test]
fn what_is_changed_back_again_and_again_is_put_right_after_growing_pauses_and_the_pod_is_told_by_whom() {
    let mirror = Mirror::start(&ALWAYS);
    let rows: [(&str, Change, &str); 4] = [
        (
            "value",
            |secret| {
                let theirs = encoded("theirs");
                std::mem::replace(&mut secret["data"]["pass"], theirs.clone()) != theirs
            },
            "key pass is set by field manager \"reloader\"",
        ),
        (
            "gone",
            |secret| secret["data"].as_object_mut().is_some_and(|data| data.remove("pass").is_some()),
            "key pass is removed by somebody (the API server does not note who removes)",
        ),
        (
            "label",
            |secret| {
                let theirs = json!("production");
                std::mem::replace(&mut secret["metadata"]["labels"]["env"], theirs.clone()) != theirs
            },
            "label env is set by field manager \"reloader\"",
        ),
        (
            "owner",
            |secret| {
                let owners = secret["metadata"]["ownerReferences"].take();
                secret["metadata"]["ownerReferences"] = json!([]);
                owners.as_array().is_some_and(|owners| !owners.is_empty())
            },
            "an owner is removed by somebody (the API server does not note who removes)",
        ),
    ];
    let names = rows.map(|row| row.0);
    let pods = published(&mirror, &names);
    mirror.settle();
    for name in names {
        eventually("it has an owner", || !owners(&mirror.secret(name)).is_empty());
    }
    mirror.pass_fence();
    beside_a_controller(&[&mirror], &rows.map(|row| (row.0, row.1)), |changes| {
        for ((name, _, text), pod) in rows.iter().zip(&pods) {
            eventually("the owner of the pod is told", || {
                message_of(&mirror, &pod.name, "SecretChangedBack").is_some()
            });
            let message = message_of(&mirror, &pod.name, "SecretChangedBack").unwrap();
            let whole = format!(
                "secret {name} of class default/{name} is changed back again and again: {text}; it is put right \
                 after pauses that grow to five minutes. Have that stop, or take it out of the class"
            );
            assert_eq!(message, whole);
        }
        for name in names {
            // The first change, and one after each time that it was put right.
            eventually("it is put right a fourth time", || changes(name).len() >= 5);
            let pauses = pauses(&changes(name));
            for (number, least) in [0.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
                assert!(pauses[number] >= least, "{name}: {pauses:?}");
            }
            assert!(mirror.errors("SecretChangedBack") >= 4.0);
        }
        // News do not wait for a quarrel's end.
        let (before, begun) = (changes("value").len(), Instant::now());
        mirror.answer_with("v2", &[("password", b"new")]);
        mirror.publish(&pods[0]);
        eventually("what is new is written", || changes("value").len() > before);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    });
}

#[test]
fn nodes_that_keep_one_secret_wait_as_long_as_one_would() {
    let one = Mirror::start(&[]);
    let other = one.beside("node-2", &[]);
    for mirror in [&one, &other] {
        mirror.class("db", json!([object("shared", &[("password", "pass")])]));
        mirror.publish(&mirror.pod(&format!("pod-{}", mirror.world.node), "db"));
        mirror.settle();
    }
    eventually("both own it", || owners(&one.secret("shared")).len() == 2);
    [&one, &other].into_iter().for_each(Mirror::pass_fence);
    let theirs: Change = |secret| {
        let theirs = encoded("theirs");
        std::mem::replace(&mut secret["data"]["pass"], theirs.clone()) != theirs
    };
    beside_a_controller(&[&one, &other], &[("shared", theirs)], |changes| {
        eventually("it is put right a fourth time", || changes("shared").len() >= 5);
        let pauses = pauses(&changes("shared"));
        for (number, least) in [0.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
            assert!(pauses[number] >= least, "{pauses:?}");
        }
    });
}

#[test]
fn classes_of_two_nodes_that_put_different_keys_into_one_secret_do_not_write_back_and_forth() {
    let one = Mirror::start(&[]);
    let other = one.beside("node-2", &[]);
    for (mirror, class) in [(&one, "stable"), (&other, "canary")] {
        mirror.class(class, json!([object("shared", &[("password", class)])]));
        mirror.publish(&mirror.pod(class, class));
        mirror.settle();
    }
    eventually("both own it", || owners(&one.secret("shared")).len() == 2);
    [&one, &other].into_iter().for_each(Mirror::pass_fence);
    one.world.api.forget_requests();
    // Longer than the turn of either.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        one.edit(USER, "shared", |secret| {
            secret["metadata"]["annotations"]["looked-at"] = json!(since.elapsed().as_millis().to_string());
        });
        [&one, &other].into_iter().for_each(Mirror::pass_fence);
    }
    assert_eq!(writes(&one), [""; 0]);
    assert_eq!(one.value("shared", "canary").as_deref(), Some("old"), "who came last feeds it");
}

#[test]
fn a_type_that_controllers_fill_is_refused_with_a_sentence_and_one_line_and_asks_nothing() {
    let mirror = Mirror::start(&ALWAYS);
    let of_type = |name: &str, kind: &str| {
        let mut object = object(name, &[("password", "pass")]);
        object["type"] = json!(kind);
        object
    };
    let entries = json!([
        of_type("token", "kubernetes.io/service-account-token"),
        of_type("bootstrap", " bootstrap.kubernetes.io/token"),
        of_type("good", "Opaque"),
    ]);
    mirror.class("db", entries);
    let pods = ["web", "api"].map(|name| mirror.pod(name, "db"));
    for _ in 0..3 {
        pods.iter().for_each(|pod| mirror.publish(pod));
    }
    mirror.settle();
    let sentence = |name: &str, kind: &str| {
        format!(
            "secret {name} is not made: it would be of type {kind}, and controllers of Kubernetes fill, change and \
             delete secrets of this type, against which the driver would write; give it type Opaque, or mount the \
             volume alone"
        )
    };
    let both = [
        sentence("token", "kubernetes.io/service-account-token"),
        sentence("bootstrap", "bootstrap.kubernetes.io/token"),
    ];
    assert_eq!(mirror.event_for("web"), format!("secretObjects of class default/db: {}", both.join("; ")));
    assert_eq!(mirror.world.api.events_for("web").len(), 1);
    let lines = mirror.world.driver().log();
    let lines =
        lines.lines().filter(|line| line.contains("entries of a class's secretObjects make no secret"));
    assert_eq!(lines.count(), 1);
    assert!(mirror.asked().iter().all(|asked| asked.ends_with("good") || asked.ends_with("secrets")));
    assert!(mirror.find("good").is_some() && mirror.find("token").is_none());
    assert!(mirror.errors("InvalidSecretObject") >= 2.0);
    let requests = mirror.world.api.requests().into_iter().filter(|seen| seen.path.contains(SECRETS));
    assert!(requests.count() > 0, "the good one was asked about");
}
