//! How long each step of a publish took: for the log at `-v=2`, where somebody looks for what is slow.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

/// The steps of a publish that can take time, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The class is looked up.
    Class,
    /// The volume is mounted, closed.
    Mount,
    /// The provider is asked, retries included.
    Provider,
    /// Its answer is checked and written.
    Write,
    /// The volume opens for the pod.
    Open,
    /// The pod status is written.
    PodStatus,
    /// The Secrets that the class asks for are written.
    Secrets,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Phase; 7] = [
        Phase::Class,
        Phase::Mount,
        Phase::Provider,
        Phase::Write,
        Phase::Open,
        Phase::PodStatus,
        Phase::Secrets,
    ];

    /// As the log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Class => "class",
            Phase::Mount => "mount",
            Phase::Provider => "provider",
            Phase::Write => "write",
            Phase::Open => "open",
            Phase::PodStatus => "pod-status",
            Phase::Secrets => "secrets",
        }
    }
}

/// The time that one publish has spent in each phase so far.
///
/// Displayed as `class=0.021 mount=0.142`, in milliseconds; a phase that was not reached is left out.
#[derive(Debug, Default)]
pub struct Phases([Cell<Option<Duration>>; Phase::ALL.len()]);

impl Phases {
    /// Runs a phase, or another part of it.
    pub fn time<T>(&self, phase: Phase, run: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let value = run();
        if let Some(spent) = self.0.get(phase as usize) {
            spent.set(Some(spent.get().unwrap_or_default() + begun.elapsed()));
        }
        value
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = Phase::ALL.iter().zip(&self.0).filter_map(|(phase, spent)| Some((phase, spent.get()?)));
        for (number, (phase, spent)) in reached.enumerate() {
            let space = if number == 0 { "" } else { " " };
            write!(f, "{space}{}={:.3}", phase.name(), spent.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_shown_in_order_and_parts_of_a_phase_add_up() {
        let phases = Phases::default();
        assert_eq!(phases.to_string(), "");
        assert_eq!(phases.time(Phase::Write, || 7), 7);
        phases.time(Phase::Class, || std::thread::sleep(Duration::from_millis(2)));
        phases.time(Phase::Class, || std::thread::sleep(Duration::from_millis(2)));
        let shown = phases.to_string();
        let (class, write) = shown.split_once(' ').unwrap();
        let millis: f64 = class.strip_prefix("class=").unwrap().parse().unwrap();
        assert!(millis >= 4.0, "{shown}");
        assert!(write.starts_with("write=0."), "{shown}");
    }

    #[test]
    fn each_phase_has_a_place_and_a_name_of_its_own() {
        let phases = Phases::default();
        Phase::ALL.iter().for_each(|phase| phases.time(*phase, || ()));
        let names: Vec<String> =
            phases.to_string().split(' ').map(|phase| phase.split('=').next().unwrap().to_owned()).collect();
        assert_eq!(names, Phase::ALL.map(Phase::name));
    }
}
