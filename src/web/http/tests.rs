//! The server against real sockets, behaved and otherwise.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use super::*;

/// Far more than anything here takes; reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(20);

fn routes() -> Routes {
    let hello = || Response::text(Status::Ok, "hello");
    let at_once = move |request: &Request| match request.path() {
        "/hello" => hello(),
        _ => Response::not_found(),
    };
    Routes::at_once(at_once)
        .page("/page", hello)
        .page("/large", || Response::new(Status::Ok, "application/octet-stream", vec![b'x'; LARGE]))
}

/// More than any socket's buffer.
const LARGE: usize = 32 * 1024 * 1024;

fn serve(limits: Limits) -> Server {
    Server::start_with(limits, "127.0.0.1:0", "test", routes()).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Everything the server says until it closes. A reset after the answer is tolerated, one instead of it
/// shows.
fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    String::from_utf8(answer).unwrap()
}

fn ask(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    read_all(&mut stream)
}

const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

const PAGE: &[u8] = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

#[track_caller]
fn assert_greeted(server: &Server) {
    for request in [HELLO, PAGE] {
        let answer = ask(server, request);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
}

/// Routes with `/held`, which is made while the test holds it, and what the test needs for that: it is told of each
/// beginning, and lets each end.
fn held() -> (Routes, Receiver<()>, Sender<()>) {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let routes = routes().page("/held", move || {
        entered.send(()).unwrap();
        released.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        Response::text(Status::Ok, "done")
    });
    (routes, has_entered, release)
}

const HELD: &[u8] = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn answers_fit_their_requests() {
    let server = serve(Limits::default());
    let rows: [(&str, &[u8], &str); 9] = [
        ("get", HELLO, "200 OK"),
        ("not found", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        (
            "post",
            b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "405 Method Not Allowed",
        ),
        (
            "get with a body",
            b"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "413 Content",
        ),
        (
            "chunked",
            b"GET /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "411 Length",
        ),
        ("http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version"),
        ("garbage", b"\x00\x01\x02\xff\xfe\r\n\r\n", "400 Bad Request"),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 Bad Request"),
        ("no host", b"GET /hello HTTP/1.1\r\n\r\n", "400 Bad Request"),
    ];
    for (name, bytes, status) in rows {
        let answer = ask(&server, bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{name}: {answer}");
    }
    assert!(ask(&server, b"PUT / HTTP/1.1\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"));
}

#[test]
fn head_gets_the_length_and_no_body() {
    let answer = ask(&serve(Limits::default()), b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("\r\nContent-Length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_client_that_trickles_is_told_408_when_the_whole_head_is_late() {
    let limits = Limits { head: Duration::from_millis(400), ..Limits::default() };
    let server = serve(limits);
    let mut stream = connect(&server);
    let started = Instant::now();
    // The read timeout is the pace of the trickle: shorter than the deadline, so a deadline for each read
    // would never come.
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut first = [0; 12];
    stream.write_all(b"GET /").unwrap();
    loop {
        assert!(started.elapsed() < DEADLINE, "the deadline never came");
        match stream.read(&mut first) {
            Ok(length) => break assert_eq!(&first[..length], b"HTTP/1.1 408"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        stream.write_all(b"a").unwrap();
    }
    assert!(started.elapsed() >= limits.head);
}

#[test]
fn a_client_that_says_nothing_is_told_408() {
    let server = serve(Limits { head: Duration::from_millis(100), ..Limits::default() });
    assert!(read_all(&mut connect(&server)).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_head_of_a_mebibyte_is_told_431() {
    let server = serve(Limits::default());
    let mut stream = connect(&server);
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let line = format!("X-Filler: {}\r\n", "a".repeat(1010));
        let head = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(1024));
        // The server may stop listening half-way, which is the point.
        let _ = writer.write_all(head.as_bytes());
    });
    let answer = read_all(&mut stream);
    sending.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_greeted(&server);
}

#[test]
fn pipelined_requests_and_junk_get_one_answer() {
    let server = serve(Limits::default());
    let answer = ask(&server, &[HELLO, HELLO, b"\x00\xffjunk" as &[u8]].concat());
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn a_half_closed_connection_is_served() {
    let server = serve(Limits::default());
    let mut stream = connect(&server);
    stream.write_all(HELLO).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut stream).ends_with("hello"));
}

#[test]
fn a_connection_that_ends_within_the_head_is_told_400_and_an_empty_one_nothing() {
    let server = serve(Limits::default());
    let mut partial = connect(&server);
    partial.write_all(b"GET /he").unwrap();
    partial.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut partial).starts_with("HTTP/1.1 400 "));
    let mut empty = connect(&server);
    empty.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut empty), "");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_put_together() {
    let server = serve(Limits::default());
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    for byte in HELLO {
        stream.write_all(&[*byte]).unwrap();
    }
    assert!(read_all(&mut stream).ends_with("hello"));
}

#[test]
fn slow_clients_do_not_starve_a_scraper() {
    let minutes = Duration::from_secs(600);
    let limits = Limits { incomplete: 4, answering: 4, head: minutes, answer: minutes, ..Limits::default() };
    let server = serve(limits);
    // Those that never finish their head, and those that never read an answer larger than any socket buffer.
    let mut slow: Vec<TcpStream> = (0..10).map(|_| connect(&server)).collect();
    for stream in &mut slow {
        // Those that had to go are gone already.
        drop(stream.write_all(b"GET /"));
    }
    for _ in 0..10 {
        let mut deaf = connect(&server);
        deaf.write_all(b"GET /large HTTP/1.0\r\n\r\n").unwrap();
        slow.push(deaf);
    }
    let started = Instant::now();
    assert_greeted(&server);
    assert!(started.elapsed() < DEADLINE, "they were given minutes");
}

#[test]
fn a_slow_client_has_its_time_while_others_are_served() {
    let server = serve(Limits { incomplete: 2, ..Limits::default() });
    let mut slow = connect(&server);
    slow.write_all(b"GET /hello HTTP/1.1\r\n").unwrap();
    for _ in 0..20 {
        assert_greeted(&server);
    }
    slow.write_all(b"Host: a\r\n\r\n").unwrap();
    assert!(read_all(&mut slow).ends_with("hello"));
}

#[test]
fn of_incomplete_connections_the_oldest_goes() {
    let server = serve(Limits { incomplete: 2, ..Limits::default() });
    let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
    assert_eq!(read_all(&mut clients[0]), "");
    for client in &mut clients[1..] {
        client.write_all(HELLO).unwrap();
        assert!(read_all(client).ends_with("hello"));
    }
}

#[test]
fn of_those_who_wait_for_a_page_the_oldest_is_told_to_come_back() {
    let (routes, has_entered, release) = held();
    let limits = Limits { waiting: 2, ..Limits::default() };
    let server = Server::start_with(limits, "127.0.0.1:0", "test", routes).unwrap();
    let mut clients: Vec<TcpStream> = (0..5).map(|_| connect(&server)).collect();
    // Connections are let in in the order in which they were made, but heard in any.
    for client in &mut clients {
        client.write_all(HELD).unwrap();
        assert!(ask(&server, HELLO).ends_with("hello"));
    }
    for client in &mut clients[..3] {
        assert!(read_all(client).starts_with("HTTP/1.1 503 "));
    }
    has_entered.recv_timeout(DEADLINE).unwrap();
    release.send(()).unwrap();
    for client in &mut clients[3..] {
        assert!(read_all(client).ends_with("done"));
    }
}

#[test]
fn those_who_wait_for_a_page_that_many_want_take_nobodys_place_elsewhere() {
    let (routes, has_entered, release) = held();
    let (quiet, release_quiet) = mpsc::channel::<()>();
    let quiet_released = Mutex::new(release_quiet);
    let routes = routes.page("/quiet", move || {
        quiet_released.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        Response::text(Status::Ok, "quiet")
    });
    let limits = Limits { waiting: 4, ..Limits::default() };
    let server = Server::start_with(limits, "127.0.0.1:0", "test", routes).unwrap();
    let mut first = connect(&server);
    first.write_all(b"GET /quiet HTTP/1.0\r\n\r\n").unwrap();
    assert_greeted(&server);
    let mut many: Vec<TcpStream> = (0..10).map(|_| connect(&server)).collect();
    for client in &mut many {
        client.write_all(HELD).unwrap();
    }
    assert_greeted(&server);
    quiet.send(()).unwrap();
    assert!(read_all(&mut first).ends_with("quiet"));
    has_entered.recv_timeout(DEADLINE).unwrap();
    release.send(()).unwrap();
    assert!(read_all(&mut many[9]).ends_with("done"));
}

#[test]
fn a_page_that_takes_its_time_is_made_once_for_all_who_ask_and_delays_nobody_else() {
    let (routes, has_entered, release) = held();
    let server = Server::start("127.0.0.1:0", "test", routes).unwrap();
    let mut clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    for client in &mut clients {
        client.write_all(HELD).unwrap();
    }
    has_entered.recv_timeout(DEADLINE).unwrap();
    assert_greeted(&server);
    release.send(()).unwrap();
    for client in &mut clients {
        assert!(read_all(client).ends_with("done"));
    }
    assert!(has_entered.try_recv().is_err(), "made again, for nobody");
}

#[test]
fn a_page_is_made_no_more_often_than_it_may_be_and_anew_for_everybody() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let routes = Routes::at_once(|_| Response::not_found()).page("/count", move || {
        Response::text(Status::Ok, format!("{}", count.fetch_add(1, Ordering::SeqCst)))
    });
    let server = Server::start("127.0.0.1:0", "test", routes).unwrap();
    let started = Instant::now();
    for number in 0..20 {
        let answer = ask(&server, b"GET /count HTTP/1.0\r\n\r\n");
        assert!(answer.ends_with(&format!("\r\n\r\n{number}")), "{answer}");
    }
    assert!(started.elapsed() >= REST * 19, "{:?}", started.elapsed());
}

#[test]
fn who_leaves_while_a_page_is_made_takes_nobody_with_him() {
    let (routes, has_entered, release) = held();
    let server = Server::start("127.0.0.1:0", "test", routes).unwrap();
    let mut clients: Vec<TcpStream> = (0..2).map(|_| connect(&server)).collect();
    for client in &mut clients {
        client.write_all(HELD).unwrap();
    }
    has_entered.recv_timeout(DEADLINE).unwrap();
    drop(clients.remove(0));
    assert_greeted(&server);
    release.send(()).unwrap();
    assert!(read_all(&mut clients[0]).ends_with("done"));
}

#[test]
fn everybody_in_a_flood_of_whole_requests_is_served() {
    let server = serve(Limits::default());
    let mut flood: Vec<TcpStream> = Vec::new();
    for _ in 0..400 {
        let mut stream = connect(&server);
        stream.write_all(HELLO).unwrap();
        flood.push(stream);
    }
    for stream in &mut flood {
        let answer = read_all(stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_greeted(&server);
}

#[test]
fn a_client_that_takes_its_answer_keeps_its_place_among_those_that_do_not() {
    let minutes = Duration::from_secs(600);
    let server = serve(Limits { answering: 4, answer: minutes, ..Limits::default() });
    let mut reader = connect(&server);
    reader.write_all(b"GET /large HTTP/1.0\r\n\r\n").unwrap();
    let mut piece = vec![0; 1024 * 1024];
    let mut deaf = Vec::new();
    for _ in 0..12 {
        // More than all the buffers on the way hold, so that the server has sent anew.
        reader.read_exact(&mut piece).unwrap();
        let mut client = connect(&server);
        client.write_all(b"GET /large HTTP/1.0\r\n\r\n").unwrap();
        deaf.push(client);
        assert!(ask(&server, b"HEAD /large HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }
    let rest = read_all(&mut reader).len();
    assert!(12 * piece.len() + rest > LARGE, "{rest}");
    assert!(read_all(&mut deaf[0]).len() < LARGE, "the first of those that do not read has gone");
}

#[test]
fn a_client_that_has_sent_all_and_reads_late_gets_all() {
    // Fits into the buffers of the server's kernel, and not into those of the client's.
    let body = vec![b'x'; 24 * 1024];
    let routes = Routes::at_once(move |request| match request.path() {
        "/hello" => Response::text(Status::Ok, "hello"),
        _ => Response::new(Status::Ok, "application/octet-stream", body.clone()),
    });
    let server = Server::start("127.0.0.1:0", "test", routes).unwrap();
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
    let socket = socket.unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1024).unwrap();
    rustix::net::connect(&socket, &server.local_addr()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // Whoever comes later is answered later.
    assert!(ask(&server, HELLO).ends_with("hello"));
    let answer = read_all(&mut stream);
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 24 * 1024);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_answer_harms_nobody() {
    let server = serve(Limits { answering: 1, ..Limits::default() });
    for _ in 0..5 {
        let mut stream = connect(&server);
        stream.write_all(b"GET /large HTTP/1.0\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 64]).unwrap();
        drop(stream);
    }
    assert_greeted(&server);
}

#[test]
fn a_large_answer_arrives_whole() {
    let answer = ask(&serve(Limits::default()), b"GET /large HTTP/1.0\r\n\r\n");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), LARGE);
}

#[test]
fn stopping_ends_idle_and_slow_connections_and_frees_the_port() {
    let server = serve(Limits { head: Duration::from_secs(600), ..Limits::default() });
    let address = server.local_addr();
    let mut slow = connect(&server);
    slow.write_all(b"GET /").unwrap();
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < DEADLINE, "it waited for the client");
    read_all(&mut slow);
    assert!(TcpStream::connect(address).is_err());
    assert!(TcpListener::bind(address).is_ok());
}

#[test]
fn a_port_alone_means_every_interface() {
    let server = Server::start(":0", "test", routes()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.local_addr().port())).unwrap();
    stream.write_all(HELLO).unwrap();
    assert!(read_all(&mut stream).ends_with("hello"));
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    let taken = serve(Limits::default());
    let rows =
        [taken.local_addr().to_string(), "nonsense".to_string(), ":port".to_string(), ":99999".to_string()];
    for address in rows {
        let refused = Server::start(&address, "test", routes()).err().unwrap().to_string();
        assert!(refused.starts_with(&format!("could not listen on {address}: ")), "{refused}");
    }
}
