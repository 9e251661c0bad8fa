//! A small HTTP/1.1 responder for metrics, health and the test provider's switches: GET and HEAD, one request
//! per connection, no TLS.
//!
//! It knows no route; it is given [`Routes`]. It reads the monotonic clock itself, because its deadlines
//! belong to sockets and not to anything that the program decides.
//!
//! Threat: the port is open to every pod of the cluster and to whoever can reach the node, kubelet's own address
//! included. So nobody is refused for who he is, and a connection costs a descriptor and a few KiB, never a thread:
//!
//! - One thread holds all connections and never waits for one of them. Each page has a thread that makes it; whoever
//!   asks for it meanwhile gets the same one, and it is made [`REST`] apart at most. So the number of requests costs
//!   neither threads nor time of the rest of the program.
//! - Connections are bounded by what they are about ([`Limits`]). Past the bound the oldest incomplete one goes.
//!   Whoever sends his request at once is served, however many others say nothing or a byte now and then; with nobody
//!   else, a slow client has all of its time.
//! - Of those that are answered, the one goes that has not taken a byte of its answer for the longest time.
//! - A head has one deadline as a whole, so that a byte now and then does not extend it; so has an answer.

mod answer;
mod connection;
mod hall;
mod listener;
mod maker;
mod request;
mod response;
mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base::panics;
use sys::epoll::Notifier;

use hall::Hall;
pub use listener::bind;
pub use maker::REST;
pub use request::{MAX_HEAD_BYTES, MAX_HEADERS, Method, Refusal, Request, bearer_token, parse_head};
pub use response::{Response, Status};
pub use routes::Routes;

/// A running server. Dropping it stops it.
pub struct Server {
    name: String,
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    notifier: Arc<Notifier>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address` and serves `routes` from threads named after `name` (keep it short: Linux shows
    /// 15 bytes). `address` is `host:port`, or `:port` for all interfaces, IPv6 and IPv4; port 0 takes a free
    /// one.
    ///
    /// # Errors
    /// The address is malformed or taken, or the process may not listen or start threads.
    pub fn start(address: &str, name: &str, routes: Routes) -> io::Result<Server> {
        Server::start_with(Limits::default(), address, name, routes)
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(limits: Limits, address: &str, name: &str, routes: Routes) -> io::Result<Server> {
        let context = |error: io::Error| {
            io::Error::new(error.kind(), format!("could not listen on {address}: {error}"))
        };
        let listener = listener::listen(address).map_err(context)?;
        let mut server = Server {
            name: name.to_owned(),
            address: listener.local_addr().map_err(context)?,
            stopping: Arc::default(),
            notifier: Arc::new(Notifier::new()?),
            threads: Vec::new(),
        };
        // From here on a failure drops the server, which stops the threads that run already.
        let routes = Arc::new(routes);
        let (makers, threads) = maker::start(&routes, name, &server.notifier)?;
        server.threads = threads;
        let (stopping, notifier) = (Arc::clone(&server.stopping), Arc::clone(&server.notifier));
        let hall = Hall::new(limits, name, routes, makers, listener, notifier)?;
        let thread = thread::Builder::new().name(format!("{name}-http"));
        server.threads.push(thread.spawn(move || hall.run(&stopping))?);
        Ok(server)
    }

    /// The address that is listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, drops the connections whose request is not whole, gives the others a second to take their
    /// answer, and joins every thread.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Err(error) = self.notifier.notify() {
            log::warn!(server = self.name.as_str(), error:%; "could not wake the thread of an http server");
            return;
        }
        // The hall goes first, and with it the orders that the makers wait for.
        for thread in self.threads.drain(..).rev() {
            panics::joined(thread.join());
        }
    }
}

/// How many connections there may be at a time, by what they are about, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Those whose request is not whole. When one more comes, the oldest goes.
    pub incomplete: usize,
    /// Those that wait for a page. When one more comes, the oldest of those that wait for the same page as most is told
    /// to come back.
    pub waiting: usize,
    /// Those that have an answer to take. When one more comes, the one goes that took nothing for the longest time.
    pub answering: usize,
    /// From the connection to the last byte of its head.
    pub head: Duration,
    /// From the first byte of an answer to the end of the connection.
    pub answer: Duration,
}

impl Default for Limits {
    /// For a thousand connections a second. A head comes with the connection or a round trip later, and is read at
    /// once, so a quarter of a second is ample. A page is made within milliseconds, but by the CPU limit that we ship
    /// the whole process may rest for a tenth of a second before.
    fn default() -> Limits {
        Limits {
            incomplete: 256,
            waiting: 512,
            answering: 128,
            head: Duration::from_secs(5),
            answer: Duration::from_secs(10),
        }
    }
}
