//! A connection before its request is whole, and after its answer is made. Nothing here ever waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sys::epoll::{Epoll, Interest};

use super::answer::Answer;
use super::{Method, Refusal, Request, parse_head};

/// One whose request is not whole.
pub(super) struct Incomplete {
    pub(super) stream: TcpStream,
    pub(super) since: Instant,
    head: Vec<u8>,
    is_watched: bool,
}

/// What has become of a head.
pub(super) enum Head {
    /// More has to come.
    Partial,
    Whole(Request),
    Refused(Refusal),
    /// The client left, without a word or by force.
    Gone,
}

impl Incomplete {
    pub(super) fn new(stream: TcpStream, since: Instant) -> Incomplete {
        Incomplete { stream, since, head: Vec::new(), is_watched: false }
    }

    /// Has more of its head be told of.
    pub(super) fn watch(&mut self, epoll: &Epoll, number: u64) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_watched, true) {
            epoll.watch(&self.stream, number, Interest::Read)?;
        }
        Ok(())
    }

    /// The connection alone, which is not watched any more.
    pub(super) fn into_stream(self, epoll: &Epoll) -> io::Result<TcpStream> {
        if self.is_watched {
            epoll.forget(&self.stream)?;
        }
        Ok(self.stream)
    }

    /// Takes in what has come since.
    pub(super) fn read(&mut self) -> Head {
        let mut chunk = [0; 1024];
        // Each round adds to the head, which has a longest length, or is the last.
        loop {
            match (&self.stream).read(&mut chunk) {
                Ok(0) if self.head.is_empty() => return Head::Gone,
                Ok(0) => return Head::Refused(Refusal::Malformed { what: "request head" }),
                Ok(length) => self.head.extend(chunk.iter().take(length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Head::Partial,
                Err(_) => return Head::Gone,
            }
            match parse_head(&self.head) {
                Ok(Some(request)) => return Head::Whole(request),
                Ok(None) => {}
                Err(refusal) => return Head::Refused(refusal),
            }
        }
    }
}

/// One that has an answer to take.
pub(super) struct Answering {
    pub(super) stream: TcpStream,
    /// The end of its time.
    pub(super) until: Instant,
    /// When the client last took a byte.
    pub(super) progress: Instant,
    answer: Arc<Answer>,
    method: Method,
    sent: usize,
    discarded: usize,
    next: Next,
    watched: Option<Interest>,
}

/// What an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Room for more of it.
    Room,
    /// The client's end. All is with the kernel, and the client knows that no more will come; what it still sends is
    /// read away, since closing a socket with unread bytes resets the connection, and the client could lose the answer
    /// that tells it what is wrong.
    End,
    /// The end of its time: the client sends no more, but its kernel has not confirmed everything, and will do so
    /// without a word to us.
    Time,
    /// Nothing: it can be dropped.
    Over,
}

impl Answering {
    pub(super) fn new(
        stream: TcpStream,
        answer: Arc<Answer>,
        method: Method,
        now: Instant,
        time: Duration,
    ) -> Answering {
        Answering {
            stream,
            until: now + time,
            progress: now,
            answer,
            method,
            sent: 0,
            discarded: 0,
            next: Next::Room,
            watched: None,
        }
    }

    /// Has what it waits for be told of.
    pub(super) fn watch(&mut self, epoll: &Epoll, number: u64) -> io::Result<()> {
        let interest = match self.next {
            Next::Room => Some(Interest::Write),
            Next::End => Some(Interest::Read),
            Next::Time | Next::Over => None,
        };
        match (std::mem::replace(&mut self.watched, interest), interest) {
            (None, None) => Ok(()),
            (None, Some(interest)) => epoll.watch(&self.stream, number, interest),
            (Some(_), None) => epoll.forget(&self.stream),
            (Some(before), Some(interest)) if before == interest => Ok(()),
            (Some(_), Some(interest)) => epoll.change(&self.stream, number, interest),
        }
    }

    /// True while not everything is with the kernel.
    pub(super) fn is_sending(&self) -> bool {
        self.next == Next::Room
    }

    /// Does what can be done now. False when it can be dropped.
    pub(super) fn go_on(&mut self, now: Instant) -> bool {
        let next = match self.next {
            Next::Room => self.send(now),
            Next::End => self.read_away(now),
            Next::Time | Next::Over => Ok(self.next),
        };
        self.next = next.unwrap_or(Next::Over);
        self.next != Next::Over
    }

    fn send(&mut self, now: Instant) -> io::Result<Next> {
        let rest = self.answer.to(self.method).get(self.sent..).unwrap_or_default();
        // Once, so that a client that reads fast gets a large answer in turns with the others.
        match (&self.stream).write(rest) {
            Ok(length) if length < rest.len() => {
                self.sent += length;
                self.progress = now;
                Ok(Next::Room)
            }
            Ok(_) => {
                self.progress = now;
                self.stream.shutdown(Shutdown::Write)?;
                self.read_away(now)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Next::Room)
            }
            Err(error) => Err(error),
        }
    }

    fn read_away(&mut self, now: Instant) -> io::Result<Next> {
        let mut chunk = [0; 4096];
        while self.discarded < MOST_DISCARDED {
            match (&self.stream).read(&mut chunk) {
                // Once both directions are over and every byte is confirmed, the kernel knows no other end any more.
                Ok(0) if self.stream.peer_addr().is_err() => return Ok(Next::Over),
                Ok(0) => {
                    self.until = self.until.min(now + LAST_BYTES);
                    return Ok(Next::Time);
                }
                Ok(length) => self.discarded += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::End),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Over)
    }
}

/// How much of what comes after a request is read away.
const MOST_DISCARDED: usize = 1024 * 1024;

/// How long a client that sends no more may take to confirm what is with the kernel.
const LAST_BYTES: Duration = Duration::from_secs(1);
