//! What the provider answers: states of a pod's secrets, of which every byte follows from the pod and a number.
//!
//! So whoever reads a file knows which state it belongs to, and what all others have to hold. Names come and go from
//! one state to the next, sizes change, and modes differ.

use std::collections::BTreeMap;
use std::fmt;

use rpc::pb::provider as pb;

use kit::provider::answer;
use kit::random::Random;

/// One state: the pod's name, and how many came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The pod's name.
    pub pod: String,
    /// How many came before.
    pub number: u64,
}

/// A file of a state.
pub struct File {
    /// As the provider sends it.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl State {
    /// The state of which these bytes are a file, as their first line says.
    pub fn named_in(bytes: &[u8]) -> Option<State> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let pod = words.next()?.to_owned();
        let number = words.next()?.parse().ok()?;
        Some(State { pod, number })
    }

    /// All files by path.
    pub fn files(&self) -> BTreeMap<String, File> {
        let number = self.number;
        let mut files = vec![
            (ALWAYS[0].to_owned(), 0o644, 0),
            (ALWAYS[1].to_owned(), 0o400, 200 + (number * 577) % 3000),
            (ALWAYS[2].to_owned(), 0o440, 100),
            (ALWAYS[3].to_owned(), 0o600, 16 * 1024 + (number * 17_077) % 80_000),
        ];
        // Enough that a write takes its time, so that kills fall into it.
        let many = if self.pod.starts_with(SMALL) { 1 } else { 20 + number % 20 };
        files.extend((0..many).map(|one| (format!("many/{one}"), 0o640, 40)));
        if number.is_multiple_of(3) {
            files.push((format!("guest-{}", number % 9), 0o444, 10));
        }
        if number.is_multiple_of(4) {
            files.push(("visit/one".to_owned(), 0o644, 64));
        }
        files
            .into_iter()
            .map(|(path, mode, length)| {
                let bytes = self.bytes(&path, length);
                (path, File { mode, bytes })
            })
            .collect()
    }

    /// The answer that brings this state.
    pub fn answer(&self) -> pb::MountResponse {
        let files = self.files();
        let files: Vec<(&str, i32, &[u8])> = files
            .iter()
            .map(|(path, file)| (path.as_str(), file.mode.cast_signed(), file.bytes.as_slice()))
            .collect();
        answer(&format!("v{}", self.number), &files)
    }

    /// A first line that says whose they are, and then what nobody else has.
    fn bytes(&self, path: &str, length: u64) -> Vec<u8> {
        let mut bytes = format!("{} {} {path}\n", self.pod, self.number).into_bytes();
        let seed = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let mut random = Random::new(seed);
        for _ in 0..length.div_ceil(8) {
            bytes.extend(random.number().to_le_bytes());
        }
        bytes
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state {} of {}", self.number, self.pod)
    }
}

/// How the names of pods begin that have a few files only, so that there are not too many system calls to try.
pub const SMALL: &str = "small";
/// The files that every state has: one in the root, two in directories, one that takes several pages.
pub const ALWAYS: [&str; 4] = ["number", "certs/tls.key", "certs/deep/chain.pem", "store.bin"];
