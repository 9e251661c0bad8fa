//! Whoever sits in the API server's place and breaks TLS, and authorities that may not vouch for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use ::api_server::{ApiServer, Settings};
use kit::eventually;

/// What is said in the middle of a handshake, in records of TLS. The connection stays open after it.
fn interruptions() -> Vec<(&'static str, Vec<u8>)> {
    let alert = |level: u8, kind: u8| record(21, &[level, kind]);
    // Version 1.2, a random number, no session, a suite, no compression.
    let hello = [&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2f, 0]].concat();
    let hello = [&[2, 0, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
    vec![
        ("close_notify", alert(1, 0)),
        ("close_notify again and again", alert(1, 0).repeat(1000)),
        ("a warning", alert(1, 90)),
        ("warnings", alert(1, 90).repeat(1000)),
        ("a fatal alert", alert(2, 40)),
        ("close_notify after a hello", [record(22, &hello), alert(1, 0)].concat()),
        ("half a hello", record(22, &hello[..20])),
        ("empty records", record(22, b"").repeat(1000)),
        ("data", record(23, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
        ("a record of no kind", record(99, b"x")),
        ("a record that is too long", [&[22, 3, 3, 0xff, 0xff][..], &[0; 1000]].concat()),
        ("half a record", vec![22, 3, 3]),
        ("plain HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        ("nothing", Vec::new()),
    ]
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3][..], &length, content].concat()
}

#[test]
fn a_handshake_that_is_cut_short_is_an_error_in_time_and_no_loop() {
    let files = tempfile::tempdir().unwrap();
    let authority = files.path().join("ca.crt");
    std::fs::write(&authority, ApiServer::with(Settings { tls: true, token: None }).ca_pem()).unwrap();
    // At once, since most of them are waited for.
    thread::scope(|scope| {
        for (name, said) in interruptions() {
            let authority = &authority;
            scope.spawn(move || assert_is_an_error(authority, name, said));
        }
    });
}

fn assert_is_an_error(authority: &Path, name: &str, said: Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let said = said.clone();
            thread::spawn(move || interrupt(stream, &said));
        }
    });
    let authority = authority.display();
    let flags = [format!("--kube-api-server={url}"), format!("--kube-ca-file={authority}")];
    let world = World::start(&flags.each_ref().map(String::as_str));
    let pod = world.pod("web", "db");
    let begun = Instant::now();
    let status = world.kubelet.publish_within(&pod, Duration::from_secs(4)).expect_err(name);
    assert!(begun.elapsed() < Duration::from_secs(8), "{name}: {:?}", begun.elapsed());
    assert_is_presentable(&status, name);
    eventually("the attempt is undone", || !pod.target.exists());
    // A loop would go on after the call, in the greeting at the latest.
    let used = cpu_time(&world);
    println!("{name}: {} in {:?}, {used:?} of the processor", status.code.name(), begun.elapsed());
    assert!(used < Duration::from_secs(2), "{name}: {used:?} of the processor");
}

/// Reads what the client begins with, says something, and waits until the client has enough.
fn interrupt(mut stream: TcpStream, said: &[u8]) {
    let mut buffer = [0; 4096];
    if stream.read(&mut buffer).is_ok() && stream.write_all(said).is_ok() {
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}

/// What the driver has used of the processor so far.
fn cpu_time(world: &World) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.driver().id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn an_authority_vouches_for_what_it_is_limited_to_and_for_nothing_else() {
    // The server's certificate is for 127.0.0.1 and for localhost.
    let rows: [(&str, &[&str], &[&str], bool); 7] = [
        ("without limits", &[], &[], true),
        ("for the address and the name", &["127.0.0.0/8", "localhost"], &[], true),
        ("for another network", &["10.0.0.0/8", "localhost"], &[], false),
        ("for another name", &["127.0.0.0/8", "example.com"], &[], false),
        ("for all but the network", &[], &["127.0.0.0/8"], false),
        ("for all but the name", &[], &["localhost"], false),
        ("for all but another", &[], &["10.0.0.0/8", "example.com"], true),
    ];
    for (name, permitted, excluded, is_trusted) in rows {
        let api = ApiServer::with(Settings { tls: true, token: None });
        api.limit_authority(permitted, excluded);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), api.ca_pem()).unwrap();
        let authority = format!("--kube-ca-file={}", file.path().display());
        let mut world = World::without_driver(&[&authority]);
        world.api = api.into();
        let _provider = world.provider("test", |_| Ok(good()));
        world.class("db", "test", objects(&["password"]));
        world.start_driver();
        let pod = world.pod("web", "db");
        let outcome = world.kubelet.publish(&pod);
        assert_eq!(outcome.is_ok(), is_trusted, "an authority {name}: {outcome:?}");
        if let Err(status) = outcome {
            assert!(status.message.contains("no trusted connection"), "{name}: {status}");
            assert!(world.api.requests().is_empty(), "{name}: nothing was asked");
            assert_is_gone(&pod, name);
        }
    }
}
