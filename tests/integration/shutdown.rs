//! How the driver ends: what is in hand is finished, nothing new is begun, and it never takes longer than asked.

use std::thread;
use std::time::{Duration, Instant};

use rpc::pb::csi as pb;
use rpc::status::Status;
use serde_json::json;

use kit::eventually;
use kit::gate::Gate;
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World};

/// A world with a publish in hand: its provider waits at a gate.
struct Busy {
    // Before the provider, which waits for the scripts that it runs.
    gate: Opened,
    provider: ScriptedProvider,
    world: World,
    pod: Pod,
}

/// Opens its gate when a test ends, however it ends.
struct Opened(Gate);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Busy {
    fn new(flags: &[&str]) -> Busy {
        let world = World::start(flags);
        let gate = Opened(Gate::default());
        let held = gate.0.clone();
        let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", move |_| {
            held.wait();
            Ok(answer("v1", &[("password", 0, b"hunter2")]))
        });
        world.class("db", "test", json!({"objects": "some"}));
        let pod = world.pod("web", "db");
        Busy { gate, provider, world, pod }
    }

    /// Publishes, calls `meanwhile` while the provider has the call, and returns what kubelet got.
    fn publish(&self, meanwhile: impl FnOnce()) -> Result<(), Status> {
        let (kubelet, pod) = (&self.world.kubelet, &self.pod);
        thread::scope(|scope| {
            let publish = scope.spawn(|| kubelet.publish(pod));
            eventually("the provider has the call", || self.provider.calls() == 1);
            meanwhile();
            publish.join().unwrap()
        })
    }

    /// Waits until calls are turned away.
    fn await_refusal(&self) {
        eventually("a new call is refused", || {
            let request = pb::NodeGetInfoRequest::default();
            let short = Duration::from_millis(300);
            let kubelet = &self.world.kubelet;
            kubelet
                .call_within::<_, pb::NodeGetInfoResponse>("/csi.v1.Node/NodeGetInfo", &request, short)
                .is_err()
        });
    }
}

#[test]
fn a_call_in_hand_is_finished_and_a_new_one_refused() {
    let mut busy = Busy::new(&[]);
    let outcome = busy.publish(|| {
        busy.world.driver().signal("TERM");
        busy.world.driver().wait_for_log("\"stopping\"");
        busy.await_refusal();
        busy.gate.0.open();
    });
    assert_eq!(outcome, Ok(()));
    let mut driver = busy.world.take_driver();
    assert_eq!(driver.wait().code(), Some(0), "{}", driver.log());
    assert_eq!(busy.pod.read("password"), "hunter2");
    let log = driver.log();
    assert!(log.contains("\"stopped\"") && !log.contains("cut off"), "{log}");
}

#[test]
fn a_call_that_hangs_is_cut_off_after_the_grace_period() {
    let mut busy = Busy::new(&["--shutdown-grace-period=1s"]);
    let begun = Instant::now();
    let outcome = busy.publish(|| busy.world.driver().signal("TERM"));
    assert!(outcome.is_err(), "{outcome:?}");
    let mut driver = busy.world.take_driver();
    assert_eq!(driver.wait().code(), Some(0), "{}", driver.log());
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_secs(1), "{elapsed:?}");
    // The gate lets nobody through in this time: it was the driver that gave up.
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    assert!(driver.log().contains("were cut off"), "{}", driver.log());
    assert!(!busy.pod.target.join("password").exists());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut busy = Busy::new(&["--shutdown-grace-period=1h"]);
    let outcome = busy.publish(|| {
        let driver = busy.world.driver();
        driver.signal("TERM");
        driver.wait_for_log("received a signal");
        driver.signal("INT");
    });
    assert!(outcome.is_err(), "{outcome:?}");
    let mut driver = busy.world.take_driver();
    assert_eq!(driver.wait().code(), Some(1), "{}", driver.log());
    assert!(!driver.log().contains("\"stopped\""), "{}", driver.log());
}

#[test]
fn an_idle_driver_ends_well_at_either_signal() {
    for signal in ["TERM", "INT"] {
        let mut world = World::start(&["--shutdown-grace-period=1h"]);
        let mut driver = world.take_driver();
        driver.signal(signal);
        assert_eq!(driver.wait().code(), Some(0), "{signal}: {}", driver.log());
        assert!(driver.log().contains("\"stopped\""), "{signal}: {}", driver.log());
    }
}

#[test]
fn without_a_grace_period_nothing_is_waited_for() {
    let mut busy = Busy::new(&["--shutdown-grace-period=0"]);
    let outcome = busy.publish(|| busy.world.driver().signal("TERM"));
    assert!(outcome.is_err(), "{outcome:?}");
    let mut driver = busy.world.take_driver();
    assert_eq!(driver.wait().code(), Some(0), "{}", driver.log());
}
