//! Messages from the wire, read as the gRPC library reads them.

use protobuf::{CodedInputStream, Message};

/// The message, if the bytes are one.
pub fn decoded<M: Message>(mut bytes: &[u8]) -> Option<M> {
    let mut message = M::new();
    message.merge_from(&mut CodedInputStream::from_buf_read(&mut bytes)).ok()?;
    Some(message)
}
