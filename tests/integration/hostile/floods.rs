//! Floods of connections on both HTTP ports: whatever their habit, every probe and every scrape is answered in time,
//! and descriptors, threads and memory of the driver stay bounded.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use kit::driver::{DriverProcess, program};
use kit::eventually;

/// What the connections of a flood do.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Say nothing, and are closed once many newer ones are there.
    Silent,
    /// Say nothing, and are kept for as long as the flood lasts.
    Kept,
    /// Send a byte of their request now and then.
    Dribble,
    /// Send a whole request, and never read the answer.
    Deaf(&'static str),
}

/// Connections of one habit on one port, so many a second.
struct Flood {
    address: SocketAddr,
    habit: Habit,
    rate: u32,
}

/// How many connections are held by the habits that close old ones.
const HELD: usize = 400;

impl Flood {
    /// Until told to end. Returns how many connections were made.
    fn run(&self, over: &AtomicBool) -> usize {
        let (began, mut made, mut held) = (Instant::now(), 0_u32, VecDeque::new());
        while !over.load(Ordering::Relaxed) {
            let due = began.elapsed().as_secs_f64() * f64::from(self.rate);
            if f64::from(made) >= due {
                // Not to wait for anything, but for the pace of the flood.
                thread::sleep(Duration::from_micros(500));
                continue;
            }
            made += 1;
            held.push_back(self.connection());
            if matches!(self.habit, Habit::Dribble) {
                // One more byte on some that are older. Those that had to go are broken.
                for stream in held.iter_mut().step_by(16) {
                    drop(stream.write(b"a"));
                }
            }
            if held.len() > HELD && !matches!(self.habit, Habit::Kept) {
                held.pop_front();
            }
        }
        usize::try_from(made).unwrap()
    }

    fn connection(&self) -> TcpStream {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        if matches!(self.habit, Habit::Deaf(_)) {
            // The answer stays where it came from.
            set_socket_recv_buffer_size(&socket, 1024).unwrap();
        }
        rustix::net::connect(&socket, &self.address).unwrap();
        let mut stream = TcpStream::from(socket);
        let opening = match self.habit {
            Habit::Silent | Habit::Kept => String::new(),
            Habit::Dribble => "GET /healthz HTTP/1.1\r\nX: ".to_owned(),
            Habit::Deaf(page) => format!("GET {page} HTTP/1.0\r\n\r\n"),
        };
        stream.write_all(opening.as_bytes()).unwrap();
        stream
    }
}

