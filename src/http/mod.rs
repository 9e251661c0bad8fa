//! A small HTTP/1.1 responder for metrics, health and the test provider's switches: GET and HEAD, one request
//! per connection, no TLS.
//!
//! It knows no route; it is given a closure. It reads the monotonic clock itself, because its deadlines
//! belong to sockets and not to anything that the program decides.
//!
//! Threat: the port is open to every pod of the cluster and to whoever can reach the node. So a connection
//! costs one of few threads, for a bounded time, and a few KiB:
//!
//! - The head has one deadline as a whole, so that a byte now and then does not extend it; so has the answer.
//! - Connections wait in a short queue for a thread. While more wait than threads are free, the ones being
//!   read or written get much less time ([`Limits::crowded_head`], [`Limits::crowded_write`]): whoever
//!   connects and says nothing makes room for a scraper, which sends its request at once, in a fraction of a
//!   second. With nobody waiting, a slow but honest client has all of its time.
//! - Past the queue a connection is answered 503 and closed at once by the accepting thread, which never
//!   blocks on a client.
//!
//! A full set of threads can thus delay a scrape by about `waiting / workers * (crowded_head +
//! crowded_write)`. The routes run on these threads and must not block for long.

mod request;
mod response;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use request::{MAX_HEAD_BYTES, MAX_HEADERS, Method, Refusal, Request, parse_head};
pub use response::{Response, Status};

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// The listening socket once more, by which a blocked accept is woken at the end.
    wake: TcpStream,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address` and serves `routes` from threads named after `name` (keep it short: Linux shows
    /// 15 bytes). `address` is `host:port`, or `:port` for all interfaces, IPv6 and IPv4; port 0 takes a free
    /// one.
    ///
    /// # Errors
    /// The address is malformed or taken, or the process may not listen or start threads.
    pub fn start(
        address: &str,
        name: &str,
        routes: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Server> {
        Server::start_with(Limits::default(), address, name, routes)
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        limits: Limits,
        address: &str,
        name: &str,
        routes: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let context = |error: io::Error| {
            io::Error::new(error.kind(), format!("could not listen on {address}: {error}"))
        };
        let listener = listen(address).map_err(context)?;
        let shared = Arc::new(Shared {
            name: name.to_string(),
            limits,
            routes: Box::new(routes),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut server = Server {
            shared: Arc::clone(&shared),
            address: listener.local_addr().map_err(context)?,
            wake: TcpStream::from(OwnedFd::from(listener.try_clone().map_err(context)?)),
            threads: Vec::new(),
        };
        // From here on a failure drops the server, which stops the threads that run already.
        for number in 0..limits.workers {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new().name(format!("{name}-{number}"));
            server.threads.push(worker.spawn(move || shared.work())?);
        }
        let acceptor = thread::Builder::new().name(format!("{name}-accept"));
        server.threads.push(acceptor.spawn(move || shared.accept(&listener))?);
        Ok(server)
    }

    /// The address that is listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, drops the connections that still wait, lets the others end within the crowded limits
    /// and joins every thread.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        state.waiting.clear();
        drop(state);
        self.shared.changed.notify_all();
        // Shutting down a listening socket makes Linux fail the accept that waits on it; no descriptor is
        // needed, so it works where connecting to ourselves could not.
        if let Err(error) = self.wake.shutdown(Shutdown::Both)
            && error.kind() != ErrorKind::NotConnected
        {
            log::warn!(server = self.shared.name.as_str(), error:%; "could not wake the accepting thread");
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!(server = self.shared.name.as_str(); "an http thread had panicked");
            }
        }
    }
}

/// How much time and how many threads clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Threads, each serving one connection.
    pub workers: usize,
    /// Connections that wait for a thread.
    pub waiting: usize,
    /// From picking up a connection to the last byte of its head.
    pub head: Duration,
    /// The same while others wait, or the server stops.
    pub crowded_head: Duration,
    /// From the first to the last byte of an answer.
    pub write: Duration,
    /// The same while others wait, or the server stops.
    pub crowded_write: Duration,
}

impl Default for Limits {
    /// Four threads: two scrapers, a probe and a person. A head comes with the connection or a round trip
    /// later, so a quarter of a second is ample in a crowd.
    fn default() -> Limits {
        Limits {
            workers: 4,
            waiting: 32,
            head: Duration::from_secs(5),
            crowded_head: Duration::from_millis(250),
            write: Duration::from_secs(10),
            crowded_write: Duration::from_secs(1),
        }
    }
}

struct Shared {
    name: String,
    limits: Limits,
    routes: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<TcpStream>,
    /// Threads with a connection; the others are free, or about to be.
    busy: usize,
    stopping: bool,
}

/// How reading a head ended.
enum Head {
    Request(Request),
    Refused(Refusal),
    /// The client left without a word.
    Gone,
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        let mut warned: Option<Instant> = None;
        while !self.lock().stopping {
            match listener.accept() {
                Ok((stream, _)) => self.enqueue(stream),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    let is_news = warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL);
                    if is_news && !self.lock().stopping {
                        log::warn!(server = self.name.as_str(), error:%; "could not accept a connection");
                        warned = Some(Instant::now());
                    }
                    self.pause();
                }
            }
        }
    }

    /// Waits until an accept may have a chance again, for example when descriptors had run out, or until
    /// stopped.
    fn pause(&self) {
        let state = self.lock();
        let until = self.changed.wait_timeout_while(state, ACCEPT_PAUSE, |state| !state.stopping);
        drop(until.unwrap_or_else(PoisonError::into_inner));
    }

    fn enqueue(&self, stream: TcpStream) {
        let mut state = self.lock();
        if state.stopping {
            return;
        }
        if state.waiting.len() < self.limits.waiting {
            state.waiting.push_back(stream);
            drop(state);
            self.changed.notify_one();
            return;
        }
        drop(state);
        if let Err(error) = turn_away(stream) {
            log::debug!(server = self.name.as_str(), error:%; "could not tell a client to come back");
        }
    }

    fn work(&self) {
        while let Some(stream) = self.next() {
            if let Err(error) = self.serve(stream) {
                log::debug!(server = self.name.as_str(), error:%; "could not serve a client");
            }
            self.lock().busy -= 1;
        }
    }

    /// The next connection; `None` when stopped.
    fn next(&self) -> Option<TcpStream> {
        let unwanted = |state: &mut State| state.waiting.is_empty() && !state.stopping;
        let waited = self.changed.wait_while(self.lock(), unwanted);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let stream = state.waiting.pop_front()?;
        state.busy += 1;
        Some(stream)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        // Head and body go out in two writes; without this the second could wait for the first one's receipt.
        stream.set_nodelay(true)?;
        let (method, response) = match self.read_head(&mut stream)? {
            Head::Request(request) => (request.method(), self.answer(&request)),
            Head::Refused(refusal) => (Method::Get, Response::from(refusal)),
            Head::Gone => return Ok(()),
        };
        let started = Instant::now();
        self.write(&mut stream, response.head().as_bytes(), started)?;
        if method == Method::Get {
            self.write(&mut stream, response.body(), started)?;
        }
        stream.shutdown(Shutdown::Write)?;
        self.linger(&mut stream)
    }

    /// What the routes say. A panic in them is a bug that must not cost a thread: after a few requests nobody
    /// would answer any more.
    fn answer(&self, request: &Request) -> Response {
        // What the routes share is behind locks and atomics of its own.
        catch_unwind(AssertUnwindSafe(|| (self.routes)(request))).unwrap_or_else(|_| {
            log::error!(
                server = self.name.as_str(), path = request.path();
                "a route panicked; this is a bug of the program, please report it"
            );
            Response::text(Status::InternalServerError, "internal error, see the log\n")
        })
    }

    fn read_head(&self, stream: &mut TcpStream) -> io::Result<Head> {
        let started = Instant::now();
        let mut head = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            match parse_head(&head) {
                Ok(Some(request)) => return Ok(Head::Request(request)),
                Ok(None) => {}
                Err(refusal) => return Ok(Head::Refused(refusal)),
            }
            let Some(slice) = self.patience(started, self.limits.head, self.limits.crowded_head) else {
                return Ok(Head::Refused(Refusal::TooSlow));
            };
            stream.set_read_timeout(Some(slice))?;
            match stream.read(&mut chunk) {
                Ok(0) if head.is_empty() => return Ok(Head::Gone),
                Ok(0) => return Ok(Head::Refused(Refusal::Malformed { what: "request head" })),
                Ok(length) => head.extend(chunk.iter().take(length)),
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&self, stream: &mut TcpStream, mut bytes: &[u8], started: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(slice) = self.patience(started, self.limits.write, self.limits.crowded_write) else {
                return Err(io::Error::new(ErrorKind::TimedOut, "the client read its answer too slowly"));
            };
            stream.set_write_timeout(Some(slice))?;
            match stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads away what the client still sends: closing a socket with unread bytes resets the connection, and
    /// the client could lose the answer that tells it what is wrong.
    fn linger(&self, stream: &mut TcpStream) -> io::Result<()> {
        let started = Instant::now();
        let mut chunk = [0; 4096];
        let mut total = 0;
        while total < LINGER_BYTES {
            let Some(slice) = self.patience(started, LINGER, CROWDED_LINGER) else {
                return Ok(());
            };
            stream.set_read_timeout(Some(slice))?;
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => total += length,
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How long to wait for the client before asking again; `None` when its time is up.
    fn patience(&self, started: Instant, alone: Duration, crowded: Duration) -> Option<Duration> {
        let state = self.lock();
        let free = self.limits.workers.saturating_sub(state.busy);
        let is_crowded = state.stopping || state.waiting.len() > free;
        drop(state);
        let left = if is_crowded { crowded } else { alone }.checked_sub(started.elapsed())?;
        (!left.is_zero()).then(|| left.min(SLICE))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds `address`; `:port` means every interface.
fn listen(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address);
    };
    match TcpListener::bind(format!("[::]:{port}")) {
        Err(error) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            // The kernel has no IPv6. What else may be wrong (the port) is wrong here too and reported.
            TcpListener::bind(format!("0.0.0.0:{port}"))
        }
        bound => bound,
    }
}

/// Answers 503 without waiting for the client in any way.
fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let response = Response::from(Refusal::Crowded);
    // Both fit into the send buffer of a fresh socket.
    stream.write_all(response.head().as_bytes())?;
    stream.write_all(response.body())?;
    stream.shutdown(Shutdown::Write)?;
    // A request that is there already is read away, so that closing does not reset the connection.
    match stream.read(&mut [0; MAX_HEAD_BYTES]) {
        Err(error) if !is_for_now(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether trying again may help.
fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// How often a thread that waits for a client looks whether the house has filled or is closing.
const SLICE: Duration = Duration::from_millis(50);

/// Between attempts to accept when accepting fails: long enough not to spin, short enough to go unnoticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between two warnings that accepting fails, which clients can bring about by holding many connections.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// How long and how much to read away after an answer. A polite client closes at once.
const LINGER: Duration = Duration::from_millis(500);
const CROWDED_LINGER: Duration = Duration::from_millis(50);
const LINGER_BYTES: usize = 1024 * 1024;
