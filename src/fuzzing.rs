//! What the fuzz targets have to reach and nobody else has: the ways in that a peer's bytes take behind the library
//! that receives them. Compiled for them alone.

use protobuf::{CodedInputStream, Message};

use crate::provider::answer::MountResponse;
use crate::sys::at::Dir;
use crate::volume::live::LiveVolume;

pub use crate::kube::watch::frame::Frame;

/// A message from the wire, read as the gRPC library reads it.
pub fn decoded<M: Message>(mut bytes: &[u8]) -> Option<M> {
    let mut message = M::new();
    message.merge_from(&mut CodedInputStream::from_buf_read(&mut bytes)).ok()?;
    Some(message)
}

/// What a provider's answer says, if it is one.
pub fn mount_response(mut bytes: &[u8]) -> Option<MountResponse> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    MountResponse::decode(&mut bytes, size).ok()
}

/// A volume in any directory.
pub fn live_volume(root: Dir) -> LiveVolume {
    LiveVolume::new(root)
}
