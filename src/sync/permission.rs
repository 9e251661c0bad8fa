//! In which namespaces the driver was refused to touch Secrets, and when it may ask again. Pure: the time is an
//! argument.
//!
//! A permission is given and taken by people. Asking about it for every Secret would only load the API server, so
//! one question a minute and namespace stands for all.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The refusals of late.
#[derive(Debug, Default)]
pub struct Permission {
    refused: HashMap<String, Instant>,
}

impl Permission {
    /// Whether to ask in that namespace now; if not, after how long. Whoever may ask where it was refused before
    /// asks for all: the others wait for another turn.
    pub fn ask(&mut self, namespace: &str, now: Instant) -> Result<(), Duration> {
        match self.refused.get_mut(namespace) {
            None => Ok(()),
            Some(until) if *until > now => Err(*until - now),
            Some(until) => {
                *until = now + ASK_EVERY;
                Ok(())
            }
        }
    }

    /// The API server refused. True when this is news.
    pub fn refuse(&mut self, namespace: &str, now: Instant) -> bool {
        self.refused.insert(namespace.to_owned(), now + ASK_EVERY).is_none()
    }

    /// The API server did as it was asked, or nobody asks there any longer. True when this is news.
    pub fn grant(&mut self, namespace: &str) -> bool {
        self.refused.remove(namespace).is_some()
    }

    /// The permission is known to be another: everything may be asked at once.
    pub fn forget(&mut self) {
        self.refused.clear();
    }

    /// True where nothing was refused of late.
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty()
    }
}

/// How often a missing permission is asked about.
pub const ASK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_refusal_one_question_a_minute_is_asked() {
        let (mut permission, start) = (Permission::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(permission.ask("team", at(0)), Ok(()));
        assert!(permission.refuse("team", at(0)), "that is news");
        assert_eq!(permission.ask("team", at(10)), Err(Duration::from_secs(50)));
        assert_eq!(permission.ask("other", at(10)), Ok(()));
        assert_eq!(permission.ask("team", at(60)), Ok(()));
        assert_eq!(permission.ask("team", at(61)), Err(Duration::from_secs(59)), "one asks for all");
        assert!(!permission.refuse("team", at(62)));
        assert!(!permission.is_whole());
        assert!(permission.grant("team"));
        assert!(!permission.grant("team"));
        assert!(permission.is_whole());
        assert_eq!(permission.ask("team", at(63)), Ok(()));
    }
    #[test]
    fn a_change_of_the_role_lets_everybody_ask_at_once() {
        let (mut permission, start) = (Permission::default(), Instant::now());
        for namespace in ["one", "other"] {
            permission.refuse(namespace, start);
        }
        permission.forget();
        assert!(permission.is_whole());
        assert_eq!((permission.ask("one", start), permission.ask("one", start)), (Ok(()), Ok(())));
    }
}
