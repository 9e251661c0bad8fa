//! Metrics over HTTPS, for those who may read them: a thread for each connection, which waits for the API server.
//!
//! It is beside the server of the health port, which never waits and knows no TLS. [`certificate`] has what the server
//! proves itself with, [`terms`] how it speaks, [`guard`] who is let in.
//!
//! Threat: the port is open to every pod of the cluster. A connection has one deadline as a whole, and there is a bound
//! on how many there are: past it the oldest goes, so that whoever asks at once is served however many others say
//! nothing. What strangers make the API server work for is bounded by the guard.

mod certificate;
mod connection;
mod guard;
mod terms;

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base::lock::{Mutex, MutexGuard};
use kube::client::Client;
use web::http::Response;

use certificate::Certificate;
use guard::Guard;
pub use terms::Terms;

/// Where the certificate is, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate with those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What is served, and to whom.
struct House {
    terms: Arc<Terms>,
    guard: Guard,
    page: Box<dyn Fn() -> Response + Send + Sync>,
    guests: Guests,
}

/// The connections that there are.
#[derive(Default)]
struct Guests {
    open: Mutex<BTreeMap<u64, TcpStream>>,
    /// Threads that have not ended; one whose connection was ended needs a moment to notice.
    threads: AtomicUsize,
}

/// Serves `page` as `/metrics` on `address`, from now on, and returns the address with the real port.
///
/// # Errors
/// The system's, when it cannot listen or start a thread.
pub fn start(
    address: &str,
    files: Files,
    terms: Arc<Terms>,
    client: Client,
    page: impl Fn() -> Response + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let context =
        |error: io::Error| io::Error::new(error.kind(), format!("could not listen on {address}: {error}"));
    let listener = web::http::bind(address).map_err(context)?;
    let local = listener.local_addr().map_err(context)?;
    terms.prove_with(Certificate::new(files)).map_err(io::Error::other)?;
    let house = House { terms, guard: Guard::new(client), page: Box::new(page), guests: Guests::default() };
    let house = Arc::new(house);
    thread::Builder::new().name("https".to_owned()).spawn(move || let_in(&listener, &house))?;
    Ok(local)
}

fn let_in(listener: &TcpListener, house: &Arc<House>) {
    for number in 0_u64.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::debug!(error:%; "could not take a connection for metrics");
                #[expect(
                    clippy::disallowed_methods,
                    reason = "its own thread, which has nothing else to do"
                )]
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        if let Err(error) = welcome(number, stream, house) {
            log::debug!(error:%; "could not serve a connection for metrics");
        }
    }
}

fn welcome(number: u64, stream: TcpStream, house: &Arc<House>) -> io::Result<()> {
    let guests = &house.guests;
    if guests.threads.load(Ordering::SeqCst) >= 2 * MOST_CONNECTIONS {
        return Ok(());
    }
    let handle = stream.try_clone()?;
    let mut open = guests.lock();
    if open.len() >= MOST_CONNECTIONS
        && let Some((_, oldest)) = open.pop_first()
    {
        // One that is gone already is as good.
        drop(oldest.shutdown(Shutdown::Both));
    }
    open.insert(number, handle);
    drop(open);
    guests.threads.fetch_add(1, Ordering::SeqCst);
    let stay = Stay { house: Arc::clone(house), number };
    let thread = thread::Builder::new().name("https-guest".to_owned()).spawn(move || {
        // It is the client's own business that he left, or has no use for this certificate.
        if let Err(error) = connection::serve(&stream, &stay.house) {
            log::trace!(error:%; "a connection for metrics ended early");
        }
    });
    thread.map(drop)
}

/// One connection's place among the others, which is free again however its thread ends, or if there is to be none.
struct Stay {
    house: Arc<House>,
    number: u64,
}

impl Drop for Stay {
    fn drop(&mut self) {
        let guests = &self.house.guests;
        guests.lock().remove(&self.number);
        guests.threads.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Guests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        // No code that can panic runs between two changes of the connections.
        self.open.lock()
    }
}

/// A cluster has two scrapers, or some.
const MOST_CONNECTIONS: usize = 32;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
