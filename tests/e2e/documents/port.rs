//! A port of this machine that leads to the driver's, as `kubectl port-forward` makes one.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Open until it is dropped.
pub struct ForwardedPort {
    address: SocketAddr,
    is_ending: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl ForwardedPort {
    /// Forwards connections to that port of the loopback address.
    pub fn open(port: u16, to: &str) -> ForwardedPort {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("port {port}, which the document forwards, is taken: {error}"));
        let (is_ending, to) = (Arc::new(AtomicBool::new(false)), to.to_owned());
        let ending = Arc::clone(&is_ending);
        let listening = move || {
            for stream in listener.incoming() {
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                // A client that left at once, or a driver that restarts: the client sees a closed connection.
                drop(stream.and_then(|stream| forward(stream, &to)));
            }
        };
        let listener = thread::Builder::new().name("forwarded-port".to_owned()).spawn(listening);
        ForwardedPort { address, is_ending, listener: Some(listener.expect("a thread can be started")) }
    }
}

impl Drop for ForwardedPort {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

/// One connection after another is enough here: copies both ways until both sides are done.
fn forward(client: TcpStream, to: &str) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        drop(io::copy(&mut from_client, &mut to_server));
        to_server.shutdown(Shutdown::Write)
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(Shutdown::Both)?;
    drop(upwards.join());
    Ok(())
}
