//! Many calls at once: what excludes what, and what is turned away.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rpc::pb::csi as pb;
use rpc::status::Code;
use serde_json::json;

use kit::eventually;
use kit::gate::Gate;
use kit::scene::{Scene, old};
use kit::world::World;

/// A scene whose provider answers when the gate is open.
fn gated(flags: &[&str]) -> (Scene, Gate) {
    let gate = Gate::default();
    let waiting = gate.clone();
    let scene = Scene::scripted(flags, move |_| {
        waiting.wait();
        Ok(old())
    });
    (scene, gate)
}

#[test]
fn a_volume_that_is_being_worked_on_takes_no_second_call() {
    let (scene, gate) = gated(&[]);
    let Scene { world, pod, provider } = &scene;
    thread::scope(|scope| {
        let first = scope.spawn(|| world.kubelet.publish(pod));
        eventually("the provider is asked", || provider.calls() == 1);

        let mut same_target = pod.clone();
        same_target.volume_id = "csi-other".to_owned();
        let mut same_id = pod.clone();
        same_id.target = world.path("pods/uid-web/volumes/kubernetes.io~csi/other/mount");
        for (name, second) in
            [("the same volume", pod), ("the same target", &same_target), ("the same id", &same_id)]
        {
            let status = world.kubelet.publish(second).expect_err(name);
            assert_eq!(status.code, Code::Aborted, "{name}: {status}");
            assert_eq!(status.message, "another call for this volume is in progress", "{name}");
        }
        assert_eq!(world.kubelet.unpublish(pod).unwrap_err().code, Code::Aborted);

        let other = world.pod("other", "db");
        let other = scope.spawn(move || world.kubelet.publish(&other));
        eventually("the provider is asked for the other volume", || provider.calls() == 2);
        gate.open();
        first.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
    });
    assert_eq!(pod.read("password"), "old");
    assert!(!world.path("pods/uid-web/volumes/kubernetes.io~csi/other").exists());
    assert_eq!(world.api.events_for("web").len(), 0, "kubelet comes back by itself");
    world.kubelet.unpublish(pod).unwrap();
}

#[test]
fn a_driver_whose_workers_all_wait_for_a_provider_is_alive_to_whoever_probes_it() {
    let (scene, gate) = gated(&["--max-concurrent-calls=1", "--max-provider-calls=1"]);
    let Scene { world, pod, provider } = &scene;
    thread::scope(|scope| {
        let first = scope.spawn(|| world.kubelet.publish(pod));
        eventually("the one worker is busy", || provider.calls() == 1);

        assert_eq!(world.kubelet.probe(), Ok(true), "to a sidecar");
        assert_eq!(world.plugin_name(), "secrets-store.csi.k8s.io");
        let (code, page) = world.http_get("/healthz");
        assert_eq!((code, page.as_str()), (200, "ok"), "to kubelet");
        assert!(!first.is_finished(), "nobody let it through yet");
        gate.open();
        first.join().unwrap().unwrap();
    });
}

#[test]
fn calls_beyond_workers_and_queue_are_turned_away_at_once() {
    let (scene, gate) = gated(&["--max-concurrent-calls=1", "--max-provider-calls=1"]);
    let Scene { world, pod, provider } = &scene;
    thread::scope(|scope| {
        let first = scope.spawn(|| world.kubelet.publish(pod));
        eventually("the one worker is busy", || provider.calls() == 1);

        let calls: Vec<_> = (0..QUEUE + 8)
            .map(|_| {
                let call = || {
                    world.kubelet.call::<_, pb::NodeGetInfoResponse>(
                        "/csi.v1.Node/NodeGetInfo",
                        &pb::NodeGetInfoRequest::default(),
                    )
                };
                thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, call).unwrap()
            })
            .collect();
        // Those that found no room have ended while the worker is still busy; the others wait for it.
        eventually("eight are turned away", || calls.iter().filter(|call| call.is_finished()).count() == 8);
        assert_eq!(world.count("secrets_store_csi_calls_rejected_total", &[]), 8.0);
        gate.open();
        let refused: Vec<_> = calls.into_iter().filter_map(|call| call.join().unwrap().err()).collect();
        assert_eq!(refused.len(), 8);
        for status in refused {
            assert_eq!(status.code, Code::ResourceExhausted, "{status}");
            assert_eq!(status.message, "too many calls at once, try again");
        }
        first.join().unwrap().unwrap();
    });
    assert_eq!(pod.read("password"), "old");
}

