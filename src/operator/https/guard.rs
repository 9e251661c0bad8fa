//! Who may read metrics: whoever the API server knows by his token, and lets get the path.
//!
//! An answer holds for some seconds, so that scrapes cost the API server little. Tokens that strangers make up cost it a
//! review each, so there are only so many in a second; those who come then are told to come back.

use std::time::{Duration, Instant};

use crate::digest;
use base::lock::{Mutex, MutexGuard};
use base::secret::SecretString;
use kube::ApiError;
use kube::budget::Budget;
use kube::client::Client;

/// What becomes of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// He may read.
    Welcome,
    /// Nobody knows who he is.
    Stranger,
    /// He is known, and may not read.
    Refused,
    /// The API server has not said.
    Undecided,
}

/// Asks, and remembers what was said.
pub struct Guard {
    client: Client,
    memory: Mutex<Memory>,
}

/// What was said lately. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Memory {
    /// By the digest of a token, which itself is not kept.
    said: Vec<(String, Verdict, Instant)>,
    /// When reviews were asked for, within the last second.
    asked: Vec<Instant>,
    /// Digests of tokens that were welcome: however many strangers ask, these are asked about.
    friends: Vec<String>,
    is_failing: bool,
}

impl Guard {
    /// By the word of the API server.
    pub fn new(client: Client) -> Guard {
        Guard { client, memory: Mutex::default() }
    }

    /// What becomes of who sent that token, or none.
    pub fn judge(&self, token: Option<&SecretString>, path: &str, budget: Budget) -> Verdict {
        let Some(token) = token else { return Verdict::Stranger };
        let digest = digest::of_text(token.expose());
        {
            let (mut memory, now) = (self.lock(), Instant::now());
            if let Some(verdict) = memory.recall(&digest, now) {
                return verdict;
            }
            if !memory.may_ask(&digest, now) {
                return Verdict::Undecided;
            }
        }
        let asked = self.ask(token, path, budget);
        let mut memory = self.lock();
        match asked {
            Ok(verdict) => {
                memory.is_failing = false;
                memory.keep(digest, verdict, Instant::now());
                verdict
            }
            Err(error) => {
                if !std::mem::replace(&mut memory.is_failing, true) {
                    log::warn!(error:% = error; "who may read metrics is not known, and nobody is let in");
                }
                Verdict::Undecided
            }
        }
    }

    fn ask(&self, token: &SecretString, path: &str, budget: Budget) -> Result<Verdict, ApiError> {
        let Some(caller) = self.client.caller_of(token, budget)? else { return Ok(Verdict::Stranger) };
        // As in OpenShift's own operators, whose roles have no right to ask about it.
        if caller.username == OPENSHIFT_PROMETHEUS {
            return Ok(Verdict::Welcome);
        }
        let may = self.client.may_get(&caller, path, budget)?;
        Ok(if may { Verdict::Welcome } else { Verdict::Refused })
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // No code that can panic runs between two changes of the memory.
        self.memory.lock()
    }
}

impl Memory {
    fn recall(&mut self, digest: &str, now: Instant) -> Option<Verdict> {
        self.said.retain(|(_, _, at)| now.saturating_duration_since(*at) < HOLDS_FOR);
        self.said.iter().find(|(of, ..)| of == digest).map(|(_, verdict, _)| *verdict)
    }

    fn may_ask(&mut self, digest: &str, now: Instant) -> bool {
        if self.friends.iter().any(|friend| friend == digest) {
            return true;
        }
        self.asked.retain(|at| now.saturating_duration_since(*at) < Duration::from_secs(1));
        if self.asked.len() >= MOST_A_SECOND {
            return false;
        }
        self.asked.push(now);
        true
    }

    fn keep(&mut self, digest: String, verdict: Verdict, now: Instant) {
        self.friends.retain(|friend| *friend != digest);
        if verdict == Verdict::Welcome {
            self.friends.truncate(MOST_FRIENDS - 1);
            self.friends.insert(0, digest.clone());
        }
        if self.said.len() >= MOST_KEPT {
            self.said.remove(0);
        }
        self.said.push((digest, verdict, now));
    }
}

/// The account that scrapes the platform of OpenShift.
const OPENSHIFT_PROMETHEUS: &str = "system:serviceaccount:openshift-monitoring:prometheus-k8s";
/// As long as in other servers of a cluster.
const HOLDS_FOR: Duration = Duration::from_secs(10);
const MOST_A_SECOND: usize = 10;
const MOST_KEPT: usize = 64;
const MOST_FRIENDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_holds_for_ten_seconds_and_only_so_many_are_kept() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.keep("a".to_owned(), Verdict::Welcome, now);
        assert_eq!(memory.recall("a", now + Duration::from_secs(9)), Some(Verdict::Welcome));
        assert_eq!(memory.recall("b", now), None);
        assert_eq!(memory.recall("a", now + HOLDS_FOR), None);
        for number in 0..1000 {
            memory.keep(number.to_string(), Verdict::Stranger, now);
        }
        assert_eq!(memory.said.len(), MOST_KEPT);
        assert_eq!(memory.recall("999", now), Some(Verdict::Stranger), "the latest ones");
    }

    #[test]
    fn strangers_have_the_api_server_asked_ten_times_a_second_at_most() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.keep("friend".to_owned(), Verdict::Welcome, now);
        assert_eq!((0..100).filter(|_| memory.may_ask("stranger", now)).count(), MOST_A_SECOND);
        assert!(memory.may_ask("friend", now), "who was welcome does not stand in the strangers' line");
        memory.keep("friend".to_owned(), Verdict::Stranger, now);
        assert!(!memory.may_ask("friend", now), "he is none any more");
        assert!(memory.may_ask("stranger", now + Duration::from_secs(1)));
    }
}
