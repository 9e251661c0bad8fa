//! A gRPC server on one endpoint whose methods are blocking functions.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::{
    ChannelBuilder, RpcContext, ServerBuilder, ServerCredentials, Service, ServiceBuilder, ShutdownFuture,
    UnarySink,
};
use protobuf::Message;

use metrics::Metrics;
use sys::socket::{self, SocketError};

use super::deadline::Deadline;
use super::method::{add_quick, method, report_unsent};
use super::pool::{DeferredCompletion, Pool};
use super::status::{Code, Status};
use super::{Environment, unix_address, wait};

/// One call in hand.
#[derive(Clone, Copy)]
pub struct Call {
    /// Full name of the method, with the leading slash.
    pub method: &'static str,
    /// Until when the caller waits.
    pub deadline: Deadline,
    /// The call names `localhost` as the authority, as drivers do and as a provider may insist on.
    pub is_for_localhost: bool,
}

/// The methods of one service.
pub struct Methods {
    builder: ServiceBuilder,
    pool: Pool,
    metrics: Arc<Metrics>,
}

impl Methods {
    /// No methods yet; they will run on `pool`.
    pub fn new(pool: Pool, metrics: Arc<Metrics>) -> Methods {
        Methods { builder: ServiceBuilder::new(), pool, metrics }
    }

    /// Adds a unary method under its full name, as in `/csi.v1.Node/NodeGetInfo`.
    pub fn unary<Q, R>(
        mut self,
        name: &'static str,
        handler: impl Fn(Call, Q) -> Result<R, Status> + Send + Sync + 'static,
    ) -> Methods
    where
        Q: Message + 'static,
        R: Message + 'static,
    {
        let method = method::<Q, R>(name);
        let handler = Arc::new(handler);
        let (pool, metrics) = (self.pool.clone(), Arc::clone(&self.metrics));
        self.builder = self.builder.add_unary_handler(&method, move |context, request, sink| {
            let call = call_of(name, &context);
            let Some(ticket) = pool.admit() else {
                let status = Status::new(Code::ResourceExhausted, "too many calls at once, try again");
                metrics.call_rejected();
                // On the queue's own thread: blocking is not allowed, the library sends it by and by.
                context.spawn(async move { report_unsent(name, sink.fail(status.to_grpcio()).await) });
                return;
            };
            let (handler, in_flight) = (Arc::clone(&handler), metrics.call_started());
            ticket.run(move || {
                let rest = answer(call, sink, || handler(call, request));
                drop(in_flight);
                rest
            });
        });
        self
    }

    /// Adds a unary method that is answered while every worker is busy. Its handler must not block.
    pub fn quick<Q, R>(
        mut self,
        name: &'static str,
        handler: impl Fn(Q) -> Result<R, Status> + Send + Sync + 'static,
    ) -> Methods
    where
        Q: Message + 'static,
        R: Message + 'static,
    {
        self.builder = add_quick(self.builder, name, handler);
        self
    }

    fn build(self) -> Service {
        self.builder.build()
    }
}

fn call_of(method: &'static str, context: &RpcContext<'_>) -> Call {
    Call {
        method,
        deadline: Deadline::of_call(context.deadline()),
        is_for_localhost: context.host() == b"localhost",
    }
}

/// Sends what `handle` returns. Every path answers: a sink that is dropped would leave the caller with a
/// cancelled call and no reason.
///
/// The answer leaves at once, but the library's word that it has comes from another thread: a worker that waited for it
/// would be woken once more for each call. What is left is to hear it, and to hold the call until then.
fn answer<R: Message>(
    call: Call,
    sink: UnarySink<R>,
    handle: impl FnOnce() -> Result<R, Status>,
) -> DeferredCompletion {
    let begun = Instant::now();
    let outcome = handle();
    let code = outcome.as_ref().err().map_or(Code::Ok, |status| status.code);
    log::debug!(method = call.method, code = code.name(), seconds = begun.elapsed().as_secs_f64(); "call ended");
    let sending = match outcome {
        Ok(response) => sink.success(response),
        Err(status) => sink.fail(status.to_grpcio()),
    };
    DeferredCompletion::of(move || {
        if let Some(sent) = wait(sending, || call.deadline.is_past()) {
            report_unsent(call.method, sent);
        }
    })
}

