//! gRPC over unix sockets: the only place that names grpcio.
//!
//! The library calls handlers on its own completion-queue threads, where blocking would stall every other call.
//! So a handler here is an ordinary blocking function that runs on a bounded [`pool`], and a client call blocks
//! the worker that makes it. Nothing here knows CSI or providers beyond their messages in [`pb`].

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod channel;
pub mod deadline;
pub mod pb;
pub mod pool;
pub mod quick;
pub mod server;
pub mod status;

mod method;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use base::panics;

/// Threads and queues of the gRPC library: one for what the process serves, and one for each provider that it calls.
#[derive(Clone)]
pub struct Environment(Arc<grpcio::Environment>);

impl Environment {
    /// Starts them. One completion queue is enough: it only hands calls over.
    pub fn start() -> Environment {
        // What the library has to say goes through our own log, in its format and under its level.
        grpcio::redirect_log();
        Environment(Arc::new(grpcio::EnvBuilder::new().cq_count(1).name_prefix("grpc").build()))
    }

    /// Starts others while the process is at work. The library panics where it gets no thread, so one is asked for
    /// before.
    pub fn start_another() -> io::Result<Environment> {
        let thread = thread::Builder::new().spawn(|| ())?;
        panics::joined(thread.join());
        Ok(Environment::start())
    }
}

/// A socket's path as the library takes it. Two slashes in front would make it take what follows for a host.
fn unix_address(path: &Path) -> String {
    format!("unix:{}", path.components().collect::<PathBuf>().display())
}

/// Blocks this thread on a future of the library until it is ready or `give_up` says so.
fn wait<F: Future + Unpin>(mut future: F, give_up: impl Fn() -> bool) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut context) {
            return Some(output);
        }
        if give_up() {
            return None;
        }
        thread::park_timeout(DEADLINE_CHECK);
    }
}

/// The library shows whether a call's deadline is past, not when it will be: so it is asked this often.
const DEADLINE_CHECK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_slash_in_front_however_the_path_was_typed() {
        for path in ["/csi/csi.sock", "//csi/csi.sock", "///csi//csi.sock", "/./csi/csi.sock"] {
            assert_eq!(unix_address(Path::new(path)), "unix:/csi/csi.sock", "{path}");
        }
    }
}
