//! The driver's lives: started, killed at a moment of chance, and started again at once.
//!
//! Moments are spread in two ways. Some lie a random time after the start or after the driver serves, as often within
//! microseconds as within milliseconds. The others follow something that was just seen (a call, a mount, a switch, a
//! request for a Secret) by such a random time, so that the short windows are hit as well.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, setpriority_process};

use crate::board::{Board, Call, Event, locked};
use crate::phase::{self, Phases};
use crate::process;
use crate::report::Progress;
use crate::stage::{Stage, driver_program};
use crash::volume;
use kit::driver::DriverProcess;
use kit::mirror::SECRETS_PATH;
use kit::random::Random;

/// Kills the driver again and again.
pub struct Lives<'a> {
    pub stage: &'a Stage,
    pub board: &'a Board,
    pub random: Random,
    pub phases: Phases,
    pub kills: u64,
    /// Of these the kills of a helper of the driver's, after which the driver has to end by itself.
    pub helper_kills: u64,
    pub longest_start: Duration,
    /// Dead, but what it said has not been looked at.
    pub former: Option<DriverProcess>,
}

/// When a life ends.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// A time after its start.
    Starting,
    /// A time after it serves.
    Serving,
    /// A while after it serves, so that what it does beside the calls is hit too.
    Late,
    /// After kubelet has called, or the driver has called the provider.
    After(Event),
    /// After a call has come so far.
    When(Event, Sight),
    /// After a request for a Secret.
    AfterSecret,
}

/// How far a call has come, as anybody can see.
#[derive(Clone, Copy, Debug)]
enum Sight {
    Mounted,
    Begun,
    Switched,
    Opened,
    Closed,
    Unmounted,
}

impl Lives<'_> {
    /// That many lives, and one more that is returned alive; none when the scene has ended early.
    pub fn run(&mut self, kills: u64, progress: &mut Progress) -> Option<DriverProcess> {
        loop {
            let driver = self.stage.spawn();
            let moment = if self.kills < kills { self.moment() } else { Moment::Serving };
            let is_starting = matches!(moment, Moment::Starting) && self.kills > 0;
            let mut helpers = Vec::new();
            if is_starting {
                wait_exactly(self.random.moment(LONGEST_START));
            } else {
                let begun = Instant::now();
                if let Err(fault) = self.stage.wait_until_up(&driver) {
                    self.board.fault(fault);
                    return None;
                }
                self.longest_start = self.longest_start.max(begun.elapsed());
                self.board.is_up();
                // Those of former lives: looked for now, so that a start never waits for their end.
                let strays = process::strays(&driver_program(), &[driver.id()]);
                if !strays.is_empty() {
                    self.board.fault(format!("processes of the driver outlive it: {strays:?}"));
                    strays.iter().for_each(|stray| kill(*stray));
                    return None;
                }
                self.part_from_former();
                helpers = process::children(driver.id());
                if self.kills >= kills {
                    return Some(driver);
                }
                hurry(true);
                self.wait_for(moment);
            }
            self.end(driver, &helpers, is_starting);
            progress.show(self.board, self.kills, kills);
            if self.board.is_stopped() {
                return None;
            }
        }
    }

    fn moment(&mut self) -> Moment {
        if self.random.once_in(LATE_ONCE_IN) {
            return Moment::Late;
        }
        *self.random.one_of(&MOMENTS)
    }

    fn wait_for(&mut self, moment: Moment) {
        match moment {
            Moment::Starting | Moment::Serving => {
                wait_exactly(self.random.moment(LONGEST_SERVING));
                return;
            }
            Moment::Late => {
                thread::sleep(LATE + self.random.moment(LATE));
                return;
            }
            Moment::After(event) => {
                self.board.wait_for(event, PATIENCE);
                if event == Event::ProviderAnswers {
                    wait_exactly(self.random.moment(LONGEST_WRITE));
                    return;
                }
            }
            Moment::When(event, sight) => {
                if let Some(call) = self.call(event) {
                    spin_until(|| sight.is_there(&call));
                    wait_exactly(self.random.moment(LONGEST_WRITE));
                    return;
                }
            }
            Moment::AfterSecret => {
                let api = &self.stage.mirror.world.api;
                let count = || api.count("create", SECRETS_PATH) + api.count("patch", SECRETS_PATH);
                api.forget_requests();
                api.wait(PATIENCE, |_| count() > 0 || self.board.is_stopped());
            }
        }
        wait_exactly(self.random.moment(LONGEST_CALL));
    }

    /// A call of that kind which begins just now.
    fn call(&mut self, event: Event) -> Option<Call> {
        self.board.wait_for(event, PATIENCE);
        let calls = self.board.slots.iter().filter_map(|slot| locked(&slot.call).clone());
        calls.filter(|call| call.kind == event).max_by_key(|call| call.begun)
    }

    /// Looks at what the one before said. Not at once: the next one starts while helpers of this one may still be
    /// there.
    fn part_from_former(&mut self) {
        let Some(former) = self.former.take() else { return };
        let log = former.kill();
        if log.contains("panicked") {
            self.board.fault(format!("the driver panicked, log:\n{log}"));
        }
    }

    /// Kills it, and looks what it was about.
    fn end(&mut self, mut driver: DriverProcess, helpers: &[u32], is_starting: bool) {
        let id = driver.id();
        self.board.is_ending();
        if let Some(helper) = helpers.first()
            && self.random.once_in(HELPER_ONCE_IN)
        {
            kill(*helper);
            if !process::ends(id) {
                self.board.fault("the driver goes on without its helper");
            }
            self.helper_kills += 1;
        }
        driver.strike();
        self.board.has_ended();
        hurry(false);
        self.part_from_former();
        self.former = Some(driver);
        self.kills += 1;
        if is_starting {
            self.phases.count(phase::STARTING);
            return;
        }
        let calls = self.board.slots.iter().filter_map(|slot| locked(&slot.call).clone());
        let calls: Vec<Call> = calls.collect();
        calls.iter().for_each(|call| self.phases.count(phase::of(call)));
        if calls.is_empty() {
            self.phases.count(phase::IDLE);
        }
    }
}

