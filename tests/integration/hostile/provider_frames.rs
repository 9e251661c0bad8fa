//! Providers that speak HTTP/2 and nothing sensible with it: floods of frames, answers without end. A provider is a
//! program of somebody else's that runs beside the driver, so each of these costs its own callers alone.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use protobuf::Message as _;

use super::callers::{FEW_THREADS, Held, most_grown_by_bursts_kib};
use super::*;
use kit::eventually;
use kit::http2::*;
use kit::wire::{WireProvider, answer_head, message, trailers};

#[test]
fn a_provider_that_begins_an_answer_and_never_ends_it_keeps_none_of_its_other_callers_waiting() {
    let (world, provider) = node(&[]);
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let _wire = WireProvider::instead_of(provider.socket(), move |wire| {
        let answer = good().write_to_bytes().map_err(std::io::Error::other)?;
        wire.greet()?;
        let hangs = wire.request()?;
        wire.write(&answer_head(hangs))?;
        begun.store(true, Ordering::SeqCst);
        loop {
            let stream = wire.request()?;
            wire.write(&[answer_head(stream), message(stream, &answer), trailers(stream, "0")].concat())?;
        }
    });
    let hanging = world.pod("hanging", "db");
    thread::scope(|scope| {
        let call = scope.spawn(|| world.kubelet.publish_within(&hanging, Duration::from_secs(12)));
        eventually("it has begun", || has_begun.load(Ordering::SeqCst));
        for number in 0..5 {
            let pod = world.pod(&format!("other-{number}"), "db");
            let asked = Instant::now();
            world.kubelet.publish(&pod).unwrap();
            assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
            assert_is_good(&pod, "beside a call that hangs");
        }
        assert!(!call.is_finished(), "it hung all the time");
        assert!(call.join().unwrap().is_err());
    });
}

