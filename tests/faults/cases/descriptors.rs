//! Drivers without a descriptor left.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use rpc::status::Code;

use crate::node::{Node, Setup};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::eventually;
use kit::kubelet::Kubelet;
use kit::world::Pod;

/// In the order of the table.
pub const CASES: [Case; 3] = [
    case("descriptors: none left", none_left),
    case("descriptors: eaten by connections", eaten),
    case("descriptors: they run out at each step of a publish", at_each_step),
];

fn none_left() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let limit = Limit::lower(&node, 3);
    short(&mut node, &live, &fresh);
    // New connections wait, and nobody runs in circles for them.
    node.idle_while(|node| {
        let _metrics = std::net::TcpStream::connect(node.metrics_address()).unwrap();
        let other = Kubelet::new(&node.world.environment, &node.world.path("csi/csi.sock"));
        let answered = other.publish_within(&live, Duration::from_secs(4)).unwrap_err();
        assert_eq!(answered.code, Code::DeadlineExceeded);
        node.sheet.pod("on a new connection: DeadlineExceeded".to_owned());
    });
    drop(limit);
    node.quiet();
    told(&mut node);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn eaten() -> Sheet {
    let limit = format!("--nofile={FEW}:{FEW}");
    let mut node = Node::with(Setup { through: &["prlimit", &limit], ..Setup::default() });
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let socket = node.world.path("csi/csi.sock");
    // What the driver was started with may have numbers beyond the limit.
    let used = |node: &Node| numbers(node).range(..FEW).count();
    let mut eaters: Vec<UnixStream> = Vec::new();
    eventually("the driver has no descriptor left", || {
        let is_full = used(&node) >= usize::try_from(FEW).unwrap() - KEPT;
        // The last one finds no number, and stays to take the one that is given back next.
        eaters.push(UnixStream::connect(&socket).unwrap());
        is_full
    });
    let count = eaters.len();
    short(&mut node, &live, &fresh);
    node.sheet.pod(format!("{count} connections had eaten them"));
    node.idle_while(|_| std::thread::sleep(Duration::from_secs(3)));
    drop(eaters);
    eventually("the descriptors are back", || used(&node) < 40);
    told(&mut node);
    node.recovers(&[&live, &fresh]);
    node.end()
}

/// Kubelet is told to come back, and nothing has changed.
fn short(node: &mut Node, live: &Pod, fresh: &Pod) {
    let words = "Too many open files";
    node.refused(fresh, Code::Unavailable, words);
    for (what, answered) in
        [("refresh", node.world.kubelet.publish(live)), ("unpublish", node.world.kubelet.unpublish(live))]
    {
        let status = answered.unwrap_err();
        assert!(status.code == Code::Unavailable && status.message.contains(words), "{what}: {status}");
        node.shows(live, "old");
        node.sheet.pod(format!("{what}: Unavailable \"{words}\", password=old stays"));
    }
}

fn told(node: &mut Node) {
    node.rose_at_least(&[
        "node_publish_error_total{error_type=FailedToM+",
        "node_unpublish_error_total{} +1",
    ]);
}

fn at_each_step() -> Sheet {
    let mut node = Node::start();
    let live = node.live_pod();
    let mut refusals = BTreeSet::new();
    let (mut seen, mut left) = (0, 0);
    for free in 0..STEPS {
        let fresh = node.pod(&format!("web-{free}"));
        let limit = Limit::leave(&node, free);
        let first = node.world.kubelet.publish(&fresh);
        let again = node.world.kubelet.publish(&live);
        drop(limit);
        for (pod, is_live, answered) in [(&fresh, false, first), (&live, true, again)] {
            let name = format!("{free} left, {}", pod.name);
            match answered {
                Ok(()) => node.shows(pod, "old"),
                Err(status) => {
                    seen += 1;
                    assert!(status.message.contains("Too many open files"), "{name}: {status}");
                    assert_eq!(status.code, Code::Unavailable, "{name}: {status}");
                    refusals.insert(status.code.name());
                    if !is_live {
                        left += usize::from(is_left(pod, &name));
                    }
                    if !is_live {
                        node.must_publish(pod);
                    }
                }
            }
        }
        node.shows(&live, "old");
    }
    assert!(seen >= 4, "they did not run out");
    node.sheet.pod(format!(
        "0 to {} left: OK, or {refusals:?} ({seen} of {} calls), and a live volume is as it was",
        STEPS - 1,
        2 * STEPS
    ));
    node.sheet.left(format!(
        "{left} times, until kubelet came back: an empty directory, or a volume closed to all"
    ));
    node.quiet();
    node.mark();
    node.recovers(&[&live]);
    node.end()
}

/// What is undone needs descriptors too. So the directory may stay, and a volume that is not finished: closed, so that
/// no pod sees it, and taken down by kubelet's next call.
fn is_left(pod: &Pod, name: &str) -> bool {
    let Ok(metadata) = pod.target.symlink_metadata() else { return false };
    if pod.is_mounted() {
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{name}: it is open");
    } else {
        assert!(pod.target.read_dir().unwrap().next().is_none(), "{name}: there are files");
    }
    true
}

/// A limit that the case has lowered; raised again when dropped.
struct Limit(u32);

impl Limit {
    /// No number from `limit` on is given out any more.
    fn lower(node: &Node, limit: u64) -> Limit {
        let pid = node.world.driver().id();
        set(pid, limit);
        Limit(pid)
    }

    /// So many numbers are left.
    fn leave(node: &Node, free: u64) -> Limit {
        let used = numbers(node);
        let mut unused = (0..).filter(|number| !used.contains(number));
        let last = unused.nth(usize::try_from(free).unwrap()).unwrap();
        Limit::lower(node, last)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        set(self.0, PLENTY);
    }
}

/// Sets the soft limit of a running process.
fn set(pid: u32, limit: u64) {
    let status =
        Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={limit}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

/// The numbers of the driver's descriptors.
fn numbers(node: &Node) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", node.world.driver().id())).unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The limit of the driver whose descriptors are eaten.
const FEW: u64 = 48;
/// The number that a thread waiting for a connection of the metrics server has already, and does not show yet.
const KEPT: usize = 1;
const STEPS: u64 = 14;
const PLENTY: u64 = 1024;
