//! Our own gRPC status: a code and a message for people.

use std::fmt;

use base::text::is_printable;

/// The codes of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of gRPC")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The code of a number on the wire; numbers that gRPC does not define count as unknown.
    pub fn from_wire(number: i32) -> Code {
        ALL.into_iter().find(|code| code.number() == number).unwrap_or(Code::Unknown)
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The name as Go programs print it, which is what people search for in events.
    pub fn name(self) -> &'static str {
        match self {
            Code::Ok => "OK",
            Code::Cancelled => "Canceled",
            Code::Unknown => "Unknown",
            Code::InvalidArgument => "InvalidArgument",
            Code::DeadlineExceeded => "DeadlineExceeded",
            Code::NotFound => "NotFound",
            Code::AlreadyExists => "AlreadyExists",
            Code::PermissionDenied => "PermissionDenied",
            Code::ResourceExhausted => "ResourceExhausted",
            Code::FailedPrecondition => "FailedPrecondition",
            Code::Aborted => "Aborted",
            Code::OutOfRange => "OutOfRange",
            Code::Unimplemented => "Unimplemented",
            Code::Internal => "Internal",
            Code::Unavailable => "Unavailable",
            Code::DataLoss => "DataLoss",
            Code::Unauthenticated => "Unauthenticated",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What kubelet branches on.
    pub code: Code,
    /// What kubelet shows in the pod's events.
    pub message: String,
}

impl Status {
    /// A failure with a message.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into() }
    }

    pub(super) fn to_grpcio(&self) -> grpcio::RpcStatus {
        grpcio::RpcStatus::with_message(self.code.number(), self.message.clone())
    }

    /// What the library says of a call that did not succeed.
    pub(super) fn from_grpcio(error: grpcio::Error) -> Status {
        match error {
            grpcio::Error::RpcFailure(status) => {
                Status::new(Code::from_wire(status.code().into()), clip(status.message()))
            }
            // The decoder's own text may quote the bytes it stumbled over.
            grpcio::Error::Codec(_) => {
                Status::new(Code::Internal, "the answer is not a valid protocol buffer message")
            }
            other => Status::new(Code::Internal, clip(&other.to_string())),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error: code = {} desc = {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

/// A peer's text, short enough for an event and free of characters that are not plainly seen.
fn clip(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).map(|c| if is_printable(c) { c } else { ' ' }).collect()
}

const MAX_MESSAGE_CHARS: usize = 1024;

const ALL: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire_and_the_rest_is_unknown() {
        for code in ALL {
            assert_eq!(Code::from_wire(code.number()), code);
        }
        for number in [-1, 17, i32::MAX] {
            assert_eq!(Code::from_wire(number), Code::Unknown);
        }
    }

    #[test]
    fn a_peers_quotes_and_backslashes_stay() {
        let text = r#"secret "db" is not in 'C:\vault'"#;
        let failure = grpcio::RpcStatus::with_message(5, text.to_owned());
        assert_eq!(Status::from_grpcio(grpcio::Error::RpcFailure(failure)).message, text);
    }

    #[test]
    fn a_peers_text_is_cut_and_stays_on_one_line() {
        let hostile = format!("line\nline\u{1b}[31m\u{202e}\u{2028}{}", "x".repeat(1 << 20));
        let failure = grpcio::RpcStatus::with_message(14, hostile);
        let status = Status::from_grpcio(grpcio::Error::RpcFailure(failure));
        assert_eq!(status.code, Code::Unavailable);
        assert!(status.message.len() <= MAX_MESSAGE_CHARS);
        assert!(!status.message.contains(['\n', '\u{1b}', '\u{202e}', '\u{2028}']));
    }
}
