//! Ports on which the programs of the control plane listen.

use std::net::TcpListener;

/// Ports that are free now, below those that the system gives to outgoing connections: a program that is stopped for a
/// while finds its port free when it is started again, and no client that calls in vain connects to itself.
pub fn free<const N: usize>() -> [u16; N] {
    // Two runs at a time look in different places.
    let first = LOWEST + u16::try_from(std::process::id() % u32::from(RANGE)).expect("less than a port");
    let mut candidates = (first..HIGHEST).chain(LOWEST..first);
    std::array::from_fn(|_| {
        candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("some port is free")
    })
}

const LOWEST: u16 = 20_000;
const HIGHEST: u16 = 32_000;
const RANGE: u16 = HIGHEST - LOWEST;
