//! The other pods of the node: small ones that come and go, and whose owners notice when a volume takes long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rpc::Environment;

use kit::kubelet::Kubelet;
use kit::world::{Pod, World};

/// Pods that come and go until it is stopped.
pub struct Neighbours {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What they saw.
#[derive(Default)]
pub struct Seen {
    /// How long each publish took that succeeded.
    pub took: Vec<Duration>,
    /// What others were told.
    pub failures: Vec<String>,
}

impl Neighbours {
    /// Pods of `class`, one after the other.
    pub fn start(world: &World, class: &str) -> Neighbours {
        let stop = Arc::new(AtomicBool::new(false));
        let pods: Vec<Pod> =
            (0..POD_NAMES).map(|number| world.pod(&format!("neighbour-{number}"), class)).collect();
        let (stopping, socket) = (Arc::clone(&stop), world.path("csi/csi.sock"));
        let thread = thread::spawn(move || {
            // With a connection of its own, as a kubelet that does nothing else has it.
            let environment = Environment::start();
            let kubelet = Kubelet::new(&environment, &socket);
            let mut seen = Seen::default();
            for pod in pods.iter().cycle() {
                let begun = Instant::now();
                match kubelet.publish(pod) {
                    Ok(()) => seen.took.push(begun.elapsed()),
                    Err(status) => seen.failures.push(format!("after {:?}: {status}", begun.elapsed())),
                }
                drop(kubelet.unpublish(pod));
                if stopping.load(Ordering::Relaxed) {
                    return seen;
                }
                thread::sleep(PAUSE);
            }
            seen
        });
        Neighbours { stop, thread }
    }

    /// Lets the last one go.
    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

impl Seen {
    /// Adds what was seen before.
    pub fn add(&mut self, other: Seen) {
        self.took.extend(other.took);
        self.failures.extend(other.failures);
    }

    /// So many of a hundred publishes took no longer.
    pub fn percentile(&self, of_hundred: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get((took.len() * of_hundred / 100).min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

/// A pod that is gone may come again.
const POD_NAMES: usize = 8;
/// Pods do not come faster on a node.
const PAUSE: Duration = Duration::from_millis(20);
