//! Misbehaviour on demand: which requests it meets, and how often.

use std::time::Duration;

/// Which requests are meant; empty parts match everything.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    verb: String,
    path: String,
}

/// When a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The request is not carried out.
    Before,
    /// The request is carried out, its answer is lost.
    After,
}

/// What follows bytes that a test chose.
#[derive(Clone, Debug)]
pub enum Then {
    /// The end of the connection.
    Close,
    /// Nothing, until the faults are cleared or the peer is gone.
    Silence,
    /// These, over and over, until the faults are cleared or the peer is gone.
    Again(Vec<u8>),
}

/// What happens to a matching request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error of that code, worded as the server words it.
    Fail { code: u16, retry_after: Option<u64> },
    /// Exactly that answer.
    Answer { code: u16, body: Vec<u8> },
    /// Exactly these bytes, the head of the answer included, and what follows them.
    Raw { bytes: Vec<u8>, then: Then },
    /// The connection ends.
    Close(Close),
    /// Nothing, for as long as the fault stands.
    Hang,
    /// The answer, a byte at a time.
    Drip(Duration),
}

/// The faults that stand.
#[derive(Default)]
pub struct Faults {
    rules: Vec<(Matcher, Option<usize>, Fault)>,
    /// Wait before every request.
    pub latency: Duration,
    /// Seconds by which the server's clock is ahead.
    pub clock_offset: i64,
    /// Counts [`Faults::clear`], so that what hangs notices.
    pub clearings: u64,
}

impl Matcher {
    /// Every request.
    pub fn any() -> Matcher {
        Matcher::default()
    }

    /// Requests of that verb (`get`, `list`, `create`, ...).
    pub fn verb(verb: &str) -> Matcher {
        Matcher { verb: verb.to_owned(), path: String::new() }
    }

    /// Requests with a path that contains `path`.
    pub fn path(path: &str) -> Matcher {
        Matcher::any().and_path(path)
    }

    /// Narrowed to paths that contain `path`.
    pub fn and_path(self, path: &str) -> Matcher {
        Matcher { path: path.to_owned(), ..self }
    }

    fn matches(&self, verb: &str, path: &str) -> bool {
        (self.verb.is_empty() || self.verb == verb) && path.contains(&self.path)
    }
}

impl Faults {
    /// Adds a fault for that many requests, or for all; earlier ones go first.
    pub fn add(&mut self, matcher: Matcher, times: Option<usize>, fault: Fault) {
        self.rules.push((matcher, times, fault));
    }

    /// The fault that meets this request, counted down.
    pub fn meet(&mut self, verb: &str, path: &str) -> Option<Fault> {
        let is_met = |(matcher, times, _): &mut (Matcher, Option<usize>, Fault)| {
            *times != Some(0) && matcher.matches(verb, path)
        };
        let (_, times, fault) = self.rules.iter_mut().find_map(|rule| is_met(rule).then_some(rule))?;
        if let Some(times) = times {
            *times -= 1;
        }
        Some(fault.clone())
    }

    /// Takes every fault and the latency away.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.latency = Duration::ZERO;
        self.clock_offset = 0;
        self.clearings += 1;
    }
}