/// A server that listens.
pub struct Server {
    server: grpcio::Server,
    pool: Pool,
}

impl Server {
    /// Serves the methods on a unix socket of mode 0600. A stale socket is replaced; a missing directory is made.
    pub fn start_unix(
        environment: &Environment,
        path: &Path,
        pool: Pool,
        services: Vec<Methods>,
    ) -> Result<Server, ServerError> {
        socket::make_room(path).map_err(ServerError::Socket)?;
        socket::with_private_umask(|| Server::start(environment, &unix_address(path), pool, services))
    }

    /// Serves the methods on an address in the form that gRPC takes: `unix:/path`, `127.0.0.1:1234`.
    pub fn start(
        environment: &Environment,
        address: &str,
        pool: Pool,
        services: Vec<Methods>,
    ) -> Result<Server, ServerError> {
        let listen = |source| ServerError::Listen { address: address.to_owned(), source };
        let services = services.into_iter().map(Methods::build);
        let mut server = build(environment, &BOUNDS, services).map_err(listen)?;
        server.add_listening_port(address, ServerCredentials::insecure()).map_err(listen)?;
        server.start();
        Ok(Server { server, pool })
    }

    /// Takes no more calls and waits for those in hand, at most `patience`; then they are cancelled. True when
    /// all of them ended by themselves.
    pub fn stop(mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let shutdown = self.server.shutdown();
        let drained = self.pool.close(patience);
        let stopped = end(&mut self.server, shutdown, until);
        drained && stopped
    }
}

/// How much a server takes.
pub(super) struct Bounds {
    /// The longest request.
    pub(super) request_bytes: i32,
    /// Calls of one connection at a time.
    pub(super) streams: i32,
    /// Calls that the library prepares for in advance, which costs memory. Each is replaced when it is used.
    pub(super) waiting_slots: usize,
}

/// A server that does not listen yet.
pub(super) fn build(
    environment: &Environment,
    bounds: &Bounds,
    services: impl IntoIterator<Item = Service>,
) -> grpcio::Result<grpcio::Server> {
    let arguments = ChannelBuilder::new(Arc::clone(&environment.0))
        .max_receive_message_len(bounds.request_bytes)
        .max_concurrent_stream(bounds.streams)
        // Answering a ping costs less than the library's way of complaining about too many of them.
        .http2_max_ping_strikes(0)
        .build_args();
    let builder = ServerBuilder::new(Arc::clone(&environment.0))
        .channel_args(arguments)
        .requests_slot_per_cq(bounds.waiting_slots);
    services.into_iter().fold(builder, ServerBuilder::register_service).build()
}

/// Waits for the end of a server that takes no more calls; those that are still in flight at that time are cancelled.
/// True when all of them ended by themselves.
pub(super) fn end(server: &mut grpcio::Server, shutdown: ShutdownFuture, until: Instant) -> bool {
    let has_ended = wait(shutdown, || Instant::now() >= until).is_some();
    if !has_ended {
        server.cancel_all_calls();
    }
    has_ended
}

/// Why the server could not start.
#[derive(Debug)]
pub enum ServerError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: String,
        /// What the library says.
        source: grpcio::Error,
    },
    /// The socket's place is not fit for it.
    Socket(SocketError),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Listen { address, source } => write!(f, "could not listen on {address}: {source}"),
            ServerError::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {}

const BOUNDS: Bounds = Bounds {
    // gRPC's default; a request of kubelet has a few kilobytes.
    request_bytes: 4 * 1024 * 1024,
    // Kubelet opens a connection a call; more streams than workers and queue could hold are no use to anybody.
    streams: 1024,
    // The library's own 1024 cost memory, but with a quarter of these, callers who open calls and say no more kept
    // others out.
    waiting_slots: 64,
};
