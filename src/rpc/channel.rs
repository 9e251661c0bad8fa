//! The client's end: a connection to one unix socket, and blocking unary calls on it.

use std::io::BufRead;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::Stream;
use grpcio::{
    CallOption, ChannelBuilder, Client, ClientSStreamReceiver, Marshaller, MessageReader, Method, MethodType,
    ResourceQuota,
};
use protobuf::Message;

use super::deadline::Deadline;
use super::method::method;
use super::status::{Code, Status};
use super::{Environment, unix_address, wait};

/// A connection that is made when it is needed and made again when it breaks.
pub struct Channel {
    client: Client,
}

impl Channel {
    /// Addresses a socket; nothing is sent yet. `max_answer_bytes` bounds what is read of an answer.
    pub fn to_socket(environment: &Environment, socket: &Path, max_answer_bytes: i32) -> Channel {
        // Not enforced to the byte: what it does is to have the library read no further while so much is unread.
        let buffers = ResourceQuota::new(None).resize_memory(buffer_bytes(max_answer_bytes));
        let channel = ChannelBuilder::new(Arc::clone(&environment.0))
            // Providers may insist on this authority, and some do.
            .default_authority("localhost")
            .max_receive_message_len(max_answer_bytes)
            .max_send_message_len(-1)
            // Of this peer alone: one that fills its buffers leaves those of others as they are.
            .set_resource_quota(buffers)
            // So much of an answer may come before somebody takes it in, and no more however fast the peer has been:
            // else many answers that wait for their turn would fill the buffers.
            .stream_initial_window_size(LOOKAHEAD_BYTES)
            .http2_bdp_probe(false)
            .initial_reconnect_backoff(RECONNECT_FIRST)
            .max_reconnect_backoff(RECONNECT_LATER)
            // For the path of a socket the library asks no proxy either way; nothing should ever make it think of one.
            .enable_http_proxy(false)
            // Retries are decided in one place, by the caller.
            .enable_retry(false)
            // Two channels to one path must not share a connection: the file behind the path may have changed.
            .use_local_subchannel_pool(true)
            .connect(&unix_address(socket));
        Channel { client: Client::new(channel) }
    }

    /// Makes a unary call and blocks until it is answered or the deadline is past. A socket on which nobody
    /// listens yet is waited for.
    pub fn call<Q: Message, R: Message>(
        &self,
        name: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R, Status> {
        self.start(&method(name), request, deadline, true)?.receive()
    }

    /// Like [`Channel::call`], but ends UNAVAILABLE where nobody listens.
    pub fn call_if_present<Q: Message, R: Message>(
        &self,
        name: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R, Status> {
        self.start(&method(name), request, deadline, false)?.receive()
    }

    /// Makes a unary call and blocks until its answer begins, of which nothing is taken in yet. Ends UNAVAILABLE where
    /// nobody listens.
    pub fn begin_if_present<Q: Message>(
        &self,
        name: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<Answer<RawMessage>, Status> {
        let method: Method<Q, RawMessage> = Method {
            ty: MethodType::Unary,
            name,
            req_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
            resp_mar: Marshaller { ser: |_, _| Ok(()), de: |reader| Ok(RawMessage(reader)) },
        };
        let mut answer = self.start(&method, request, deadline, false)?;
        answer.wait_until_begun()?;
        Ok(answer)
    }

    fn start<Q, R>(
        &self,
        method: &Method<Q, R>,
        request: &Q,
        deadline: Deadline,
        waits_for_peer: bool,
    ) -> Result<Answer<R>, Status> {
        let option = CallOption::default().wait_for_ready(waits_for_peer).timeout(deadline.at_most());
        let receiver = self.client.server_streaming(method, request, option).map_err(Status::from_grpcio)?;
        Ok(Answer { receiver, deadline, is_over: false })
    }
}

/// How much of what a peer sends the library may hold: two of the largest answers.
fn buffer_bytes(max_answer_bytes: i32) -> usize {
    usize::try_from(max_answer_bytes).unwrap_or_default().saturating_mul(2).max(LEAST_BUFFER_BYTES)
}

/// An answer to a call, not yet taken in. Dropping it ends the call.
///
/// The library's own unary call takes it for granted that there is a message: where a peer says that all went well and
/// sends none, it panics. On the wire a unary answer is a stream of one message, so it is read as a stream.
pub struct Answer<R> {
    receiver: ClientSStreamReceiver<R>,
    deadline: Deadline,
    is_over: bool,
}

/// A message as it came, which the library holds in its buffers until this is dropped.
pub struct RawMessage(MessageReader);

impl RawMessage {
    /// Its size, in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Reads it.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.0
    }
}

impl<R> Answer<R> {
    /// Waits for the answer's first sign, which comes right before its message. An error shows with the message.
    fn wait_until_begun(&mut self) -> Result<(), Status> {
        let deadline = self.deadline;
        match wait(pin!(self.receiver.headers()), || deadline.is_past()) {
            Some(_) => Ok(()),
            None => Err(late()),
        }
    }

    /// Takes in its one message.
    pub fn receive(self) -> Result<R, Status> {
        self.receive_patiently(Duration::MAX, || ())
    }

    /// The same, and says so by `is_late`, once, when it has not come to its end after `patience`.
    pub fn receive_patiently(mut self, patience: Duration, is_late: impl FnOnce()) -> Result<R, Status> {
        let late_at = Instant::now().checked_add(patience);
        let mut is_late = Some(is_late);
        let mut next = |answer: &mut Answer<R>| {
            if is_late.is_some() {
                let is_over = || late_at.is_some_and(|at| Instant::now() >= at);
                if let Some(next) = answer.next_unless(is_over) {
                    return next;
                }
                if let (false, Some(is_late)) = (answer.deadline.is_past(), is_late.take()) {
                    is_late();
                }
            }
            answer.next_unless(|| false).unwrap_or_else(|| Err(late()))
        };
        let Some(message) = next(&mut self)? else {
            return Err(Status::new(Code::Internal, "the answer says OK and holds no message"));
        };
        match next(&mut self)? {
            None => {
                self.is_over = true;
                Ok(message)
            }
            Some(_) => Err(Status::new(Code::Internal, "the answer holds more than one message")),
        }
    }

    /// The next message, or none when the answer has ended and is OK; `None` when `give_up` said so first, or the
    /// deadline is past.
    fn next_unless(&mut self, give_up: impl Fn() -> bool) -> Option<Result<Option<R>, Status>> {
        let (receiver, deadline) = (&mut self.receiver, self.deadline);
        let next = std::future::poll_fn(|context| Pin::new(&mut *receiver).poll_next(context));
        let next = wait(next, || deadline.is_past() || give_up())?;
        Some(next.transpose().map_err(Status::from_grpcio))
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        if !self.is_over {
            self.receiver.cancel();
        }
    }
}

fn late() -> Status {
    Status::new(Code::DeadlineExceeded, "no answer before the caller's deadline")
}

/// A provider that restarts is back in well under a second more often than not.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_LATER: Duration = Duration::from_secs(1);
/// A channel for small answers needs room for the protocol all the same.
const LEAST_BUFFER_BYTES: usize = 1 << 20;
/// The window of a stream that HTTP/2 begins with.
const LOOKAHEAD_BYTES: i32 = 65_535;
