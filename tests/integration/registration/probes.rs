//! Readiness probes of kubelet's that come before kubelet has registered the driver.

use std::sync::mpsc::{Receiver, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use secrets_store_csi_driver::admin::PATIENCE;

use super::{NAME, NOT_READY, await_unregistered, kubelet, node};
use crate::support::world::{World, http_get};

/// A node whose driver waits for kubelet alone, and its listener for health.
fn unregistered() -> (World, String) {
    let mut world = node(&["--health-addr=127.0.0.1:0"]);
    world.start_driver();
    await_unregistered(&world);
    let address = world.health_address();
    (world, address)
}

/// An answer, and the time that it took.
type Answer = ((u16, String), Duration);

/// Two probes that may wait, at the same time.
fn two_probes<'scope>(scope: &'scope Scope<'scope, '_>, address: &str) -> Receiver<Answer> {
    let (answered, answers) = channel();
    for _ in 0..2 {
        let (answered, address) = (answered.clone(), address.to_owned());
        scope.spawn(move || {
            let begun = Instant::now();
            let answer = http_get(&address, "/readyz?wait");
            answered.send((answer, begun.elapsed())).unwrap();
        });
    }
    answers
}

#[test]
fn a_probe_that_may_wait_is_answered_once_kubelet_has_registered_the_driver() {
    let (world, address) = unregistered();
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| http_get(&address, "/readyz?wait"));
        let kubelet = kubelet(&world);
        kubelet.await_registration(NAME);
        assert_eq!(probe.join().unwrap(), (200, "ok".to_owned()));
    });
}

#[test]
fn a_probe_that_waits_in_vain_is_told_so_in_time_and_keeps_nobody_else_waiting() {
    let (_world, address) = unregistered();
    std::thread::scope(|scope| {
        let answers = two_probes(scope, &address);
        let (quick, quickly) = answers.recv().unwrap();
        assert_eq!(quick, (503, NOT_READY.to_owned()));
        assert!(quickly < PATIENCE / 2, "{quickly:?}");
        assert_eq!(http_get(&address, "/healthz"), (200, "ok".to_owned()));
        assert_eq!(http_get(&address, "/readyz"), (503, NOT_READY.to_owned()));
        let (slow, slowly) = answers.recv().unwrap();
        assert_eq!(slow, (503, NOT_READY.to_owned()));
        assert!(slowly >= PATIENCE && slowly < PATIENCE + Duration::from_secs(2), "{slowly:?}");
    });
}

#[test]
fn a_probe_that_waits_does_not_delay_the_end_of_the_driver() {
    let (mut world, address) = unregistered();
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let answers = two_probes(scope, &address);
        // The other one waits now.
        answers.recv().unwrap();
        world.take_driver().terminate();
        // Whatever it is told.
        answers.recv().unwrap();
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    });
}
