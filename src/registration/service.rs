//! The Registration service: kubelet asks who is there, and tells what became of it.
//!
//! Threat: only root reaches the socket, but a mistaken caller must not count as kubelet. Who tells a result without
//! having asked is turned away, and so is who tells more than the keeper takes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use rpc::pb::registration as pb;
use rpc::quick::QuickMethods;
use rpc::status::{Code, Status};

use super::Message;
use super::attempts::News;

/// What kubelet is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Introduction {
    /// The driver's name.
    pub(super) name: String,
    /// The CSI socket on the node's file system.
    pub(super) endpoint: String,
}

/// The service on the socket of that number.
pub(super) fn methods(introduction: Introduction, socket: u64, keeper: SyncSender<Message>) -> QuickMethods {
    let was_asked = Arc::new(AtomicBool::new(false));
    let (asking, telling) = (keeper.clone(), keeper);
    let seen = Arc::clone(&was_asked);
    QuickMethods::new()
        .unary("/pluginregistration.Registration/GetInfo", move |_: pb::InfoRequest| {
            pass(&asking, socket, News::Asked)?;
            was_asked.store(true, Ordering::SeqCst);
            Ok(pb::PluginInfo {
                type_: PLUGIN_TYPE.to_owned(),
                name: introduction.name.clone(),
                endpoint: introduction.endpoint.clone(),
                supported_versions: vec![CSI_VERSION.to_owned()],
                ..Default::default()
            })
        })
        .unary(
            "/pluginregistration.Registration/NotifyRegistrationStatus",
            move |status: pb::RegistrationStatus| {
                if !seen.load(Ordering::SeqCst) {
                    let text = "nobody has asked for this driver's information yet";
                    return Err(Status::new(Code::FailedPrecondition, text));
                }
                let news = if status.plugin_registered {
                    News::Accepted
                } else {
                    News::Refused { text: status.error.chars().take(MAX_TEXT_CHARS).collect() }
                };
                pass(&telling, socket, news)?;
                Ok(pb::RegistrationStatusResponse::default())
            },
        )
}

/// Hands over without waiting, since this runs on the gRPC library's own thread.
fn pass(keeper: &SyncSender<Message>, socket: u64, news: News) -> Result<(), Status> {
    keeper.try_send(Message::News { socket, news }).map_err(|error| match error {
        TrySendError::Full(_) => Status::new(Code::ResourceExhausted, "too many calls at once, try again"),
        TrySendError::Disconnected(_) => Status::new(Code::Unavailable, "the driver is stopping"),
    })
}

const PLUGIN_TYPE: &str = "CSIPlugin";
/// What kubelet takes for every CSI 1.x.
const CSI_VERSION: &str = "1.0.0";
/// What a log line holds of a refusal.
const MAX_TEXT_CHARS: usize = 1024;
