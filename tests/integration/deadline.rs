//! Calls that kubelet gives up before the driver has its answer: nothing is half done, and the next call works.

use std::time::Duration;

use rpc::status::Code;

use api_server::Matcher;
use kit::eventually;
use kit::gate::Gate;
use kit::scene::{ALWAYS, HOURLY, Scene, new, old};

#[test]
fn a_provider_that_hangs_past_kubelets_deadline_leaves_nothing_and_the_next_call_works() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let scene = Scene::scripted(&HOURLY, move |_| {
        waiting.wait();
        Ok(old())
    });
    let status = scene.world.kubelet.publish_within(&scene.pod, Duration::from_secs(1)).unwrap_err();
    assert_eq!(status.code, Code::DeadlineExceeded, "{status}");
    scene.wait_until_nothing_is_left();
    eventually("no call is in hand", || scene.world.count("secrets_store_csi_calls_in_flight", &[]) == 0.0);
    eventually("the pod is told", || scene.world.api.events_for("web").len() == 1);
    let told = scene.world.api.events_for("web")[0]["message"].to_string();
    assert!(told.contains("gave no answer in time"), "{told}");
    gate.open();
    scene.publish();
    assert_eq!(scene.pod.read("password"), "old");
}

#[test]
fn an_api_server_that_hangs_past_kubelets_deadline_leaves_nothing_and_the_next_call_works() {
    let table = [
        ("class", Matcher::path("secretproviderclasses/")),
        ("pod status", Matcher::path("secretproviderclasspodstatuses")),
    ];
    for (name, matcher) in table {
        let scene = Scene::start(&HOURLY);
        scene.world.api.hang(matcher);
        let status = scene.world.kubelet.publish_within(&scene.pod, Duration::from_secs(1)).expect_err(name);
        assert_eq!(status.code, Code::DeadlineExceeded, "{name}: {status}");
        scene.world.api.clear_faults();
        // The call that nobody waits for any more still ends, one way or the other; kubelet comes back meanwhile.
        eventually("the volume can be published", || match scene.world.kubelet.publish(&scene.pod) {
            Ok(()) => true,
            Err(status) => {
                assert_eq!(status.code, Code::Aborted, "{name}: {status}");
                false
            }
        });
        assert_eq!(scene.pod.mount_count(), 1, "{name}");
        assert_eq!(scene.pod.read("password"), "old", "{name}");
    }
}

#[test]
fn a_provider_that_hangs_past_kubelets_deadline_costs_a_live_volume_nothing() {
    let scene = Scene::published(&ALWAYS);
    let gate = Gate::default();
    let waiting = gate.clone();
    scene.provider.script(move |_| {
        waiting.wait();
        Ok(new())
    });
    let late = scene.world.kubelet.publish_within(&scene.pod, Duration::from_millis(500));
    assert_eq!(late.unwrap_err().code, Code::DeadlineExceeded);
    eventually("the call ends", || scene.world.count("secrets_store_csi_calls_in_flight", &[]) == 0.0);
    assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1));
    gate.open();
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new");
}
