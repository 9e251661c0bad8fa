//! The client's end: a connection to one unix socket, and blocking unary calls on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grpcio::{CallOption, ChannelBuilder, Client};
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
        let mut receiver = self
            .client
            .unary_call_async(&method::<Q, R>(name), request, option)
            .map_err(Status::from_grpcio)?;
        let answered = wait(std::pin::pin!(receiver.message()), || deadline.is_past());
        match answered {
            Some(outcome) => outcome.map_err(Status::from_grpcio),
            None => {
                receiver.cancel();
                Err(Status::new(Code::DeadlineExceeded, "no answer before the caller's deadline"))
            }
        }
    }
}

/// A provider that restarts is back in well under a second more often than not.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_LATER: Duration = Duration::from_secs(1);