#[test]
fn a_provider_that_floods_its_caller_costs_bounded_memory_and_no_threads_and_other_providers_are_served() {
    // `:status: 200` of HPACK's own table, and the type of a gRPC answer.
    let head = [&[0x88][..], &header(b"content-type", b"application/grpc")].concat();
    let headers = |flags: u8, block: &[u8]| frame(HEADERS, flags, 1, block);
    let first = |round: u64, first: &[u8], then: Vec<u8>| {
        if round == 0 { [first, &then].concat() } else { then }
    };
    let (whole, open) = (headers(END_HEADERS, &head), headers(0, &head));
    type Flood<'a> = &'a (dyn Fn(u64) -> Vec<u8> + Sync);
    let rows: [(&str, Flood<'_>); 10] = [
        ("empty settings", &|_| frame(SETTINGS, 0, 0, b"")),
        ("pings", &|round| frame(PING, 0, 0, &round.to_be_bytes())),
        ("answers to pings", &|round| frame(PING, ACK, 0, &round.to_be_bytes())),
        ("window updates", &|_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("goodbyes", &|_| frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
        ("frames of no kind", &|_| frame(0xfe, 0xff, 1, &[0; 64])),
        ("empty data", &|round| first(round, &whole, frame(DATA, 0, 1, b""))),
        ("empty messages", &|round| first(round, &whole, frame(DATA, 0, 1, &[0; 5]))),
        ("continuations", &|round| {
            first(round, &open, frame(CONTINUATION, 0, 1, &header(b"x", &[b'x'; 900])))
        }),
        ("promises", &|round| {
            let promised = u32::try_from(2 * round + 2).unwrap_or(2).to_be_bytes();
            first(round, &whole, frame(PUSH_PROMISE, END_HEADERS, 1, &[&promised[..], &head].concat()))
        }),
    ];
    let (world, provider) = node(&[]);
    let socket = provider.socket().to_owned();
    drop(provider);
    let _good = ScriptedProvider::start(&world.environment, &world.providers(), "good", |_| Ok(good()));
    world.class("fine", "good", objects(&["password"]));
    let at_first = Held::by(&world);
    for (number, (name, next)) in rows.into_iter().enumerate() {
        let before = Held::by(&world);
        let flood = Flooding::start(&socket);
        let pod = world.pod(&format!("flooded-{number}"), "db");
        let (slowest, served) = thread::scope(|scope| {
            scope.spawn(|| flood.run(next));
            let _over = Over(&flood.is_over);
            let publishing = scope.spawn(|| world.kubelet.publish_within(&pod, FLOOD_TIME));
            eventually("the flood has begun", || flood.rounds.load(Ordering::Relaxed) > 0);
            let (begun, mut slowest, mut served) = (Instant::now(), Duration::ZERO, 0);
            while begun.elapsed() < FLOOD_TIME || served < FEW_VOLUMES {
                let fine = world.pod(&format!("fine-{number}-{served}"), "fine");
                let asked = Instant::now();
                world.kubelet.publish(&fine).unwrap_or_else(|status| panic!("{name}: {status}"));
                assert_is_good(&fine, name);
                world.kubelet.unpublish(&fine).unwrap();
                slowest = slowest.max(asked.elapsed());
                served += 1;
            }
            let status = publishing.join().unwrap().expect_err(name);
            assert_is_presentable(&status, name);
            (slowest, served)
        });
        eventually("the attempt is undone", || !pod.is_mounted() && !pod.target.exists());
        let after = Held::by(&world);
        println!(
            "{name}: {} rounds; memory {} KiB, at most {} KiB, then {} KiB; {} threads, then {}; meanwhile {served} \
             volumes of another provider came and went, the slowest in {slowest:?}",
            flood.rounds.load(Ordering::Relaxed),
            before.kib,
            after.peak_kib,
            after.kib,
            before.threads,
            after.threads
        );
        assert!(after.peak_kib < at_first.kib + most_grown_by_bursts_kib(), "{name}: {} KiB", after.peak_kib);
        // Those of connections that ended have ended, too.
        assert!(after.threads < at_first.threads + 2 * FEW_THREADS, "{name}: {} threads", after.threads);
        std::fs::remove_file(&socket).unwrap();
    }
    assert_log_is_whole(&world);
}

/// A provider's socket that answers whoever calls with a flood.
struct Flooding {
    listener: UnixListener,
    rounds: AtomicU64,
    is_over: AtomicBool,
}

impl Flooding {
    fn start(socket: &Path) -> Flooding {
        std::fs::remove_file(socket).ok();
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        Flooding { listener, rounds: AtomicU64::new(0), is_over: AtomicBool::new(false) }
    }

    /// Takes one connection after the other and floods it until it breaks or all is over.
    fn run(&self, next: &(dyn Fn(u64) -> Vec<u8> + Sync)) {
        while !self.is_over.load(Ordering::Relaxed) {
            match self.listener.accept() {
                Ok((stream, _)) => self.flood(stream, next),
                Err(_) => thread::yield_now(),
            }
        }
    }

    fn flood(&self, stream: UnixStream, next: &(dyn Fn(u64) -> Vec<u8> + Sync)) {
        stream.set_nonblocking(false).unwrap();
        let mut wire = Wire::of(stream);
        thread::scope(|scope| {
            wire.drain(scope);
            wire.send(&frame(SETTINGS, 0, 0, b""));
            // Streams count from one on each connection.
            let mut round = 0;
            while !self.is_over.load(Ordering::Relaxed) {
                let mut bytes = Vec::new();
                for _ in 0..AT_ONCE {
                    bytes.extend(next(round));
                    round += 1;
                }
                match wire.send(&bytes) {
                    Sent::Taken => drop(self.rounds.fetch_add(AT_ONCE, Ordering::Relaxed)),
                    Sent::Stuck | Sent::Closed => break,
                }
            }
            wire.close();
        });
    }
}

/// Ends the flood, whether or not the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const FLOOD_TIME: Duration = Duration::from_secs(3);
/// Served while a flood lasts, however busy the machine is.
const FEW_VOLUMES: u32 = 3;
/// So many that they are read more slowly than they are sent.
const AT_ONCE: u64 = 2000;
