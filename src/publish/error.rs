//! Why a publish failed, whose fault it is, and what kubelet, dashboards and people are told.

use std::fmt;

use base::text::printable;
use kube::error::ApiError;
use provider::client::CallError;
use provider::name::InvalidProviderName;
use provider::registry::Unreachable;
use rpc::status::{Code, Status};
use sys::at::SysError;
use volume::payload::PayloadError;
use volume::place::PlaceError;
use volume::writer::WriteError;

use super::attributes::ReservedParameter;
use super::memory::OutOfMemory;

/// A failed publish or unpublish.
///
/// No variant holds a secret, a token or a payload: what a person reads is made of names, codes and the texts of
/// the kernel, the API server and the provider.
#[derive(Debug)]
pub enum PublishError {
    /// Another call works on this volume.
    Busy,
    /// The class cannot be had.
    Class {
        /// `namespace/name`.
        class: String,
        /// What the API server, or the way to it, says.
        source: ApiError,
    },
    /// The class has more parameters than anybody could store.
    ClassTooLarge {
        /// `namespace/name`.
        class: String,
    },
    /// The class sets no parameters.
    ClassWithoutParameters {
        /// `namespace/name`.
        class: String,
    },
    /// The class names no provider.
    ClassWithoutProvider {
        /// `namespace/name`.
        class: String,
    },
    /// The class sets what only kubelet may set.
    ClassWithReservedParameter {
        /// `namespace/name`.
        class: String,
        /// Which.
        source: ReservedParameter,
    },
    /// Kubelet's deadline is past; what was begun is undone.
    Deadline {
        /// What would have come next.
        before: &'static str,
    },
    /// The volume was taken away while it was being made.
    Displaced,
    /// The content does not fit into the memory that the driver may have.
    Memory(OutOfMemory),
    /// The kernel refused the mount or a change of its root.
    Mount(SysError),
    /// The target cannot be opened, seen or cleared.
    Place(PlaceError),
    /// The volume's pod status cannot be written.
    PodStatus(ApiError),
    /// A step on the way through the provider.
    Provider(ProviderError),
}

/// What went wrong between asking a provider and having its answer in the volume.
#[derive(Debug)]
pub enum ProviderError {
    /// There is no socket that may be called and is listened on.
    Unreachable(Unreachable),
    /// No such name.
    InvalidName(InvalidProviderName),
    /// The call failed, or was not made.
    Call(CallError),
    /// The provider answered with an error code of its own.
    Answered {
        /// That code.
        code: String,
    },
    /// The provider answered with no object at all.
    NoObjects,
    /// The answer's files cannot make a volume.
    Payload(PayloadError),
    /// The files cannot be written.
    Write(WriteError),
}

impl PublishError {
    /// The one place that chooses gRPC codes. Kubelet takes CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE,
    /// RESOURCE_EXHAUSTED and ABORTED as "may still happen" and everything else as final.
    pub fn code(&self) -> Code {
        match self {
            PublishError::Busy => Code::Aborted,
            PublishError::Class { .. }
            | PublishError::ClassTooLarge { .. }
            | PublishError::ClassWithoutParameters { .. }
            | PublishError::ClassWithoutProvider { .. }
            | PublishError::ClassWithReservedParameter { .. }
            | PublishError::PodStatus(_) => Code::Unknown,
            PublishError::Deadline { .. } => Code::DeadlineExceeded,
            PublishError::Memory(_) => Code::ResourceExhausted,
            // Kubelet must not take a shortage on the node for the end of a volume that may well be live.
            PublishError::Place(error) if error.is_shortage() => Code::Unavailable,
            PublishError::Mount(error) if error.is_shortage() => Code::Unavailable,
            PublishError::Mount(_) => Code::Unknown,
            PublishError::Displaced | PublishError::Place(_) => Code::Internal,
            PublishError::Provider(error) => match error {
                ProviderError::Call(error) => error.code(),
                ProviderError::Unreachable(error) => error.code(),
                ProviderError::Write(WriteError::Sys(error)) if error.is_shortage() => Code::Unavailable,
                ProviderError::InvalidName(_)
                | ProviderError::Answered { .. }
                | ProviderError::NoObjects
                | ProviderError::Payload(_)
                | ProviderError::Write(_) => Code::Unknown,
            },
        }
    }

    /// The `error_type` of the metrics, with upstream's words; empty where upstream's is empty.
    pub fn reason(&self) -> &str {
        match self {
            PublishError::Class { .. } => "SecretProviderClassNotFound",
            PublishError::Place(PlaceError::Check { .. } | PlaceError::ForeignMount { .. }) => {
                "FailedToEnsureMountPoint"
            }
            PublishError::Busy
            | PublishError::ClassTooLarge { .. }
            | PublishError::ClassWithoutParameters { .. }
            | PublishError::ClassWithoutProvider { .. }
            | PublishError::ClassWithReservedParameter { .. }
            | PublishError::Deadline { .. }
            | PublishError::Displaced
            | PublishError::Mount(_)
            | PublishError::Place(_) => FAILED_TO_MOUNT,
            PublishError::Memory(_) => "OutOfMemory",
            PublishError::PodStatus(_) => "",
            PublishError::Provider(error) => match error {
                ProviderError::Unreachable(Unreachable::NotFound { .. }) | ProviderError::InvalidName(_) => {
                    ""
                }
                ProviderError::Unreachable(Unreachable::Distrusted(_)) => "ProviderSocketRefused",
                ProviderError::Unreachable(_) => "GRPCProviderError",
                ProviderError::Call(_) | ProviderError::NoObjects => "GRPCProviderError",
                ProviderError::Answered { code } => code,
                ProviderError::Payload(_) | ProviderError::Write(_) => "FileWriteError",
            },
        }
    }

