//! Messages as bytes, for what no library would write: a method that carries them, and a provider that answers so.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use grpcio::{
    EnvBuilder, Error, GrpcSlice, Marshaller, MessageReader, Method, MethodType, Server, ServerBuilder,
    ServerCredentials, ServiceBuilder,
};

use super::umask_lock;

/// A provider whose answer is any bytes.
pub struct RawProvider {
    _server: Server,
}

impl RawProvider {
    /// Listens on `socket`, whatever was there, and answers with what `answer` gives.
    pub fn start(socket: &Path, answer: impl Fn() -> Vec<u8> + Clone + Send + 'static) -> RawProvider {
        std::fs::remove_file(socket).ok();
        let service = ServiceBuilder::new()
            .add_unary_handler(&method("/v1alpha1.CSIDriverProvider/Mount"), move |context, _, sink| {
                let sending = sink.success(answer());
                // Whether it arrives shows on the other side.
                context.spawn(async move { drop(sending.await) });
            })
            .build();
        let environment = Arc::new(EnvBuilder::new().cq_count(1).build());
        let mut server = ServerBuilder::new(environment).register_service(service).build().unwrap();
        let umask = umask_lock();
        let address = format!("unix:{}", socket.display());
        server.add_listening_port(address, ServerCredentials::insecure()).unwrap();
        drop(umask);
        server.start();
        RawProvider { _server: server }
    }
}

/// A method whose messages are bytes.
pub fn method(name: &'static str) -> Method<Vec<u8>, Vec<u8>> {
    let bytes = Marshaller { ser: write, de: read };
    Method { ty: MethodType::Unary, name, req_mar: bytes, resp_mar: Marshaller { ser: write, de: read } }
}

#[expect(clippy::ptr_arg, reason = "the library's signature")]
fn write(message: &Vec<u8>, into: &mut GrpcSlice) -> grpcio::Result<()> {
    *into = GrpcSlice::from(message.clone());
    Ok(())
}

fn read(mut from: MessageReader) -> grpcio::Result<Vec<u8>> {
    let mut message = Vec::new();
    from.read_to_end(&mut message).map_err(|error| Error::Codec(Box::new(error)))?;
    Ok(message)
}
