//! The client's end: a connection to one unix socket, and blocking unary calls on it.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use grpcio::{CallOption, ChannelBuilder, Client, ClientSStreamReceiver};
use protobuf::Message;

use super::deadline::Deadline;
use super::server::method;
use super::status::{Code, Status};
use super::{Environment, unix_address, wait};

/// A connection that is made when it is needed and made again when it breaks.
pub struct Channel {
    client: Client,
}

impl Channel {
    /// Addresses a socket; nothing is sent yet. `max_answer_bytes` bounds what is read of an answer.
    pub fn to_socket(environment: &Environment, socket: &Path, max_answer_bytes: i32) -> Channel {
        let channel = ChannelBuilder::new(Arc::clone(&environment.0))
            // Providers may insist on this authority, and some do.
            .default_authority("localhost")
            .max_receive_message_len(max_answer_bytes)
            .max_send_message_len(-1)
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
        self.call_with(CallOption::default().wait_for_ready(true), name, request, deadline)
    }

    /// Like [`Channel::call`], but ends UNAVAILABLE where nobody listens.
    pub fn call_if_present<Q: Message, R: Message>(
        &self,
        name: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R, Status> {
        self.call_with(CallOption::default().wait_for_ready(false), name, request, deadline)
    }

    fn call_with<Q: Message, R: Message>(
        &self,
        option: CallOption,
        name: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R, Status> {
        let option = option.timeout(deadline.at_most());
        let mut answer = self
            .client
            .server_streaming(&method::<Q, R>(name), request, option)
            .map_err(Status::from_grpcio)?;
        let outcome = whole(&mut answer, deadline);
        if outcome.is_err() {
            answer.cancel();
        }
        outcome
    }
}

/// The one message of an answer. The library's own unary call takes it for granted that there is one: where a peer says
/// that all went well and sends none, it panics. On the wire a unary answer is a stream of one message, so it is read
/// as a stream.
fn whole<R: Message>(answer: &mut ClientSStreamReceiver<R>, deadline: Deadline) -> Result<R, Status> {
    let Some(message) = next(answer, deadline)? else {
        return Err(Status::new(Code::Internal, "the answer says OK and holds no message"));
    };
    match next(answer, deadline)? {
        None => Ok(message),
        Some(_) => Err(Status::new(Code::Internal, "the answer holds more than one message")),
    }
}

/// The next message; none when the answer has ended and is OK.
fn next<R>(answer: &mut ClientSStreamReceiver<R>, deadline: Deadline) -> Result<Option<R>, Status> {
    let next = std::future::poll_fn(|context| Pin::new(&mut *answer).poll_next(context));
    match wait(next, || deadline.is_past()) {
        Some(next) => next.transpose().map_err(Status::from_grpcio),
        None => Err(Status::new(Code::DeadlineExceeded, "no answer before the caller's deadline")),
    }
}

/// A provider that restarts is back in well under a second more often than not.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_LATER: Duration = Duration::from_secs(1);