impl Sight {
    fn is_there(self, call: &Call) -> bool {
        let target: &Path = &call.pod.target;
        match self {
            Sight::Mounted => volume::is_mounted(target),
            Sight::Begun => std::fs::read_dir(target).is_ok_and(|entries| {
                let names = entries.flatten().map(|entry| entry.file_name());
                let generations = names.filter(|name| name.as_encoded_bytes().starts_with(b"..2"));
                generations.count() > usize::from(call.before.is_some())
            }),
            Sight::Switched => std::fs::read_link(target.join("..data")).ok() != call.before,
            Sight::Opened => volume::is_mounted(target) && volume::root_mode(target) == Some(0o755),
            Sight::Closed => volume::root_mode(target) == Some(0o700),
            Sight::Unmounted => !volume::is_mounted(target),
        }
    }
}

fn kill(process: u32) {
    let id = Pid::from_raw(process.cast_signed()).expect("a process has an id");
    let _ended_already = kill_process(id, Signal::KILL);
}

/// Looks all the time, for a short while: what is waited for comes soon, or not at all.
fn spin_until(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + SIGHT_PATIENCE;
    while !condition() && Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Waits for a moment: a thread that sleeps wakes too late for the shortest ones.
fn wait_exactly(time: Duration) {
    let begun = Instant::now();
    if time > SPIN {
        thread::sleep(time - SPIN);
    }
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Has this thread go before all others, since a kill that comes late misses what it is for. Not while it starts a
/// process, which would inherit that; and without the right to it kills come later.
fn hurry(on: bool) {
    let _not_permitted = setpriority_process(None, if on { HURRY } else { 0 });
}

const MOMENTS: [Moment; 22] = [
    Moment::Starting,
    Moment::Starting,
    Moment::Serving,
    Moment::Serving,
    Moment::Serving,
    Moment::After(Event::Publish),
    Moment::After(Event::Refresh),
    Moment::After(Event::Unpublish),
    Moment::After(Event::ProviderCalled),
    Moment::After(Event::ProviderAnswers),
    Moment::After(Event::ProviderAnswers),
    Moment::After(Event::ProviderAnswers),
    Moment::When(Event::Publish, Sight::Mounted),
    Moment::When(Event::Publish, Sight::Begun),
    Moment::When(Event::Publish, Sight::Begun),
    Moment::When(Event::Publish, Sight::Opened),
    Moment::When(Event::Refresh, Sight::Begun),
    Moment::When(Event::Refresh, Sight::Begun),
    Moment::When(Event::Refresh, Sight::Switched),
    Moment::When(Event::Unpublish, Sight::Closed),
    Moment::When(Event::Unpublish, Sight::Unmounted),
    Moment::AfterSecret,
];
/// As long as a start takes.
const LONGEST_START: Duration = Duration::from_millis(30);
const LONGEST_SERVING: Duration = Duration::from_millis(400);
/// As long as a publish takes on a busy machine.
const LONGEST_CALL: Duration = Duration::from_millis(10);
/// As long as a part of it takes.
const LONGEST_WRITE: Duration = Duration::from_millis(3);
/// Long enough for watches to be open and the Secrets of former lives to be taken up.
const LATE: Duration = Duration::from_millis(800);
const LATE_ONCE_IN: u64 = 40;
/// Kubelet's threads call all the time.
const PATIENCE: Duration = Duration::from_millis(500);
const SPIN: Duration = Duration::from_micros(300);
const SIGHT_PATIENCE: Duration = Duration::from_millis(200);
const HURRY: i32 = -15;
const HELPER_ONCE_IN: u64 = 5;