    /// What has gone wrong, on one line and not too long for people: names in it may be somebody's invention.
    pub fn shown(&self) -> String {
        printable(&self.to_string(), LONGEST_MESSAGE_BYTES)
    }

    /// What kubelet is answered and shows in the pod's events.
    pub fn status(&self, pod: &str) -> Status {
        let message = match self {
            PublishError::Provider(error) => {
                format!("failed to mount secrets store objects for pod {pod}, err: {error}")
            }
            PublishError::PodStatus(error) => {
                format!("failed to create secret provider class pod status for pod {pod}, err: {error}")
            }
            other => other.to_string(),
        };
        Status::new(self.code(), printable(&message, LONGEST_MESSAGE_BYTES))
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Busy => write!(f, "another call for this volume is in progress"),
            PublishError::Class { class, source } => {
                let class = printable(class, LONGEST_NAME_BYTES);
                write!(f, "failed to get secretproviderclass {class}, error: {source}")
            }
            PublishError::ClassTooLarge { class } => {
                write!(
                    f,
                    "class {class} has more parameters than a provider can be told, divide it among several"
                )
            }
            PublishError::ClassWithoutParameters { class } => write!(f, "parameters not set in {class}"),
            PublishError::ClassWithoutProvider { class } => write!(f, "provider not set in {class}"),
            PublishError::ClassWithReservedParameter { class, source } => write!(f, "{class}: {source}"),
            PublishError::Deadline { before } => write!(f, "the caller's deadline was past before {before}"),
            PublishError::Displaced => {
                write!(f, "the volume was unmounted or covered while it was being made; try again")
            }
            PublishError::Memory(error) => error.fmt(f),
            PublishError::Mount(error) => write!(f, "could not mount the volume: {error}"),
            PublishError::Place(error) => error.fmt(f),
            PublishError::PodStatus(error) => write!(f, "could not write the pod status: {error}"),
            PublishError::Provider(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}

impl ProviderError {
    /// True when trying again in a second may help.
    pub fn may_pass(&self) -> bool {
        match self {
            ProviderError::Call(error) => error.may_pass(),
            ProviderError::Unreachable(error) => error.may_pass(),
            _ => false,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProviderError::Unreachable(error) => connecting(f, error.name(), error),
            ProviderError::InvalidName(error) => connecting(f, error.name(), error),
            ProviderError::Call(error) => error.fmt(f),
            ProviderError::Answered { code } => {
                write!(
                    f,
                    "mount request failed with provider error code {}",
                    printable(code, LONGEST_NAME_BYTES)
                )
            }
            ProviderError::NoObjects => write!(f, "missing object versions"),
            ProviderError::Payload(error) => error.fmt(f),
            ProviderError::Write(error) => error.fmt(f),
        }
    }
}

fn connecting(f: &mut fmt::Formatter<'_>, name: &str, cause: &dyn fmt::Display) -> fmt::Result {
    write!(f, "error connecting to provider \"{}\": {cause}", printable(name, LONGEST_NAME_BYTES))
}

impl From<PlaceError> for PublishError {
    fn from(error: PlaceError) -> PublishError {
        PublishError::Place(error)
    }
}

impl From<ProviderError> for PublishError {
    fn from(error: ProviderError) -> PublishError {
        PublishError::Provider(error)
    }
}

impl From<WriteError> for ProviderError {
    fn from(error: WriteError) -> ProviderError {
        ProviderError::Write(error)
    }
}

/// Kubelet makes an event of it, which holds 1024 bytes, and a line of its log.
const LONGEST_MESSAGE_BYTES: usize = 1536;
/// What a namespace and a name have at most; enough to recognise a code or a name that is none.
const LONGEST_NAME_BYTES: usize = 320;
/// The `error_type` of failures before anything specific is known.
pub const FAILED_TO_MOUNT: &str = "FailedToMount";

#[cfg(test)]
mod tests {
    use super::*;
    use sys::at::Errno;

    #[test]
    fn a_shortage_on_the_node_may_pass_wherever_it_is_met_and_a_refusal_does_not() {
        let rows = [("EMFILE", Errno::MFILE, Code::Unavailable), ("EPERM", Errno::PERM, Code::Unknown)];
        for (name, errno, code) in rows {
            let error = || SysError::new("openat", "mount", errno);
            let write = ProviderError::Write(WriteError::Sys(error()));
            assert_eq!(PublishError::Mount(error()).code(), code, "{name} while mounting");
            assert_eq!(PublishError::Provider(write).code(), code, "{name} while writing");
        }
    }
}
