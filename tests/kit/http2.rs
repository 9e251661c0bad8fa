//! HTTP/2 by hand on a unix socket: what a caller can send that no library would. It knows frames and as much of HPACK
//! as a request needs, keeps no rule of the protocol by itself, and reads answers only when a test asks for them.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::PATIENCE;

/// One connection, as its client sees it.
pub struct Wire {
    stream: UnixStream,
}

/// What became of bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The peer, or the kernel for it, took them.
    Taken,
    /// The peer reads no more for now.
    Stuck,
    /// The peer has closed the connection.
    Closed,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this gRPC status.
    Status(u32),
    /// With HTTP headers that carry no gRPC status.
    NoStatus,
    /// The stream was reset, with this error code.
    Reset(u32),
    /// The connection ends, with this error code.
    GoAway(u32),
    /// The connection has ended.
    Closed,
    /// Nothing came.
    Silence,
}

impl Wire {
    /// A connection that begins as it should.
    pub fn open(socket: &Path) -> Wire {
        let mut wire = Wire::silent(socket);
        assert_eq!(wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()), Sent::Taken);
        wire
    }

    /// A connection on which nothing was said yet.
    pub fn silent(socket: &Path) -> Wire {
        let stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        Wire::of(stream)
    }

    /// Either end of a connection that is there.
    pub fn of(stream: UnixStream) -> Wire {
        stream.set_write_timeout(Some(STUCK_AFTER)).expect("a socket has timeouts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        Wire { stream }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        match self.stream.write_all(bytes) {
            Ok(()) => Sent::Taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Sent::Stuck,
            Err(_) => Sent::Closed,
        }
    }

    /// Waits less long for answers.
    pub fn be_patient_for(&self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).expect("a socket has timeouts");
    }

    /// Reads and forgets whatever comes, until the connection ends; how many bytes that were.
    pub fn drain<'scope>(&self, scope: &'scope Scope<'scope, '_>) -> ScopedJoinHandle<'scope, u64> {
        let mut stream = self.stream.try_clone().expect("a socket can be shared");
        scope.spawn(move || {
            let (mut total, mut buffer) = (0, [0; 64 << 10]);
            while let Ok(read) = stream.read(&mut buffer) {
                if read == 0 {
                    break;
                }
                total += read as u64;
            }
            total
        })
    }

    /// Ends the connection.
    pub fn close(&self) {
        // The peer may have been faster.
        drop(self.stream.shutdown(Shutdown::Both));
    }

    /// Reads until the answer on that stream ends in whichever way.
    pub fn answer(&mut self, stream: u32) -> Ended {
        let mut headers = Vec::new();
        loop {
            let Frame { kind, flags, stream: of, payload } = match self.frame() {
                Ok(frame) => frame,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ended::Silence,
                Err(_) => return Ended::Closed,
            };
            match kind {
                GOAWAY => return Ended::GoAway(number(&payload, 4)),
                RST_STREAM if of == stream => return Ended::Reset(number(&payload, 0)),
                HEADERS | CONTINUATION if of == stream => headers.extend(&payload),
                _ => {}
            }
            if of == stream && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return status(&headers).map_or(Ended::NoStatus, Ended::Status);
            }
        }
    }

    fn frame(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits fit")];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { kind: head[3], flags: head[4], stream: number(&head, 5) & 0x7fff_ffff, payload })
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A frame with a head that says how long it is.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of_length(payload.len(), kind, flags, stream, payload)
}

/// A frame whose head says whatever it is told to.
pub fn frame_of_length(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("24 bits at most").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The whole of a unary call on a stream: headers, then a message.
pub fn call(stream: u32, path: &[u8], message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    let body = [&[0][..], &length, message].concat();
    [frame(HEADERS, END_HEADERS, stream, &request(path)), frame(DATA, END_STREAM, stream, &body)].concat()
}

/// The headers of a gRPC request, none of them compressed.
pub fn request(path: &[u8]) -> Vec<u8> {
    let mut block = vec![INDEXED_METHOD_POST, INDEXED_SCHEME_HTTP];
    block.extend(header(b":path", path));
    block.extend(header(b":authority", b"localhost"));
    block.extend(header(b"content-type", b"application/grpc"));
    block.extend(header(b"te", b"trailers"));
    block
}

/// One header, by its name.
pub fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[LITERAL][..], &text(name), &text(value)].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = integer(7, bytes.len());
    encoded.extend(bytes);
    encoded
}

/// A number in HPACK, behind a prefix of so many bits, the others zero.
pub fn integer(bits: u32, number: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    let Some(mut rest) = number.checked_sub(most) else {
        return vec![u8::try_from(number).expect("it is below the prefix's most")];
    };
    let mut encoded = vec![u8::try_from(most).expect("eight bits at most")];
    while rest >= 0x80 {
        encoded.push(u8::try_from(rest % 0x80).expect("seven bits") | 0x80);
        rest /= 0x80;
    }
    encoded.push(u8::try_from(rest).expect("seven bits"));
    encoded
}

/// The gRPC status in headers whose names and values are not compressed, as the library sends them the first time on a
/// connection.
fn status(headers: &[u8]) -> Option<u32> {
    let name = b"grpc-status";
    let at = headers.windows(name.len()).position(|window| window == name)? + name.len();
    let length = usize::from(*headers.get(at)?);
    std::str::from_utf8(headers.get(at + 1..at + 1 + length)?).ok()?.parse().ok()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_be_bytes(bytes.unwrap_or_default())
}

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frames: a part of a body.
pub const DATA: u8 = 0;
/// The head of a message, or its trailers.
pub const HEADERS: u8 = 1;
/// Which stream is to be served first.
pub const PRIORITY: u8 = 2;
/// The end of one stream.
pub const RST_STREAM: u8 = 3;
/// What a peer asks of the other.
pub const SETTINGS: u8 = 4;
/// A request that a server makes up.
pub const PUSH_PROMISE: u8 = 5;
/// Whether the other is there.
pub const PING: u8 = 6;
/// The end of the connection.
pub const GOAWAY: u8 = 7;
/// How much more may be sent.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// Flags: the answer to settings or to a ping.
pub const ACK: u8 = 1;
/// No more of this stream follows.
pub const END_STREAM: u8 = 1;
/// The head ends with this frame.
pub const END_HEADERS: u8 = 4;
/// The frame is padded.
pub const PADDED: u8 = 8;

/// Entries of HPACK's own table.
const INDEXED_METHOD_POST: u8 = 0x83;
const INDEXED_SCHEME_HTTP: u8 = 0x86;
/// A header with a name of its own that no table remembers.
const LITERAL: u8 = 0;

/// A peer that reads takes everything at once.
const STUCK_AFTER: Duration = Duration::from_secs(2);
