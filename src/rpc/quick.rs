//! A server on a unix socket for methods that answer at once.
//!
//! Their handlers run on the gRPC library's own thread: they need no worker, and are answered while every worker is
//! busy. So they must not block, not even on a log. Others watch the socket's place: nothing but the socket appears
//! there, see [`WatchedPlace`].

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::{ChannelBuilder, ServerBuilder, ServerCredentials, ServiceBuilder};
use protobuf::Message;

use crate::sys::at::SysError;
use crate::sys::socket::{PlacedSocket, WatchedPlace};

use super::server::{ServerError, method, report_unsent};
use super::status::Status;
use super::{Environment, unix_address, wait};

/// The methods of one service.
pub struct QuickMethods {
    builder: ServiceBuilder,
}

impl QuickMethods {
    /// No methods yet.
    #[expect(clippy::new_without_default, reason = "a service without methods is no sensible default")]
    pub fn new() -> QuickMethods {
        QuickMethods { builder: ServiceBuilder::new() }
    }

    /// Adds a unary method under its full name. The handler must not block.
    pub fn unary<Q, R>(
        mut self,
        name: &'static str,
        handler: impl Fn(Q) -> Result<R, Status> + Send + Sync + 'static,
    ) -> QuickMethods
    where
        Q: Message + 'static,
        R: Message + 'static,
    {
        self.builder = add_quick(self.builder, name, handler);
        self
    }
}

/// Adds a unary method whose handler must not block: it runs where the library hears the call.
pub(super) fn add_quick<Q, R>(
    builder: ServiceBuilder,
    name: &'static str,
    handler: impl Fn(Q) -> Result<R, Status> + Send + Sync + 'static,
) -> ServiceBuilder
where
    Q: Message + 'static,
    R: Message + 'static,
{
    let handler = Arc::new(handler);
    builder.add_unary_handler(&method::<Q, R>(name), move |context, request, sink| {
        let sending = match handler(request) {
            Ok(response) => sink.success(response),
            Err(status) => sink.fail(status.to_grpcio()),
        };
        context.spawn(async move { report_unsent(name, sending.await) });
    })
}

/// A server that listens. Dropping it leaves its socket's file behind; see [`QuickServer::stop`].
pub struct QuickServer {
    /// Dropped before the socket, by whose address it removes what it finds.
    server: grpcio::Server,
    socket: PlacedSocket,
}

impl QuickServer {
    /// Serves the methods on a socket of mode 0600 at `path`, whose directory exists. A stale socket is replaced.
    pub fn start(
        environment: &Environment,
        path: &Path,
        methods: QuickMethods,
    ) -> Result<QuickServer, ServerError> {
        let listen = |source| ServerError::Listen { address: unix_address(path), source };
        let arguments = ChannelBuilder::new(Arc::clone(&environment.0))
            .max_receive_message_len(MAX_REQUEST_BYTES)
            .max_concurrent_stream(MAX_STREAMS_PER_CONNECTION)
            // Answering a ping costs less than the library's way of complaining about too many of them.
            .http2_max_ping_strikes(0)
            .build_args();
        let mut server = ServerBuilder::new(Arc::clone(&environment.0))
            .channel_args(arguments)
            .requests_slot_per_cq(WAITING_SLOTS)
            .register_service(methods.builder.build())
            .build()
            .map_err(listen)?;
        let place = WatchedPlace::make_room(path).map_err(ServerError::Socket)?;
        let address = unix_address(&place.address());
        server.add_listening_port(&address, ServerCredentials::insecure()).map_err(listen)?;
        server.start();
        let socket = place.bound().map_err(ServerError::Socket)?;
        Ok(QuickServer { server, socket })
    }

    /// True while the file at the server's path is its own.
    pub fn is_in_place(&self) -> Result<bool, SysError> {
        self.socket.is_in_place()
    }

    /// Removes the socket's file, unless another one has taken its place, then takes no more calls and waits for
    /// those in hand, at most `patience`.
    pub fn stop(mut self, patience: Duration) -> Result<(), SysError> {
        let removed = self.socket.remove();
        let until = Instant::now() + patience;
        if wait(self.server.shutdown(), || Instant::now() >= until).is_none() {
            self.server.cancel_all_calls();
        }
        removed
    }
}

/// A request that tells of a failure has a few kilobytes.
const MAX_REQUEST_BYTES: i32 = 64 * 1024;
/// Calls that the library prepares for in advance.
const WAITING_SLOTS: usize = 4;
const MAX_STREAMS_PER_CONNECTION: i32 = 16;
