//! The metrics port is open to every pod: what comes in there must not disturb kubelet.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn bad_http_on_the_metrics_port_does_not_disturb_kubelet() {
    let (world, _provider, live) = live_node();
    let address = world.metrics_address();
    let openings: [&[u8]; 8] = [
        b"",
        b"G",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n\xff\xff\xff",
    ];
    let mut held = Vec::new();
    for round in 0..50 {
        for opening in openings {
            if let Ok(mut stream) = TcpStream::connect(&address) {
                // The driver may have closed it already, which is its right.
                drop(stream.write_all(opening));
                held.push(stream);
            }
        }
        if let Ok(mut stream) = TcpStream::connect(&address) {
            drop(stream.write_all(&vec![b'A' + (round % 26); 256 << 10]));
        }
        let begun = Instant::now();
        world.kubelet.publish(&live).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "round {round}: {:?}", begun.elapsed());
        assert_is_good(&live, "among bad requests");
    }
    drop(held);
    kit::eventually("the page is served again", || world.http_get("/metrics").0 == 200);
    let healthy = || world.http_get("/healthz") == (200, "ok".to_owned());
    kit::eventually("the driver is found healthy again", healthy);
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();
    assert_log_is_whole(&world);
}