/// As many calls wait for a worker.
const QUEUE: usize = 256;

#[test]
fn a_provider_that_hangs_costs_its_own_callers_only() {
    let (scene, gate) = gated(&["--max-provider-calls=1"]);
    let Scene { world, pod, provider } = &scene;
    let _fast = world.provider("fast", |_| Ok(old()));
    world.class("elsewhere", "fast", json!({"objects": "some"}));
    thread::scope(|scope| {
        let first = scope.spawn(|| world.kubelet.publish(pod));
        eventually("the provider is busy", || provider.calls() == 1);

        let begun = Instant::now();
        let second = world.pod("second", "db");
        let status = world.kubelet.publish(&second).unwrap_err();
        assert_eq!(status.code, Code::Unavailable, "{status}");
        assert!(status.message.contains("which is what --max-provider-calls allows"), "{status}");
        assert!(begun.elapsed() < AT_ONCE, "a full provider is not waited for: {:?}", begun.elapsed());
        assert!(!second.is_mounted() && !second.target.exists());
        assert_eq!(provider.calls(), 1);

        let third = world.pod("third", "elsewhere");
        world.kubelet.publish(&third).unwrap();
        assert_eq!(third.read("password"), "old");

        gate.open();
        first.join().unwrap().unwrap();
        world.kubelet.publish(&second).unwrap();
        assert_eq!(second.read("password"), "old");
    });
}

#[test]
fn a_class_whose_calls_hang_leaves_its_provider_to_the_others_and_loses_none_of_its_own() {
    /// As many pods as a node has, and more of the calls than a class may have in hand.
    const PODS: usize = 110;
    let gate = Gate::default();
    let waiting = gate.clone();
    let scene = Scene::scripted(&[], move |request| {
        if request.attributes.contains("blackhole") {
            waiting.wait();
        }
        Ok(old())
    });
    let Scene { world, provider, .. } = &scene;
    world.class("hangs", "test", json!({"objects": "some", "address": "blackhole"}));
    let pods: Vec<_> = (0..PODS).map(|number| world.pod(&format!("hangs-{number}"), "hangs")).collect();
    thread::scope(|scope| {
        let calls: Vec<_> = pods
            .iter()
            .map(|pod| {
                let call = || world.kubelet.publish(pod);
                thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, call).unwrap()
            })
            .collect();
        eventually("the class has its share", || provider.calls() == SHARE);
        eventually("and the rest is in flight", || {
            world.count("secrets_store_csi_calls_in_flight", &[]) == PODS as f64
        });
        let begun = Instant::now();
        world.kubelet.publish(&scene.pod).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(provider.calls(), SHARE + 1);
        gate.open();
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
    assert!(pods.iter().all(|pod| pod.read("password") == "old"));
}

/// Three quarters of the default of --max-provider-calls.
const SHARE: usize = 96;

/// Less than the pause before a second attempt, with room for a busy machine.
const AT_ONCE: Duration = Duration::from_millis(700);

#[test]
fn many_pods_start_at_once() {
    const PODS: usize = 32;
    let scene = Scene::start(&[]);
    let world: &World = &scene.world;
    let pods: Vec<_> = (0..PODS).map(|number| world.pod(&format!("pod-{number}"), "db")).collect();
    let start = Barrier::new(PODS);
    let all = |call: fn(&World, &kit::world::Pod)| {
        thread::scope(|scope| {
            for pod in &pods {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    call(world, pod);
                });
            }
        });
    };
    all(|world, pod| {
        world.kubelet.publish(pod).unwrap();
        assert_eq!(pod.read("password"), "old");
    });
    assert_eq!(world.mounts().len(), PODS);
    assert_eq!(world.count("secrets_store_csi_live_volumes", &[]), PODS as f64);
    all(|world, pod| world.kubelet.unpublish(pod).unwrap());
    assert_eq!(world.mounts().len(), 0);
    assert_eq!(world.count("secrets_store_csi_live_volumes", &[]), 0.0);
    eventually("no call is in hand", || world.count("secrets_store_csi_calls_in_flight", &[]) == 0.0);
}
