//! One page of the driver's own HTTP listener, within bounds of time and size.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use config::BindAddress;

/// Status code and body of a page. An error is a text for people.
pub fn get(address: &BindAddress, page: &str, time: Duration) -> Result<(u16, String), String> {
    let until = Instant::now() + time;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err("no answer in time".to_owned()) } else { Ok(left) }
    };
    let shown = |error: std::io::Error| error.to_string();
    let found = address.listen_addr().to_socket_addrs().map_err(shown)?.next();
    let target = reachable(found.ok_or_else(|| "its host has no address".to_owned())?);
    let mut stream = TcpStream::connect_timeout(&target, left()?).map_err(shown)?;
    stream.set_write_timeout(Some(left()?)).map_err(shown)?;
    write!(stream, "GET {page} HTTP/1.0\r\nHost: doctor\r\nConnection: close\r\n\r\n").map_err(shown)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        stream.set_read_timeout(Some(left()?)).map_err(shown)?;
        match stream.read(&mut piece).map_err(shown)? {
            0 => break,
            count => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
        if answer.len() > LARGEST_ANSWER_BYTES {
            return Err("the answer is too large".to_owned());
        }
    }
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| "the answer is not HTTP".to_owned())
}

/// An address that stands for every interface is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // A listener on every interface takes IPv4 in either form.
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    address
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((code, body.to_owned()))
}

/// The metrics of a driver are some dozen KiB.
const LARGEST_ANSWER_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\nmore", Some((200, "body\r\n\r\nmore".to_owned()))),
            ("HTTP/1.0 503 -\r\n\r\n", Some((503, String::new()))),
            ("HTTP/1.1 200", None),
            ("HTTP/1.1 2\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
        ];
        for (answer, expected) in rows {
            assert_eq!(parse(answer), expected, "{answer}");
        }
    }

    #[test]
    fn every_interface_is_reached_on_this_machine() {
        for (address, expected) in
            [("[::]:1", "127.0.0.1:1"), ("0.0.0.0:1", "127.0.0.1:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(address.parse().unwrap()), expected.parse().unwrap());
        }
    }

    #[test]
    fn a_listener_that_says_nothing_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = BindAddress::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let begun = Instant::now();
        assert!(get(&address, "/", Duration::from_millis(200)).is_err());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
