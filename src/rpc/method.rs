//! One method of a service: what both ends have to know of it, and a handler that answers where the call is heard.

use std::sync::Arc;

use grpcio::{Marshaller, Method, MethodType, ServiceBuilder};
use protobuf::Message;

use super::status::Status;

/// A description of a unary method that both ends share.
pub(super) fn method<Q: Message, R: Message>(name: &'static str) -> Method<Q, R> {
    Method {
        ty: MethodType::Unary,
        name,
        req_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
        resp_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
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

/// The caller may be gone; then nobody is left to tell.
pub(super) fn report_unsent(method: &'static str, sent: grpcio::Result<()>) {
    if let Err(error) = sent {
        log::debug!(method = method, error:% = error; "could not send the answer");
    }
}
