//! A provider made of bytes: it takes a scripted provider's place and says on the socket what no gRPC library would.
//!
//! It reads just enough of HTTP/2 to know when a request has come and on which stream, and writes frames by hand.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::http2::PREFACE;
pub use super::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
};

/// What is said on one connection; it is closed when this returns.
pub type Script = dyn Fn(&mut Wire) -> io::Result<()> + Send + Sync;

/// Listens in a provider's place; dropping it brings the provider back.
pub struct WireProvider {
    socket: PathBuf,
    kept: PathBuf,
    is_over: Arc<AtomicBool>,
    /// Connections so far.
    pub connections: Arc<AtomicUsize>,
    acceptor: Option<JoinHandle<()>>,
}

impl WireProvider {
    /// Takes the place of the provider at `socket`.
    pub fn instead_of(
        socket: &Path,
        script: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> WireProvider {
        let name = |suffix: &str| socket.with_extension(suffix);
        let (kept, fresh) = (name("kept"), name("fresh"));
        std::fs::hard_link(socket, &kept).expect("a socket can be linked");
        let listener = UnixListener::bind(&fresh).expect("a socket beside another");
        std::fs::rename(&fresh, socket).expect("a socket can be replaced");
        let (is_over, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counted, script) = (Arc::clone(&is_over), Arc::clone(&connections), Arc::new(script));
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let (script, ends) = (Arc::clone(&script), Arc::clone(&ends));
                // It ends with the connection, which the peer closes at the latest.
                thread::spawn(move || {
                    let mut wire = Wire { stream, is_over: ends };
                    // Whatever is wrong with the connection, it is over.
                    drop(script(&mut wire));
                });
            }
        });
        WireProvider { socket: socket.to_owned(), kept, is_over, connections, acceptor: Some(acceptor) }
    }
}

impl Drop for WireProvider {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(UnixStream::connect(&self.socket));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the acceptor does not panic");
        }
        std::fs::rename(&self.kept, &self.socket).expect("the provider's own socket is there");
    }
}

/// One connection.
pub struct Wire {
    stream: UnixStream,
    is_over: Arc<AtomicBool>,
}

impl Wire {
    /// Reads the client's preface, and greets it as a server does.
    pub fn greet(&mut self) -> io::Result<()> {
        self.read(PREFACE.len())?;
        self.write(&frame(SETTINGS, 0, 0, &[]))
    }

    /// Reads frames until a request has come whole; the stream it came on.
    pub fn request(&mut self) -> io::Result<u32> {
        loop {
            let head = self.read(9)?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let payload = self.read(length)?;
            let (kind, flags) = (head[3], head[4]);
            match kind {
                SETTINGS if flags & ACK == 0 => self.write(&frame(SETTINGS, ACK, 0, &[]))?,
                PING if flags & ACK == 0 => self.write(&frame(PING, ACK, 0, &payload))?,
                DATA if flags & END_STREAM != 0 => return Ok(stream),
                _ => {}
            }
        }
    }

    /// Writes these bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes these bytes over and over, until the peer has enough or the case is over.
    pub fn write_on_and_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(LOOK_AGAIN))?;
        let mut rest = bytes;
        while !self.is_over.load(Ordering::SeqCst) {
            match self.stream.write(rest) {
                Ok(written) => rest = if written == rest.len() { bytes } else { &rest[written..] },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads and drops what comes, until the peer has gone or the case is over.
    pub fn linger(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(LOOK_AGAIN))?;
        let mut buffer = [0; 4096];
        while !self.is_over.load(Ordering::SeqCst) {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// An HTTP/2 frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The frames of an answer up to its message: status 200 and the content type of gRPC.
pub fn answer_head(stream: u32) -> Vec<u8> {
    let mut block = vec![STATUS_200];
    block.extend(literal("content-type", "application/grpc"));
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A message as gRPC wraps it, in frames of a legal size.
pub fn message(stream: u32, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a message is short");
    let mut wrapped = vec![0];
    wrapped.extend_from_slice(&length.to_be_bytes());
    wrapped.extend_from_slice(bytes);
    wrapped.chunks(LARGEST_FRAME).flat_map(|chunk| frame(DATA, 0, stream, chunk)).collect()
}

/// The end of an answer: how the call went.
pub fn trailers(stream: u32, grpc_status: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &literal("grpc-status", grpc_status))
}

/// A header that no table knows.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short header"));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// In the static table of header compression.
const STATUS_200: u8 = 0x88;
/// The largest frame that nobody has to agree on.
pub const LARGEST_FRAME: usize = 16_384;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
