//! A socket on which nobody listens: what a provider leaves behind that was killed.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rpc::status::Code;

use api_server::Matcher;
use kit::objects::objects;
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World};
use kit::{PATIENCE, eventually};

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

/// A node with a pod whose provider was killed, or is not there at all.
fn without_provider(leaves_a_socket: bool) -> (World, Pod) {
    let world = World::start(&[]);
    if leaves_a_socket {
        drop(UnixListener::bind(world.providers().join("test.sock")).unwrap());
    }
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    (world, pod)
}

fn dropped_events(world: &World) -> f64 {
    world.count("secrets_store_csi_events_dropped_total", &[])
}

#[test]
fn the_owner_of_a_waiting_pod_is_told_within_five_seconds_and_the_publish_goes_on_waiting() {
    let (world, pod) = without_provider(true);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let publish = scope.spawn(|| world.kubelet.publish(&pod));
        eventually("the pod is told", || world.api.events_for("web").len() == 1);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let event = world.api.events_for("web").remove(0);
        assert_eq!(
            (&event["type"], &event["reason"]),
            (&"Warning".into(), &"SecretsStoreProviderAbsent".into())
        );
        let socket = world.providers().join("test.sock");
        let expected = format!(
            "waiting for provider \"test\": nobody listens on {}; see whether its pod runs on this node",
            socket.display()
        );
        assert_eq!(event["message"], expected);
        assert!(!publish.is_finished());

        let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"x")])));
        publish.join().unwrap().unwrap();
    });
    assert_eq!(pod.read("password"), "x");
    assert_eq!(world.api.events_for("web").len(), 1);
}

#[test]
fn a_pod_that_goes_on_waiting_is_told_once_however_often_kubelet_comes() {
    let (world, pod) = without_provider(true);
    for call in 1..=3 {
        let status = world.kubelet.publish_within(&pod, Duration::from_secs(1)).unwrap_err();
        assert_eq!(status.code, Code::DeadlineExceeded, "{status}");
        eventually("the call has ended", || world.count("secrets_store_csi_calls_in_flight", &[]) == 0.0);
        // Of the first call came the event, and each further one had another to tell.
        eventually("it was told or held back", || dropped_events(&world) == f64::from(call - 1));
    }
    eventually("the pod is told", || world.api.events_for("web").len() == 1);
}

#[test]
fn a_pod_whose_provider_has_no_socket_is_told_at_once_and_once() {
    let (world, pod) = without_provider(false);
    for _ in 0..3 {
        let status = world.kubelet.publish(&pod).unwrap_err();
        assert!(status.message.ends_with("provider not found: provider \"test\""), "{status}");
    }
    assert_eq!(dropped_events(&world), 2.0);
    eventually("the pod is told", || world.api.events_for("web").len() == 1);
    let event = world.api.events_for("web").remove(0);
    assert!(event["message"].to_string().contains("provider not found"), "{event}");
}

#[test]
fn a_provider_that_begins_to_listen_soon_is_no_news() {
    let (world, pod) = without_provider(true);
    std::thread::scope(|scope| {
        let publish = scope.spawn(|| world.kubelet.publish(&pod));
        eventually("the volume is being made", || pod.is_mounted());
        let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"x")])));
        publish.join().unwrap().unwrap();
    });
    // One thread posts them in order: what was queued before is there when this one is.
    let other = world.pod("other", "missing");
    world.kubelet.publish(&other).unwrap_err();
    eventually("the other pod is told", || world.api.events_for("other").len() == 1);
    assert_eq!(world.api.events_for("web").len(), 0);
}

#[test]
fn an_api_server_that_takes_no_events_does_not_slow_a_waiting_publish_down() {
    let (world, pod) = without_provider(true);
    world.api.hang(Matcher::verb("create").and_path("/events"));
    std::thread::scope(|scope| {
        let publish = scope.spawn(|| world.kubelet.publish(&pod));
        world.driver().wait_for_log("waiting for provider");
        let begun = Instant::now();
        let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"x")])));
        publish.join().unwrap().unwrap();
        // The provider is looked for every 0.8 s, and an event takes the API server two seconds at most.
        assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
    });
    assert_eq!(pod.read("password"), "x");
}
