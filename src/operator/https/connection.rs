//! One connection from its handshake to its end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, Stream};
use zeroize::Zeroizing;

use super::House;
use super::guard::Verdict;
use base::secret::SecretString;
use kube::budget::Budget;
use web::http::{MAX_HEAD_BYTES, Response, Status, bearer_token, parse_head};

/// Answers the one request of a connection.
///
/// # Errors
/// What ended it early.
pub fn serve(stream: &TcpStream, house: &House) -> io::Result<()> {
    let mut line = Timed { stream, until: Instant::now() + TIME };
    let mut session = ServerConnection::new(house.terms.config()).map_err(io::Error::other)?;
    let mut tls = Stream::new(&mut session, &mut line);
    let mut head = Zeroizing::new(Vec::with_capacity(MAX_HEAD_BYTES + CHUNK));
    let mut chunk = Zeroizing::new([0; CHUNK]);
    let (response, method) = loop {
        match parse_head(&head) {
            Ok(Some(request)) => {
                let answer = match request.path() {
                    PATH => house.answer(&head),
                    _ => Response::not_found(),
                };
                break (answer, request.method());
            }
            Ok(None) => {}
            Err(refusal) => break (Response::from(refusal), web::http::Method::Get),
        }
        let length = tls.read(&mut *chunk)?;
        if length == 0 {
            return Ok(());
        }
        // It grows no further than to where a head is refused.
        head.extend(chunk.iter().take(length));
    };
    tls.write_all(&response.bytes_for(method))?;
    tls.conn.send_close_notify();
    tls.flush()?;
    // A socket that is closed with unread bytes resets the connection, and the client could lose the answer.
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut left = MOST_DISCARDED;
    while left > 0 {
        match line.read(&mut *chunk)? {
            0 => break,
            length => left = left.saturating_sub(length),
        }
    }
    Ok(())
}

impl House {
    fn answer(&self, head: &[u8]) -> Response {
        let token = bearer_token(head).map(|token| SecretString::new(token.to_owned()));
        match self.guard.judge(token.as_ref(), PATH, Budget::lasting(REVIEW_TIME)) {
            Verdict::Welcome => (self.page)(),
            Verdict::Stranger => Response::text(Status::Unauthorized, "a token of this cluster is needed\n"),
            Verdict::Refused => {
                Response::text(Status::Forbidden, "the token does not permit to get /metrics\n")
            }
            Verdict::Undecided => {
                Response::text(Status::ServiceUnavailable, "the API server has not said who may read this\n")
            }
        }
    }
}

/// A connection that has an end.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        let mut stream = self.stream;
        stream.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        let mut stream = self.stream;
        stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stream = self.stream;
        stream.flush()
    }
}

const CHUNK: usize = 1024;
const PATH: &str = "/metrics";
/// From the connection to its end, handshake and reviews included.
const TIME: Duration = Duration::from_secs(10);
const REVIEW_TIME: Duration = Duration::from_secs(5);
/// How much of what comes after a request is read away.
const MOST_DISCARDED: usize = 64 * 1024;
