//! Watches that break, expire, or find the API server gone: no change is lost.

use serde_json::{Value, json};

use kit::eventually;
use kit::mirror::{Mirror, USER, encoded, object};
use kit::scene::ALWAYS;

/// What happens to the watches, given what happens meanwhile.
type Outage = fn(&Mirror, &dyn Fn());

const OUTAGES: [(&str, Outage); 5] = [
    ("connections cut", |mirror, meanwhile| {
        mirror.world.api.close_connections();
        meanwhile();
    }),
    ("watches ended", |mirror, meanwhile| {
        mirror.world.api.end_watches();
        meanwhile();
    }),
    ("API server away", |mirror, meanwhile| {
        mirror.world.api.stop();
        meanwhile();
        mirror.world.api.resume();
    }),
    ("history forgotten", |mirror, meanwhile| {
        mirror.world.api.stop();
        meanwhile();
        mirror.world.api.forget_history();
        mirror.world.api.resume();
    }),
    ("a garbled event", |mirror, meanwhile| {
        let watch = api_server::Matcher::verb("watch");
        mirror.world.api.answer_next(3, watch, 200, "{\"type\":\"ADDED\",\"object\":[\n");
        mirror.world.api.close_connections();
        meanwhile();
    }),
];

#[test]
fn a_secret_that_is_deleted_or_changed_during_an_outage_is_put_right_after_it() {
    for (name, outage) in OUTAGES {
        let mirror = Mirror::start(&[]);
        let objects = json!([object("one", &[("password", "pass")]), object("two", &[("password", "pass")])]);
        mirror.class("db", objects);
        mirror.publish(&mirror.pod("web", "db"));
        mirror.settle();
        outage(&mirror, &|| {
            mirror.delete("one");
            mirror.edit(USER, "two", |secret| secret["data"]["pass"] = encoded("guessed"));
        });
        eventually(&format!("all is put right: {name}"), || {
            ["one", "two"].iter().all(|secret| mirror.value(secret, "pass").as_deref() == Some("old"))
        });
    }
}

#[test]
fn a_pod_that_ends_during_an_outage_does_not_bring_its_secret_back() {
    for (name, outage) in OUTAGES {
        let (mirror, pod) = Mirror::published(&[]);
        mirror.settle();
        outage(&mirror, &|| {
            assert!(mirror.world.api.delete("/api/v1/namespaces/default/pods/web"));
            mirror.delete("db-secret");
        });
        eventually("watches are open again", || {
            let requests = mirror.world.api.requests();
            let is_again = |path: &str| {
                requests
                    .iter()
                    .filter(|seen| seen.path == path && seen.verb == "watch" && seen.code == 200)
                    .count()
                    > 1
            };
            is_again("/api/v1/secrets") && is_again("/api/v1/pods")
        });
        mirror.pass_fence();
        assert_eq!(mirror.find("db-secret"), None, "{name}");
        mirror.unpublish(&pod);
    }
}

#[test]
fn a_class_that_is_changed_during_an_outage_counts_after_it() {
    for (name, outage) in OUTAGES {
        let (mirror, pod) = Mirror::published(&ALWAYS);
        mirror.settle();
        outage(&mirror, &|| mirror.class("db", json!([object("db-secret", &[("password", "renamed")])])));
        eventually(&format!("the key has its new name: {name}"), || {
            mirror.publish(&pod);
            mirror.secret("db-secret")["data"] == json!({"renamed": encoded("old")})
        });
    }
}

#[test]
fn a_rotation_during_an_outage_is_written_after_it() {
    let (mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    mirror.world.api.stop();
    mirror.answer_with("v1", &[("password", b"new")]);
    mirror.publish(&pod);
    assert_eq!(pod.read("password"), "new");
    mirror.world.api.resume();
    mirror.wait_for("db-secret", "pass", "new");
    assert_eq!(mirror.world.api.events_for("web"), Vec::<Value>::new());
}

#[test]
fn watches_that_break_go_on_where_they_were_and_list_nothing_again() {
    let (mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    mirror.world.api.send_bookmarks();
    mirror.world.api.forget_requests();
    mirror.world.api.close_connections();
    let watched = ["v1/secrets", "v1/pods", "v1/secretproviderclasses"];
    eventually("all watches are open again", || {
        watched.iter().all(|resource| mirror.world.api.count("watch", resource) > 0)
    });
    mirror.pass_fence();
    for resource in watched {
        assert_eq!(mirror.world.api.count("list", resource), 0, "{resource}");
    }
}

#[test]
fn only_metadata_of_secrets_is_listed_and_watched_and_only_the_drivers_own() {
    let (mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    let requests = mirror.world.api.requests();
    let followed: Vec<_> = requests.iter().filter(|seen| seen.path == "/api/v1/secrets").collect();
    assert!(
        followed.iter().any(|seen| seen.verb == "list") && followed.iter().any(|seen| seen.verb == "watch")
    );
    for seen in followed {
        assert!(seen.query.contains("labelSelector=secrets-store.csi.k8s.io%2Fmanaged%3Dtrue"), "{seen:?}");
        assert!(seen.accept.contains("as=PartialObjectMetadata"), "{seen:?}");
    }
    let pods = requests.iter().filter(|seen| seen.path == "/api/v1/pods");
    for seen in pods {
        assert!(seen.query.contains("fieldSelector=spec.nodeName%3Dnode-1"), "{seen:?}");
    }
}
