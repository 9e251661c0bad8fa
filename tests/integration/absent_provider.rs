//! A socket on which nobody listens: what a provider leaves behind that was killed.

use std::fs;
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::objects::objects;
use crate::support::provider::{ScriptedProvider, answer};
use crate::support::world::World;

#[test]
fn a_live_volume_does_not_make_kubelet_wait_for_a_provider_that_was_killed() {
    let world = World::start(&["--enable-secret-rotation", "--rotation-poll-interval=0s"]);
    let script = |_| Ok(answer("v1", &[("password", 0, b"old")]));
    let mut provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", script);
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();

    let kept = world.path("kept.sock");
    fs::hard_link(provider.socket(), &kept).unwrap();
    provider.stop();
    fs::rename(&kept, provider.socket()).unwrap();
    let begun = Instant::now();
    world.kubelet.publish(&pod).unwrap();

    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(pod.read("password"), "old");
    let condition = world.kubelet.stats(&pod).unwrap().volume_condition;
    assert!(condition.abnormal);
    assert!(condition.message.contains("Unavailable"), "{}", condition.message);
}
