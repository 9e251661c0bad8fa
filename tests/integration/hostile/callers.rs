//! Callers of the CSI socket that break the protocol or wear it out: floods of streams and of frames that ask for
//! nothing, broken frames, paths that are no method. Only root can open that socket; these are about a caller that has
//! got that far and is not kubelet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use protobuf::Message;

use super::*;
use kit::eventually;
use kit::http2::*;

/// Streams that are reset at once are not bounded by how many may be open. The library works them off one by one, so
/// they cost time and memory in proportion while they last; what can be asked is that this is all, and that it comes
/// back.
#[test]
fn streams_that_are_reset_at_once_cost_no_thread_and_no_work_and_are_over_when_they_are() {
    let (world, _provider) = node(&[]);
    let opened = |stream| frame(HEADERS, END_HEADERS, stream, &request(INFO));
    let called = |stream| call(stream, INFO, b"");
    // A call that a worker would have to take.
    let message = publish_request(&world.pod("flood", "none")).write_to_bytes().unwrap();
    let published = |stream| call(stream, b"/csi.v1.Node/NodePublishVolume", &message);
    type Begin<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let rows: [(&str, Begin<'_>); 4] =
        [("opened", &opened), ("opened again", &opened), ("called", &called), ("published", &published)];
    let mut first_peak = None;
    for (name, begin) in rows {
        let held = flood(&world, name, Reading::All, ALL, &mut |round| {
            // A stream has an odd number, and no number twice.
            let stream = 2 * round + 1;
            [begin(stream), frame(RST_STREAM, 0, stream, &CANCEL)].concat()
        });
        let most = u64::from(RESETS) * MOST_KIB_A_STREAM;
        assert!(held.peak_kib < most, "{name}: {} KiB for {RESETS} streams", held.peak_kib);
        let first_peak = *first_peak.get_or_insert(held.peak_kib);
        if name == "opened again" {
            assert!(held.peak_kib < first_peak * 5 / 4, "{} KiB after {first_peak}", held.peak_kib);
        }
    }
    eventually("no work is left of it", || world.count("secrets_store_csi_calls_in_flight", &[]) == 0.0);
    let pod = world.pod("after", "db");
    world.kubelet.publish(&pod).unwrap();
    assert_is_good(&pod, "after the flood");
}

#[test]
fn streams_that_are_left_open_are_as_many_as_there_may_be_and_no_more() {
    let (world, _provider) = node(&[]);
    let before = Held::by(&world);
    let held = flood(&world, "left open", Reading::All, ALL, &mut |round| {
        // The library keeps a caller to what that has taken note of.
        let noted = if round == 0 { frame(SETTINGS, ACK, 0, b"") } else { Vec::new() };
        [noted, frame(HEADERS, END_HEADERS, 2 * round + 1, &request(INFO))].concat()
    });
    let grown = held.peak_kib.saturating_sub(before.kib);
    assert!(grown < MOST_GROWN_KIB / 2, "{grown} KiB more than before for {RESETS} streams");
    let pod = world.pod("after", "db");
    world.kubelet.publish(&pod).unwrap();
    assert_is_good(&pod, "after the flood");
}

#[test]
fn frames_that_ask_for_nothing_cost_neither_memory_nor_threads_nor_other_callers() {
    let (world, _provider) = node(&[]);
    let before = Held::by(&world);
    let settings = |round: u32| frame(SETTINGS, 0, 0, &[&[0, 1][..], &(round % 4096).to_be_bytes()].concat());
    let open = frame(HEADERS, END_HEADERS, 1, &request(INFO));
    let endless = frame(HEADERS, 0, 1, &request(INFO));
    let once = |first: &Vec<u8>, round: u32, then: Vec<u8>| {
        if round == 0 { [first.clone(), then].concat() } else { then }
    };
    type Flood<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let rows: [(&str, Flood<'_>); 12] = [
        ("empty settings", &|_| frame(SETTINGS, 0, 0, b"")),
        ("changed settings", &settings),
        ("pings", &|round| frame(PING, 0, 0, &u64::from(round).to_be_bytes())),
        ("answers to pings", &|round| frame(PING, ACK, 0, &u64::from(round).to_be_bytes())),
        ("priorities", &|round| frame(PRIORITY, 0, 2 * round + 1, &[0, 0, 0, 0, 7])),
        ("window updates", &|_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("resets of what is idle", &|round| frame(RST_STREAM, 0, 2 * round + 1, &CANCEL)),
        ("frames of no kind", &|_| frame(0xfe, 0xff, 1, &[0; 64])),
        ("empty data", &|round| once(&open, round, frame(DATA, 0, 1, b""))),
        ("padding alone", &|round| once(&open, round, frame(DATA, PADDED, 1, &[0]))),
        ("empty continuations", &|round| once(&endless, round, frame(CONTINUATION, 0, 1, b""))),
        ("continuations", &|round| {
            once(&endless, round, frame(CONTINUATION, 0, 1, &header(b"x-more", &[b'x'; 1000])))
        }),
    ];
    for (name, next) in rows {
        for reading in [Reading::All, Reading::Nothing] {
            let held = flood(&world, name, reading, A_WHILE, &mut |round| next(round));
            let grown = held.peak_kib.saturating_sub(before.kib);
            assert!(
                grown < most_grown_by_bursts_kib(),
                "{name}, {reading:?} read: {grown} KiB more than at first"
            );
        }
    }
    let pod = world.pod("after", "db");
    world.kubelet.publish(&pod).unwrap();
    assert_is_good(&pod, "after the flood");
}

/// Whether the flooding caller reads what it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    All,
    Nothing,
}

/// How much is sent at most.
#[derive(Clone, Copy)]
struct Limit {
    rounds: u32,
    time: Duration,
}

/// Sends what `next` says for a while over one connection, many frames at a time, while another caller looks whether it
/// is still served; then looks at what the driver holds.
fn flood(
    world: &World,
    name: &str,
    reading: Reading,
    limit: Limit,
    next: &mut dyn FnMut(u32) -> Vec<u8>,
) -> Held {
    let before = Held::by(world);
    let mut wire = Wire::open(&world.path("csi/csi.sock"));
    let is_over = AtomicBool::new(false);
    let (rounds, ended, slowest) = thread::scope(|scope| {
        let bystander = scope.spawn(|| bystander(world, &is_over));
        let drained = (reading == Reading::All).then(|| wire.drain(scope));
        let (begun, mut round, mut sent) = (Instant::now(), 0, Sent::Taken);
        while sent == Sent::Taken && begun.elapsed() < limit.time && round < limit.rounds {
            let mut bytes = Vec::new();
            for _ in 0..AT_ONCE {
                bytes.extend(next(round));
                round += 1;
            }
            sent = wire.send(&bytes);
        }
        wire.close();
        is_over.store(true, Ordering::Relaxed);
        drained.map(|drained| drained.join().unwrap());
        ((round, begun.elapsed()), sent, bystander.join().unwrap())
    });
    let (rounds, time) = rounds;
    let at = format!("{name}, {reading:?} read");
    let after = Held::by(world);
    println!(
        "{at}: {rounds} rounds in {time:?}, then {ended:?}; memory {} KiB, at most {} KiB, then {} KiB; \
         {} threads, then {}; others waited {slowest:?} at most",
        before.kib, after.peak_kib, after.kib, before.threads, after.threads
    );
    assert!(rounds >= AT_ONCE, "{at}");
    // What a connection held goes when the driver hears of its end.
    eventually("the threads are those of before", || Held::by(world).threads <= before.threads + FEW_THREADS);
    assert!(slowest < Duration::from_secs(60), "{at}: others waited {slowest:?}");
    after
}

/// Calls as kubelet does until it is over; the longest that a call took.
fn bystander(world: &World, is_over: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    loop {
        let begun = Instant::now();
        world.kubelet.probe().expect("others are served");
        slowest = slowest.max(begun.elapsed());
        if is_over.load(Ordering::Relaxed) {
            return slowest;
        }
    }
}

/// What the driver holds of the kernel.
pub(super) struct Held {
    pub(super) kib: u64,
    /// The most since it was last asked.
    pub(super) peak_kib: u64,
    pub(super) threads: u64,
}

impl Held {
    pub(super) fn by(world: &World) -> Held {
        let process = format!("/proc/{}", world.driver().id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        // From now on the peak is that of what comes.
        std::fs::write(format!("{process}/clear_refs"), "5").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Held { kib: field("VmRSS:"), peak_kib: field("VmHWM:"), threads: field("Threads:") }
    }
}

#[test]
fn a_path_that_is_no_method_to_the_byte_is_unimplemented_and_does_nothing() {
    let (world, provider) = node(&[]);
    let socket = world.path("csi/csi.sock");
    let pod = world.pod("web", "db");
    let message = publish_request(&pod).write_to_bytes().unwrap();
    let long = "x".repeat(4000);
    let paths: [&[u8]; 22] = [
        b"csi.v1.Node/NodePublishVolume",
        b"//csi.v1.Node/NodePublishVolume",
        b"/csi.v1.Node//NodePublishVolume",
        b"/csi.v1.Node/NodePublishVolume/",
        b"/csi.v1.Node/NodePublishVolume?x",
        b"/csi.v1.Node/NodePublishVolume#x",
        b"/csi.v1.Node/nodepublishvolume",
        b"/CSI.V1.NODE/NodePublishVolume",
        b"/csi.v1.Node%2FNodePublishVolume",
        b"/csi.v1.Node/../csi.v1.Node/NodePublishVolume",
        b"/./csi.v1.Node/NodePublishVolume",
        b"/csi.v1.Node/NodePublishVolume ",
        b"http://localhost/csi.v1.Node/NodePublishVolume",
        b"/csi.v1.Node.NodePublishVolume",
        b"/csi.v1.Node/",
        b"/csi.v1.Node",
        b"NodePublishVolume",
        b"/csi.v2.Node/NodePublishVolume",
        b"/csi.v1.Controller/CreateVolume",
        b"/",
        b"*",
        long.as_bytes(),
    ];
    for path in paths {
        let mut wire = Wire::open(&socket);
        wire.send(&call(1, path, &message));
        let at = String::from_utf8_lossy(path).into_owned();
        assert_eq!(wire.answer(1), Ended::Status(UNIMPLEMENTED), "{at}");
        assert_is_gone(&pod, &at);
    }
    // What no path can be may end the connection as well.
    for path in
        [&b""[..], b"/csi.v1.Node/NodePublishVolume\0", b"/csi.v1.Node/NodePublishVolume\n", b"\xff\xfe"]
    {
        let mut wire = Wire::open(&socket);
        wire.send(&call(1, path, &message));
        let ended = wire.answer(1);
        println!("{}: {ended:?}", path.escape_ascii());
        assert!(!matches!(ended, Ended::Status(0) | Ended::Silence), "{}: {ended:?}", path.escape_ascii());
        assert_is_gone(&pod, "no path");
    }
    assert_eq!(provider.calls(), 0);
    let mut wire = Wire::open(&socket);
    wire.send(&call(1, b"/csi.v1.Node/NodePublishVolume", &message));
    assert_eq!(wire.answer(1), Ended::Status(0), "the same message to the method itself");
    assert_is_good(&pod, "the method itself");
}

#[test]
fn broken_frames_end_their_own_connection_at_most() {
    let (world, _provider) = node(&[]);
    let socket = world.path("csi/csi.sock");
    let headers = |block: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    let with = |more: &[u8]| headers(&[&request(INFO)[..], more].concat());
    let open = frame(HEADERS, END_HEADERS, 1, &request(INFO));
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("a frame longer than allowed", frame_of_length(0xff_ffff, DATA, 0, 1, &[0; 100])),
        ("data without a stream", frame(DATA, 0, 0, b"x")),
        ("headers without a stream", frame(HEADERS, END_HEADERS, 0, &request(INFO))),
        ("settings of a stream", frame(SETTINGS, 0, 1, b"")),
        ("settings cut short", frame(SETTINGS, 0, 0, &[0; 5])),
        ("acknowledged settings with content", frame(SETTINGS, ACK, 0, &[0; 6])),
        ("a window too large", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a frame size too small", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])),
        ("a ping cut short", frame(PING, 0, 0, &[0; 7])),
        ("a reset cut short", [open.clone(), frame(RST_STREAM, 0, 1, &[0; 3])].concat()),
        ("a window update cut short", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        ("a promise of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b"")),
        ("a frame amid headers", [frame(HEADERS, 0, 1, &request(INFO)), frame(PING, 0, 0, &[0; 8])].concat()),
        ("padding longer than the frame", [open.clone(), frame(DATA, PADDED, 1, &[200, 0])].concat()),
        ("an index that no table has", with(&[0xff, 0xff, 0xff, 0x03])),
        ("an index of nothing", with(&[0x80])),
        ("a number without end", with(&[0xff; 40])),
        (
            "a table larger than allowed",
            headers(&[&[0x3f, 0xe1, 0xff, 0xff, 0x07][..], &request(INFO)].concat()),
        ),
        ("a text longer than the block", with(&[0x00, 0x7f, 0xff, 0xff, 0x03])),
        ("a code that ends within a letter", with(&[0x00, 0x81, 0xff, 0x81, 0xff])),
        ("a code of the end mark", with(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'x'])),
        ("no preface", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("bytes", vec![0xff; 100_000]),
    ];
    for (name, bytes) in rows {
        let is_without_preface = ["no preface", "bytes"].contains(&name);
        let mut wire = if is_without_preface { Wire::silent(&socket) } else { Wire::open(&socket) };
        // The driver may close it before it has taken all.
        wire.send(&bytes);
        wire.be_patient_for(Duration::from_secs(1));
        let ended = wire.answer(1);
        println!("{name}: {ended:?}");
        let is_refused = !matches!(ended, Ended::Status(0) | Ended::Silence);
        assert_eq!(is_refused, !IGNORED.contains(&name), "{name}: {ended:?}");
        assert_ne!(ended, Ended::Status(0), "{name}");
        assert_eq!(world.kubelet.probe(), Ok(true), "{name}: others are served");
    }
    // A number that was used, or is smaller than one that was.
    for second in [1, 3] {
        let mut wire = Wire::open(&socket);
        wire.send(&call(5, INFO, b""));
        assert_eq!(wire.answer(5), Ended::Status(0));
        wire.send(&call(second, INFO, b""));
        wire.be_patient_for(Duration::from_secs(1));
        let ended = wire.answer(second);
        assert_ne!(ended, Ended::Status(0), "stream {second} after 5");
    }
    assert_log_is_whole(&world);
}

#[test]
fn connections_that_say_nothing_keep_nobody_out_and_cost_no_thread() {
    let (world, _provider) = node(&[]);
    let socket = world.path("csi/csi.sock");
    let before = Held::by(&world);
    let beginnings: [&[u8]; 4] = [b"", &PREFACE[..10], PREFACE, &open_call()];
    let silent: Vec<Wire> = (0..400)
        .map(|number| {
            let mut wire = Wire::silent(&socket);
            assert_eq!(wire.send(beginnings[number % beginnings.len()]), Sent::Taken);
            wire
        })
        .collect();
    let pod = world.pod("web", "db");
    // Long, for a machine that is busy with other tests: by itself it takes milliseconds.
    world.kubelet.publish_within(&pod, Duration::from_secs(60)).unwrap();
    assert_is_good(&pod, "beside silent callers");
    let after = Held::by(&world);
    println!(
        "400 connections: memory {} KiB, then {} KiB; {} threads, then {}",
        before.kib, after.peak_kib, before.threads, after.threads
    );
    assert!(after.threads <= before.threads + FEW_THREADS, "{} threads", after.threads);
    assert!(after.peak_kib < before.kib + MOST_GROWN_KIB, "{} KiB", after.peak_kib);
    drop(silent);
}

/// A call that never gets its message.
fn open_call() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, END_HEADERS, 1, &request(INFO))].concat()
}

/// What gRPC's core drops without a word.
const IGNORED: [&str; 3] = ["data without a stream", "headers without a stream", "a promise of a client"];
const INFO: &[u8] = b"/csi.v1.Node/NodeGetInfo";
/// What gRPC calls a method that does not exist.
const UNIMPLEMENTED: u32 = 12;
/// The error code of a caller that wants no answer any more.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Rounds that are sent in one piece.
const AT_ONCE: u32 = 1000;
const A_WHILE: Limit = Limit { rounds: 1_000_000, time: Duration::from_secs(1) };
const ALL: Limit = Limit { rounds: RESETS, time: Duration::from_secs(60) };
/// As many as a busy machine works off in a few seconds.
const RESETS: u32 = 5000;
const MOST_KIB_A_STREAM: u64 = 32;
/// Workers that come when work does.
pub(super) const FEW_THREADS: u64 = 8;
const MOST_GROWN_KIB: u64 = 64 << 10;

/// gRPC makes its buffer as large as the longest burst that it ever read, and the C library of an ordinary build keeps
/// that once for each thread. The static build, which is what ships, gives it back.
pub(super) fn most_grown_by_bursts_kib() -> u64 {
    if kit::driver::is_another_build() { 128 << 10 } else { 768 << 10 }
}
