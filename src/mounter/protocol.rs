//! What the driver and the mounter say to each other: one short message each way.
//!
//! A request is one byte and a path; an answer is one byte and, where something failed, what a [`SysError`] holds. The
//! two are always of one build, so there is no version.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sys::at::{Errno, SysError};

/// What the driver asks for. Paths are relative to the mounter's base, and not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Mount a new tmpfs on this directory.
    Mount(PathBuf),
    /// Take down the tmpfs whose root is this directory.
    Unmount(PathBuf),
}

/// What the mounter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has started. Comes once, without having been asked for.
    Ready {
        /// Nothing has shown that the content of a tmpfs could be swapped to disk.
        keeps_out_of_swap: bool,
    },
    /// It has started, but a mount on trial failed, so every other will.
    MayNotMount(SysError),
    /// What was asked for is done. After a mount, a descriptor of the root comes with it.
    Done,
    /// There was nothing to take down.
    Nothing,
    /// It was refused, or failed, and nothing was changed.
    Failed(SysError),
}

impl Request {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (tag, path) = match self {
            Request::Mount(path) => (MOUNT, path),
            Request::Unmount(path) => (UNMOUNT, path),
        };
        [&[tag], path.as_os_str().as_bytes()].concat()
    }

    /// From bytes; `None` for what no driver sends.
    pub fn decode(message: &[u8]) -> Option<Request> {
        let (tag, path) = message.split_first()?;
        let path = PathBuf::from(OsStr::from_bytes(path));
        match *tag {
            MOUNT => Some(Request::Mount(path)),
            UNMOUNT => Some(Request::Unmount(path)),
            _ => None,
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Request::Mount(path) | Request::Unmount(path) => path,
        }
    }
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Ready { keeps_out_of_swap } => vec![READY, u8::from(*keeps_out_of_swap)],
            Answer::MayNotMount(error) => with_error(MAY_NOT_MOUNT, error),
            Answer::Done => vec![DONE],
            Answer::Nothing => vec![NOTHING],
            Answer::Failed(error) => with_error(FAILED, error),
        }
    }

    /// From bytes; `None` for what no mounter sends.
    pub fn decode(message: &[u8]) -> Option<Answer> {
        let (tag, rest) = message.split_first()?;
        match (*tag, rest) {
            (READY, [swap]) => Some(Answer::Ready { keeps_out_of_swap: *swap != 0 }),
            (MAY_NOT_MOUNT, rest) => error(rest).map(Answer::MayNotMount),
            (DONE, []) => Some(Answer::Done),
            (NOTHING, []) => Some(Answer::Nothing),
            (FAILED, rest) => error(rest).map(Answer::Failed),
            _ => None,
        }
    }
}

fn with_error(tag: u8, error: &SysError) -> Vec<u8> {
    let errno = error.errno.raw_os_error().to_le_bytes();
    // An answer is read into a buffer of this size.
    let on: Vec<u8> = error.on.as_bytes().iter().copied().take(LONGEST_PATH).collect();
    [&[tag], &errno[..], error.call.as_bytes(), &[END_OF_NAME], &on].concat()
}

fn error(message: &[u8]) -> Option<SysError> {
    let (errno, rest) = message.split_first_chunk()?;
    let end = rest.iter().position(|byte| *byte == END_OF_NAME)?;
    let (name, on) = (rest.get(..end)?, rest.get(end.checked_add(1)?..)?);
    let call = CALLS.into_iter().find(|call| call.as_bytes() == name).unwrap_or(REFUSAL);
    let errno = Errno::from_raw_os_error(i32::from_le_bytes(*errno));
    Some(SysError { call, on: OsString::from_vec(on.to_vec()), errno })
}

/// Longest path that the kernel takes, in bytes.
const LONGEST_PATH: usize = 4096;
/// Longest message, in bytes.
pub const LONGEST_MESSAGE: usize = LONGEST_PATH + 64;

const MOUNT: u8 = b'M';
const UNMOUNT: u8 = b'U';
const READY: u8 = b'R';
const MAY_NOT_MOUNT: u8 = b'N';
const DONE: u8 = b'D';
const NOTHING: u8 = b'O';
const FAILED: u8 = b'F';

/// Stands behind the name of a call, which has no such byte.
const END_OF_NAME: u8 = 0;

/// What can fail in the mounter, by name. The first stands for itself, and for what is missing here.
pub const REFUSAL: &str = "mounter";
const CALLS: [&str; 22] = [
    REFUSAL,
    "openat2",
    "openat",
    "open",
    "statx",
    "fstat",
    "fstatfs",
    "fcntl",
    "fsopen",
    "fsconfig",
    "fsmount",
    "move_mount",
    "mount",
    "umount2",
    "read",
    "capget",
    "capset",
    "prctl",
    "readlink",
    "seccomp",
    "setrlimit",
    "sigaction",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_as_it_was() {
        for request in [Request::Mount("u/v".into()), Request::Unmount("\u{fe}/x y".into())] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        let failure = SysError { call: "move_mount", on: "a\nb".into(), errno: Errno::BUSY };
        let answers = [
            Answer::Ready { keeps_out_of_swap: true },
            Answer::Ready { keeps_out_of_swap: false },
            Answer::MayNotMount(failure.clone()),
            Answer::Done,
            Answer::Nothing,
            Answer::Failed(failure),
        ];
        for answer in answers {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_nobody_sends_is_no_message() {
        for message in [&b""[..], b"X", b"R", b"Rxx", b"D1", b"F", b"F\0\0\0\0open", b"F\0\0\0"] {
            assert_eq!(Answer::decode(message), None, "{message:?}");
        }
        for message in [&b""[..], b"m/a", b"\0"] {
            assert_eq!(Request::decode(message), None, "{message:?}");
        }
    }

    #[test]
    fn an_error_of_an_unknown_call_still_says_what_the_kernel_said() {
        let error = SysError { call: "brand-new", on: "x".into(), errno: Errno::NOSPC };
        let Some(Answer::Failed(found)) = Answer::decode(&Answer::Failed(error).encode()) else { panic!() };
        assert_eq!((found.call, found.errno), (REFUSAL, Errno::NOSPC));
    }
}
