//! Whoever reaches the ports for metrics and health: connections without end that say nothing.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::group::SHIPPED_BYTES;
use crate::node::Node;
use crate::table::Report;

use super::Attack;

pub const ALL: [Attack; 1] = [("1,000 silent connections a second on each port", silent)];

fn silent() -> Report {
    let node = Node::start_with("silent", SHIPPED_BYTES, &["--health-addr=127.0.0.1:0"]);
    let ports: [SocketAddr; 2] =
        [node.world.health_address(), node.world.metrics_address()].map(|address| address.parse().unwrap());
    let (is_over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered = thread::scope(|scope| {
        for port in ports {
            let (is_over, made) = (&is_over, &made);
            scope.spawn(move || flood(port, is_over, made));
        }
        let pages = [(ports[0], "/healthz"), (ports[1], "/metrics")];
        let mut answered = [0; 2];
        for _ in 0..PROBES {
            for ((port, page), answered) in pages.iter().zip(&mut answered) {
                *answered += usize::from(is_served(*port, page));
            }
            // The pace of the probes.
            thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Relaxed);
        answered
    });
    assert_eq!(answered, [PROBES; 2], "probes and scrapes that were answered");
    let made = made.into_inner();
    assert!(made > PROBES * 50, "{made} connections are no flood");
    node.report(format!("{made} connections; {PROBES} of {PROBES} probes and scrapes answered"))
}

fn flood(port: SocketAddr, is_over: &AtomicBool, made: &AtomicUsize) {
    let (begun, mut held) = (Instant::now(), VecDeque::new());
    for number in 1_u32.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        // The pace of the flood.
        thread::sleep((Duration::from_millis(1) * number).saturating_sub(begun.elapsed()));
        held.extend(TcpStream::connect(port));
        made.fetch_add(1, Ordering::Relaxed);
        if held.len() > HELD {
            held.pop_front();
        }
    }
}

fn is_served(port: SocketAddr, page: &str) -> bool {
    let asked = TcpStream::connect_timeout(&port, TIMEOUT).and_then(|mut stream| {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

const PROBES: usize = 60;
/// As the manifests give a probe.
const TIMEOUT: Duration = Duration::from_secs(10);
const HELD: usize = 300;
