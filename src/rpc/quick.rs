//! A server on a unix socket for methods that answer at once.
//!
//! Their handlers run on the gRPC library's own thread: they need no worker, and are answered while every worker is
//! busy. So they must not block, not even on a log. Others watch the socket's place: nothing but the socket appears
//! there, see [`WatchedPlace`].

use std::path::Path;
use std::time::{Duration, Instant};

use grpcio::{ServerCredentials, ServiceBuilder};
use protobuf::Message;

use sys::at::SysError;
use sys::socket::{PlacedSocket, WatchedPlace};

use super::method::add_quick;
use super::server::{Bounds, ServerError, build, end};
use super::status::Status;
use super::{Environment, unix_address};

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
        let mut server = build(environment, &BOUNDS, [methods.builder.build()]).map_err(listen)?;
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
        let shutdown = self.server.shutdown();
        end(&mut self.server, shutdown, Instant::now() + patience);
        removed
    }
}

const BOUNDS: Bounds = Bounds {
    // A request that tells of a failure has a few kilobytes.
    request_bytes: 64 * 1024,
    streams: 16,
    waiting_slots: 4,
};
