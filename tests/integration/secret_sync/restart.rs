//! Secrets across the end of the driver: they go on being kept without a call of kubelet's, which never comes where
//! rotation is off.

use serde_json::json;

use api_server::Matcher;
use kit::mirror::{DRIVER, Mirror, SECRETS, USER, encoded, object, owners};
use kit::scene::ALWAYS;

/// The driver dies, and is started again when `meanwhile` is done.
fn restart(mirror: &mut Mirror, meanwhile: impl FnOnce(&Mirror)) {
    mirror.world.take_driver().kill();
    meanwhile(mirror);
    mirror.world.api.forget_requests();
    mirror.world.start_driver();
}

#[test]
fn after_a_restart_secrets_are_kept_although_kubelet_never_calls() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    restart(&mut mirror, |mirror| mirror.delete("db-secret"));
    mirror.wait_for("db-secret", "pass", "old");
    assert_eq!(owners(&mirror.secret("db-secret")), ["web-default-db"]);
    mirror.settle();
    mirror.delete("db-secret");
    mirror.wait_for("db-secret", "pass", "old");
    mirror.edit(USER, "db-secret", |secret| secret["data"]["pass"] = encoded("guessed"));
    mirror.wait_for("db-secret", "pass", "old");
}

#[test]
fn when_all_is_as_it_was_a_restart_writes_nothing() {
    let mut mirror = Mirror::start(&[]);
    let objects = json!([object("one", &[("password", "pass")]), object("two", &[("password", "pass")])]);
    mirror.class("db", objects);
    let set = mirror.replica_set("web-1");
    mirror.publish(&mirror.owned_pod("web", "db", &[&set]));
    mirror.publish(&mirror.pod("bare", "db"));
    kit::eventually("both own it", || owners(&mirror.secret("two")).len() == 2);
    mirror.settle();
    let before = ["one", "two"].map(|name| mirror.secret(name));
    restart(&mut mirror, |_| {});
    // The fence is adopted with the others, and comes back.
    mirror.world.driver().wait_for_log("ready");
    mirror.pass_fence();
    mirror.pass_fence();
    assert_eq!(["one", "two"].map(|name| mirror.secret(name)), before);
    let mut asked = mirror.asked();
    asked.retain(|asked| !asked.starts_with("get "));
    assert_eq!(asked, Vec::<String>::new());
}

#[test]
fn content_that_a_crash_kept_from_a_secret_is_written_after_it() {
    let (mut mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    mirror.world.api.fail_always(Matcher::verb("patch").and_path(SECRETS), 500);
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    assert_eq!(pod.read("password"), "new");
    mirror.world.add_flags(&["--enable-secret-rotation=false"]);
    restart(&mut mirror, |mirror| {
        assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("old"));
        mirror.world.api.clear_faults();
        mirror.age("db-secret");
    });
    mirror.wait_for("db-secret", "pass", "new");
}

#[test]
fn content_that_a_crash_kept_from_a_secret_of_the_same_second_is_written_with_the_next_refresh() {
    let (mut mirror, pod) = Mirror::published(&ALWAYS);
    mirror.settle();
    mirror.world.api.fail_always(Matcher::verb("patch").and_path(SECRETS), 500);
    mirror.answer_with("v2", &[("password", b"new")]);
    mirror.publish(&pod);
    restart(&mut mirror, |mirror| {
        mirror.world.api.clear_faults();
        // As if it had been written in the very second of the content that it lacks.
        mirror.date("db-secret", "2040-01-01T00:00:00Z");
    });
    mirror.settle();
    assert_eq!(
        mirror.value("db-secret", "pass").as_deref(),
        Some("old"),
        "times do not tell that it is older"
    );
    mirror.publish(&pod);
    mirror.wait_for("db-secret", "pass", "new");
}

#[test]
fn what_another_node_wrote_while_the_driver_was_away_stays() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    restart(&mut mirror, |mirror| {
        mirror.edit(DRIVER, "db-secret", |secret| secret["data"]["pass"] = encoded("newer"));
    });
    mirror.pass_fence();
    mirror.pass_fence();
    assert_eq!(mirror.value("db-secret", "pass").as_deref(), Some("newer"));
}

#[test]
fn a_secret_that_a_crash_kept_from_being_made_is_made_after_it() {
    let mut mirror = Mirror::start(&[]);
    mirror.world.api.fail_always(Matcher::verb("create").and_path(SECRETS), 400);
    mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
    mirror.publish(&mirror.pod("web", "db"));
    restart(&mut mirror, |mirror| {
        assert_eq!(mirror.find("db-secret"), None);
        mirror.world.api.clear_faults();
    });
    mirror.wait_for("db-secret", "pass", "old");
}

#[test]
fn volumes_are_taken_up_again_when_the_api_server_is_away_at_the_start() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    restart(&mut mirror, |mirror| {
        mirror.delete("db-secret");
        mirror.world.api.stop();
    });
    mirror.world.api.resume();
    mirror.wait_for("db-secret", "pass", "old");
}

#[test]
fn what_ended_while_the_driver_was_away_is_not_brought_back() {
    let (mut mirror, _pod) = Mirror::published(&[]);
    mirror.settle();
    restart(&mut mirror, |mirror| {
        mirror.delete("db-secret");
        assert!(mirror.world.api.delete("/api/v1/namespaces/default/pods/web"));
    });
    mirror.pass_fence();
    mirror.pass_fence();
    assert_eq!(mirror.find("db-secret"), None);
}

#[test]
fn a_volume_that_kubelet_ends_right_after_a_restart_needs_no_secret_any_longer() {
    let (mut mirror, pod) = Mirror::published(&[]);
    mirror.settle();
    restart(&mut mirror, |_| {});
    mirror.unpublish(&pod);
    mirror.delete("db-secret");
    mirror.pass_fence();
    assert_eq!(mirror.find("db-secret"), None);
}