/// How long kubelet waits for a probe by the manifests, and Prometheus for a page unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// True when the page is answered with 200 in time.
fn is_served(address: SocketAddr, page: &str) -> bool {
    let begun = Instant::now();
    let Ok(mut stream) = TcpStream::connect_timeout(&address, TIMEOUT) else { return false };
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut answer = String::new();
    let asked = stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    let read = asked.and_then(|()| stream.read_to_string(&mut answer));
    read.is_ok() && answer.starts_with("HTTP/1.1 200 ") && begun.elapsed() < TIMEOUT
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// The names of the threads of both ports, sorted.
fn http_threads(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    // A thread of the others may end while it is looked at.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let of_ports = names.filter(|name| name.starts_with("admin") || name.starts_with("health"));
    let mut names: Vec<String> = of_ports.collect();
    names.sort();
    names
}

/// Kibibytes of anonymous memory.
fn memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// This process holds the other end of what the driver has dropped.
fn allow_many_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// How many probes and scrapes are made.
const PROBES: usize = 60;

/// Both ports are flooded at this rate each, while probes and scrapes go on and a pod publishes.
fn assert_nobody_is_kept_out(habit: Habit, rate: u32) {
    allow_many_descriptors();
    let (world, _provider) = node(&["--health-addr=127.0.0.1:0", ALWAYS_DUE[0], ALWAYS_DUE[1]]);
    let pod = world.pod("among", "db");
    world.kubelet.publish(&pod).unwrap();
    let health: SocketAddr = world.health_address().parse().unwrap();
    let metrics: SocketAddr = world.metrics_address().parse().unwrap();
    eventually("the driver is ready", || is_served(health, "/readyz"));
    assert!(is_served(health, "/healthz") && is_served(metrics, "/metrics"));
    let process = world.driver().id();
    let descriptors = format!("/proc/{process}/fd");
    let (threads, before) = (http_threads(process), memory(process));

    let (over, made, most) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (begun, mut missed) = (Instant::now(), Vec::new());
    let flooded_for = thread::scope(|scope| {
        for address in [health, metrics] {
            let (flood, over, made) = (Flood { address, habit, rate }, &over, &made);
            scope.spawn(move || made.fetch_add(flood.run(over), Ordering::Relaxed));
        }
        for number in 0..PROBES {
            if !is_served(health, "/healthz") {
                missed.push(format!("probe {number}"));
            }
            if !is_served(metrics, "/metrics") {
                missed.push(format!("scrape {number}"));
            }
            if number == PROBES / 2 {
                world.kubelet.publish(&pod).unwrap();
                assert_is_good(&pod, "among floods");
            }
            most.fetch_max(count(&descriptors), Ordering::Relaxed);
            // The pace of the probes.
            thread::sleep(Duration::from_millis(30));
        }
        over.store(true, Ordering::Relaxed);
        begun.elapsed()
    });
    let what = format!("{habit:?} at {rate}/s");
    assert_eq!(missed, [""; 0], "{what}");
    let (made, most) = (made.into_inner(), most.into_inner());
    let asked_for = 2.0 * f64::from(rate) * flooded_for.as_secs_f64();
    assert!(made as f64 > asked_for / 2.0, "{what}: no flood, {made} connections in {flooded_for:?}");
    // Two ports with 256 incomplete connections, 128 that are answered, some that wait, and the driver's own.
    assert!(most < 900, "{what}: {most} descriptors");
    assert_eq!(http_threads(process), threads, "{what}");
    let grown = memory(process).saturating_sub(before);
    assert!(grown < 16 * 1024, "{what}: {grown} KiB more");
    println!("{what}: {made} connections, {most} descriptors, {grown} KiB more");
}

#[test]
fn silent_connections_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Silent, 1000);
}

#[test]
fn few_silent_connections_a_second_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Silent, 50);
}

#[test]
fn connections_that_are_kept_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Kept, 1000);
}

#[test]
fn connections_that_dribble_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Dribble, 1000);
}

#[test]
fn clients_that_never_read_their_page_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Deaf("/metrics"), 1000);
}

#[test]
fn clients_that_never_read_an_answer_cost_neither_probes_nor_scrapes() {
    assert_nobody_is_kept_out(Habit::Deaf("/healthz"), 1000);
}

#[test]
fn where_descriptors_are_few_room_is_made_for_whoever_asks() {
    allow_many_descriptors();
    let mut world = World::without_driver(&["--health-addr=127.0.0.1:0"]);
    let few = ["--nofile=128:128".to_owned(), program("secrets-store-csi-driver").display().to_string()];
    let arguments = few.into_iter().chain(world.arguments()).collect::<Vec<_>>();
    world.start_driver_as(DriverProcess::spawn(Path::new("prlimit"), &arguments));
    let health: SocketAddr = world.health_address().parse().unwrap();
    assert!(is_served(health, "/healthz"));
    let flood = Flood { address: health, habit: Habit::Kept, rate: 1 };
    let held: Vec<TcpStream> = (0..200).map(|_| flood.connection()).collect();
    for _ in 0..20 {
        assert!(is_served(health, "/healthz"), "{}", world.driver().log());
    }
    assert!(world.driver().log().contains("could not take a connection"), "{}", world.driver().log());
    drop(held);
}
