//! When the registration socket is made, taken away, and made again.
//!
//! Pure: the time is an argument, and what is to be done is an answer. Kubelet tries a socket again by itself after a
//! failure, but on its own schedule and as long as the file is there; a new file is a new registration to it. So a
//! socket that led to nothing is removed, and its successor comes after a pause that doubles. While kubelet has not
//! decided the socket stays, however long that takes: kubelet may be waiting for the API server, and a new file
//! would make it begin anew.

use std::time::{Duration, Instant};

use base::backoff::Backoff;

/// The attempts to be registered, one socket after the other.
#[derive(Debug)]
pub(super) struct Attempts {
    phase: Phase,
    /// Number of the latest socket; 0 before the first.
    socket: u64,
    /// Attempts in a row that led to nothing.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no socket until then.
    Away { until: Instant },
    /// The socket is there and kubelet has not decided.
    Offered { since: Instant, was_asked: bool, has_complained: bool },
    /// Kubelet said yes.
    Registered { since: Instant },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Make the socket of this number; say [`Attempts::made`] or [`Attempts::led_to_nothing`].
    Make { socket: u64 },
    /// Say once that kubelet is silent.
    Complain {
        /// Kubelet has asked who we are, and did not go on.
        was_asked: bool,
    },
    /// Nothing for so long; for ever where it is none.
    Nothing { left: Option<Duration> },
}

/// What a registration service heard from its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Who are you?
    Asked,
    /// You are registered.
    Accepted,
    /// You are not, and why.
    Refused { text: String },
}

/// What news amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing new.
    Same,
    /// The driver is registered from now on.
    Registered,
    /// The socket has to go; a new one is made after the pause.
    Refused { pause: Duration },
}

impl Attempts {
    /// The first socket is due at once.
    pub(super) fn new(now: Instant) -> Attempts {
        Attempts { phase: Phase::Away { until: now }, socket: 0, failures: 0 }
    }

    pub(super) fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Registered { .. })
    }

    /// What is to be done now.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        match &mut self.phase {
            Phase::Away { until } if *until <= now => Due::Make { socket: self.socket + 1 },
            Phase::Away { until } => Due::Nothing { left: Some(until.saturating_duration_since(now)) },
            Phase::Offered { since, was_asked, has_complained: has_complained @ false } => {
                let left = PATIENCE.saturating_sub(now.saturating_duration_since(*since));
                if left.is_zero() {
                    *has_complained = true;
                    return Due::Complain { was_asked: *was_asked };
                }
                Due::Nothing { left: Some(left) }
            }
            Phase::Offered { .. } | Phase::Registered { .. } => Due::Nothing { left: None },
        }
    }

    /// The socket that was due is there.
    pub(super) fn made(&mut self, now: Instant) {
        self.socket += 1;
        self.phase = Phase::Offered { since: now, was_asked: false, has_complained: false };
    }

    /// The service of the socket of this number heard something. What a former socket's heard counts no more.
    pub(super) fn heard(&mut self, now: Instant, socket: u64, news: &News) -> Verdict {
        if socket != self.socket {
            return Verdict::Same;
        }
        match (&mut self.phase, news) {
            (Phase::Away { .. }, _) | (Phase::Registered { .. }, News::Asked | News::Accepted) => {
                Verdict::Same
            }
            (Phase::Offered { was_asked, .. }, News::Asked) => {
                *was_asked = true;
                Verdict::Same
            }
            (Phase::Offered { .. }, News::Accepted) => {
                self.phase = Phase::Registered { since: now };
                Verdict::Registered
            }
            (_, News::Refused { .. }) => Verdict::Refused { pause: self.led_to_nothing(now) },
        }
    }

    /// The socket could not be made, or it vanished, or kubelet refused: returns the time until the next one.
    pub(super) fn led_to_nothing(&mut self, now: Instant) -> Duration {
        if let Phase::Registered { since } = self.phase
            && now.saturating_duration_since(since) >= STEADY
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = BACKOFF.pause(self.failures);
        self.phase = Phase::Away { until: now + pause };
        pause
    }
}

