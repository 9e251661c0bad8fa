//! Readiness probes of kubelet's that come before kubelet has registered the driver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use web::admin::PATIENCE;

use super::{NAME, NOT_READY, await_unregistered, kubelet, node};
use kit::world::{World, http_get};

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
fn probes_that_wait_in_vain_are_told_so_in_time_and_keep_nobody_else_waiting() {
    let (_world, address) = unregistered();
    std::thread::scope(|scope| {
        let answers = two_probes(scope, &address);
        assert_eq!(http_get(&address, "/healthz"), (200, "ok".to_owned()));
        assert_eq!(http_get(&address, "/readyz"), (503, NOT_READY.to_owned()));
        assert!(answers.try_recv().is_err(), "they may wait");
        for _ in 0..2 {
            let (answer, slowly) = answers.recv().unwrap();
            assert_eq!(answer, (503, NOT_READY.to_owned()));
            // They wait together, so the second one for the rest of the first one's time.
            assert!(slowly >= PATIENCE / 2 && slowly < PATIENCE + Duration::from_secs(2), "{slowly:?}");
        }
    });
}

#[test]
fn probes_that_wait_do_not_delay_the_end_of_the_driver() {
    let (mut world, address) = unregistered();
    let begun = Instant::now();
    let mut probe = TcpStream::connect(&address).unwrap();
    probe.write_all(b"GET /readyz?wait HTTP/1.0\r\n\r\n").unwrap();
    // Whoever comes later is served later: the probe waits now.
    assert_eq!(http_get(&address, "/healthz").0, 200);
    world.take_driver().terminate();
    let mut answer = String::new();
    probe.read_to_string(&mut answer).unwrap();
    // Whatever it is told.
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