/// Kubelet looks every second, so that no pause is missed.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// A registration that held for so long was a good one: the next trouble is a new one.
const STEADY: Duration = Duration::from_secs(60);
/// Kubelet finds a socket within a second. When it has asked, it may wait for us and the API server for longer.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts and a clock that only the test moves.
    struct Stage {
        now: Instant,
        attempts: Attempts,
    }

    impl Stage {
        fn new() -> Stage {
            let now = Instant::now();
            Stage { now, attempts: Attempts::new(now) }
        }

        fn wait(&mut self, seconds: f64) -> &mut Stage {
            self.now += Duration::from_secs_f64(seconds);
            self
        }

        fn due(&mut self) -> Due {
            self.attempts.due(self.now)
        }

        fn make(&mut self) -> u64 {
            let Due::Make { socket } = self.due() else { panic!("none is due: {:?}", self.attempts) };
            self.attempts.made(self.now);
            socket
        }

        fn hear(&mut self, socket: u64, news: News) -> Verdict {
            self.attempts.heard(self.now, socket, &news)
        }

        /// The pause in seconds after a refusal.
        fn refuse(&mut self, socket: u64) -> u64 {
            match self.hear(socket, refusal()) {
                Verdict::Refused { pause } => pause.as_secs(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn refusal() -> News {
        News::Refused { text: "no".to_owned() }
    }

    fn left(seconds: f64) -> Due {
        Due::Nothing { left: Some(Duration::from_secs_f64(seconds)) }
    }

    const FOR_EVER: Due = Due::Nothing { left: None };

    #[test]
    fn the_first_socket_is_due_at_once_and_stays_once_kubelet_accepts() {
        let mut stage = Stage::new();
        let socket = stage.make();
        assert_eq!(stage.hear(socket, News::Asked), Verdict::Same);
        assert!(!stage.attempts.is_registered());
        assert_eq!(stage.hear(socket, News::Accepted), Verdict::Registered);
        assert!(stage.attempts.is_registered());
        assert_eq!(stage.wait(1e6).due(), FOR_EVER);
    }

    #[test]
    fn a_kubelet_that_starts_again_and_registers_again_is_no_news() {
        let mut stage = Stage::new();
        let socket = stage.make();
        stage.hear(socket, News::Accepted);
        for news in [News::Asked, News::Accepted] {
            assert_eq!(stage.wait(1.0).hear(socket, news), Verdict::Same);
            assert!(stage.attempts.is_registered());
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_no_socket_is_made_before_their_end() {
        let mut stage = Stage::new();
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let socket = stage.make();
            assert_eq!(stage.wait(0.5).refuse(socket), pause);
            assert_eq!(stage.due(), left(pause as f64));
            stage.wait(pause as f64 - 0.25);
            assert_eq!(stage.due(), left(0.25));
            stage.wait(0.25);
        }
        for _ in 0..100 {
            let socket = stage.make();
            assert_eq!(stage.refuse(socket), 60);
            stage.wait(60.0);
        }
    }

    #[test]
    fn a_socket_that_cannot_be_made_or_vanishes_is_tried_again_in_the_same_way() {
        let mut stage = Stage::new();
        for pause in [1, 2, 4] {
            assert_eq!(stage.due(), Due::Make { socket: 1 });
            assert_eq!(stage.attempts.led_to_nothing(stage.now).as_secs(), pause);
            stage.wait(pause as f64);
        }
        let socket = stage.make();
        stage.hear(socket, News::Accepted);
        assert_eq!(stage.attempts.led_to_nothing(stage.now).as_secs(), 8);
        assert!(!stage.attempts.is_registered());
        assert_eq!(stage.wait(8.0).due(), Due::Make { socket: 2 });
    }

    #[test]
    fn only_a_registration_that_held_makes_the_next_pause_short_again() {
        for (held, pause) in [(59.0, 8), (60.0, 1)] {
            let mut stage = Stage::new();
            for pause in [1, 2, 4] {
                let socket = stage.make();
                stage.refuse(socket);
                stage.wait(f64::from(pause));
            }
            let socket = stage.make();
            stage.hear(socket, News::Accepted);
            assert_eq!(stage.wait(held).refuse(socket), pause, "held for {held} s");
            assert!(!stage.attempts.is_registered());
        }
    }

    #[test]
    fn what_a_former_socket_heard_does_not_count() {
        let mut stage = Stage::new();
        let former = stage.make();
        stage.refuse(former);
        for news in [News::Asked, News::Accepted, refusal()] {
            assert_eq!(stage.hear(former, news), Verdict::Same, "while none is there");
        }
        let socket = stage.wait(1.0).make();
        assert_ne!(socket, former);
        for news in [News::Accepted, refusal()] {
            assert_eq!(stage.hear(former, news), Verdict::Same, "while the next one is there");
        }
        assert!(!stage.attempts.is_registered());
        assert_eq!(stage.hear(socket, News::Accepted), Verdict::Registered);
        assert_eq!(stage.hear(former, refusal()), Verdict::Same);
        assert!(stage.attempts.is_registered());
    }

    #[test]
    fn a_silent_kubelet_is_complained_about_once_and_the_socket_stays() {
        for asks in [false, true] {
            let mut stage = Stage::new();
            let socket = stage.make();
            if asks {
                stage.hear(socket, News::Asked);
            }
            assert_eq!(stage.wait(29.0).due(), left(1.0));
            assert_eq!(stage.wait(1.0).due(), Due::Complain { was_asked: asks });
            assert_eq!(stage.wait(3600.0).due(), FOR_EVER);
            assert_eq!(stage.hear(socket, News::Accepted), Verdict::Registered);
        }
    }
}
