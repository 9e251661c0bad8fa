//! One node on which cases are tried, one after the other: a call of kubelet's with something done to one of the
//! system calls that it makes, and then what has to hold.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rpc::status::Status;

use super::strace::{Injection, Strace, has_struck};
use crate::board::{Board, locked};
use crate::stage::{Provider, Stage};
use crate::{process, readers};
use crash::content::SMALL;
use crash::volume;
use kit::PATIENCE;
use kit::driver::DriverProcess;
use kit::random::Random;
use kit::shell;
use kit::world::Pod;

/// The node, and its driver while that lives.
pub struct Lane {
    pub stage: Stage,
    driver: Option<DriverProcess>,
    /// For what strace writes.
    logs: tempfile::TempDir,
    number: u64,
    /// The driver only notes calls that are not on its list.
    is_lenient: bool,
    /// Options of the first volume's mount, which every other has to have as well.
    options: Option<String>,
    /// Names of this node's pods.
    name: String,
}

/// What kubelet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A volume that is not there.
    Publish,
    /// A volume of which a crash left a part.
    Resume,
    /// New content for a live volume: one name comes, one goes.
    Rotate,
    /// The end of a volume.
    Unpublish,
}

/// Who makes the system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The thread of the driver that does the work.
    Worker,
    /// A process that the driver has started.
    Helper,
}

/// One thing to try.
#[derive(Clone, Debug)]
pub struct Case {
    pub op: Op,
    pub who: Who,
    pub injection: Injection,
    /// A failure of this call is undone by the driver before it answers.
    pub is_undone: bool,
}

impl Lane {
    /// A node of its own, without a driver yet.
    pub fn new(name: &str, random: &mut Random) -> Lane {
        let board = Arc::new(Board::new(0));
        let mut stage = Stage::set(&board, 1, Provider::Steady, random);
        // So that it is known which thread will do the work.
        stage.mirror.world.add_flags(&["--max-concurrent-calls=1"]);
        let logs = tempfile::tempdir().expect("a temporary directory");
        Lane { stage, driver: None, logs, number: 0, is_lenient: false, options: None, name: name.to_owned() }
    }

    /// Makes the call with nothing done to it: who made which system calls.
    pub fn record(&mut self, op: Op) -> Result<Vec<(Who, String)>, String> {
        let pod = self.prepare(op)?;
        let driver = self.driver.as_ref().expect("it was prepared");
        let helpers = process::children(driver.id());
        let who =
            [Who::Worker, Who::Helper].into_iter().filter(|who| *who == Who::Worker || !helpers.is_empty());
        let mut tracers = Vec::new();
        for (number, who) in who.enumerate() {
            let log = self.logs.path().join(number.to_string());
            tracers.push((who, Strace::attach(self.thread(who)?, &Injection::None, &log)?));
        }
        let answer = self.call(op, &pod);
        let logs = tracers.into_iter().map(|(who, tracer)| (who, tracer.detach())).collect();
        answer.map_err(|status| format!("{op:?} fails under strace: {status}"))?;
        if op != Op::Unpublish {
            self.unpublish(&pod)?;
        }
        self.stage.delete_pod(&pod)?;
        Ok(logs)
    }

    /// Tries a case; false when what was to be done to never came.
    pub fn try_case(&mut self, case: &Case) -> Result<bool, String> {
        self.confine(matches!(case.injection, Injection::Error { .. }));
        let pod = self.prepare(case.op)?;
        let board = Board::new(1);
        let published = |pod: Option<&Pod>| {
            *board.slots[0].published.write().unwrap_or_else(PoisonError::into_inner) = pod.cloned();
        };
        thread::scope(|scope| {
            let reader = scope.spawn(|| readers::run(&board, 0));
            if case.op == Op::Rotate {
                published(Some(&pod));
            }
            let outcome = self.strike(case, &pod, &published).and_then(|struck| {
                self.recover(case, &pod, &published)?;
                published(None);
                Ok(struck)
            });
            board.stop();
            drop(reader.join());
            match board.faults().first() {
                Some(fault) => Err(fault.clone()),
                None => outcome,
            }
        })
    }

    /// The call under strace, and what has to hold right after it.
    fn strike(&mut self, case: &Case, pod: &Pod, published: &dyn Fn(Option<&Pod>)) -> Result<bool, String> {
        let has_helper = !process::children(self.driver.as_ref().expect("it was prepared").id()).is_empty();
        let log = self.logs.path().join("case");
        let tracer = Strace::attach(self.thread(case.who)?, &case.injection, &log)?;
        let answer = self.call(case.op, pod);
        let is_kill = matches!(case.injection, Injection::Kill { .. });
        let driver = self.driver.take().expect("it was prepared");
        if is_kill && case.who == Who::Worker && answer.is_err() && !process::ends(driver.id()) {
            return Err(format!("the call failed, and the driver goes on: {answer:?}"));
        }
        let log = tracer.detach();
        // Of a helper's end the driver's own is the consequence.
        let is_helpless = has_helper && process::children(driver.id()).is_empty();
        if is_helpless && !process::ends(driver.id()) {
            return Err(format!("the driver goes on without its helper, log:\n{}", driver.log()));
        }
        let is_alive = process::is_alive(driver.id());
        if is_alive {
            self.driver = Some(driver);
        } else if !is_kill && case.who == Who::Worker {
            return Err(format!("the driver ended: {}, log:\n{}", last_line(&log), driver.log()));
        }
        let is_mounted = volume::is_mounted(&pod.target);
        match (case.op, &answer) {
            (Op::Publish | Op::Resume, Ok(())) => published(Some(pod)),
            (Op::Publish, Err(status)) if case.is_undone && (is_mounted || pod.target.exists()) => {
                return Err(format!(
                    "a publish that failed left something behind ({status}): {}",
                    last_line(&log)
                ));
            }
            _ => {}
        }
        if is_mounted && case.op != Op::Unpublish && volume::root_mode(&pod.target) == Some(0o755) {
            volume::is_whole(pod).map_err(|fault| format!("open, and not whole: {fault}"))?;
        }
        Ok(if is_kill { !is_alive } else { has_struck(&log) })
    }

    /// Kubelet's next try, every second time with a fresh driver even where the former one lives, and the end.
    fn recover(&mut self, case: &Case, pod: &Pod, published: &dyn Fn(Option<&Pod>)) -> Result<(), String> {
        if self.number.is_multiple_of(2) {
            self.driver = None;
        }
        self.start()?;
        if case.op == Op::Unpublish {
            self.unpublish(pod)?;
            return self.stage.delete_pod(pod);
        }
        let retried = self.stage.kubelet().publish(pod);
        retried.map_err(|status| format!("the next try fails: {status}, log:\n{}", self.driver_log()))?;
        published(Some(pod));
        volume::is_at_rest(pod)?;
        let line = pod.mountinfo();
        let options: String = line.split(' ').skip(MOUNT_OPTIONS).collect::<Vec<_>>().join(" ");
        let wanted = self.options.get_or_insert_with(|| options.clone());
        if *wanted != options {
            return Err(format!("the mount has the options {options} instead of {wanted}"));
        }
        published(None);
        self.unpublish(pod)?;
        self.stage.delete_pod(pod)
    }

    /// A driver that serves, and a pod for that call.
    fn prepare(&mut self, op: Op) -> Result<Pod, String> {
        if op == Op::Publish {
            // Also what a driver does once, with its first volume.
            self.driver = None;
        }
        self.start()?;
        self.number += 1;
        let pod = self.stage.pod_named(&format!("{SMALL}-{}-{}", self.name, self.number), 0);
        // The first state has a name that the second lacks, and the other way round.
        locked(&self.stage.states).insert(pod.name.clone(), FIRST_STATE - 1);
        match op {
            Op::Publish => {}
            Op::Resume => {
                std::fs::create_dir(&pod.target).map_err(|error| error.to_string())?;
                shell::mount_as_ours(&pod.target, "mode=0700");
                let dead = pod.target.join("..2020_01_01_00_00_00.000000001");
                std::fs::create_dir_all(dead.join("certs")).map_err(|error| error.to_string())?;
                std::fs::write(dead.join("certs/tls.key"), "half").map_err(|error| error.to_string())?;
            }
            Op::Rotate | Op::Unpublish => {
                let published = self.stage.kubelet().publish(&pod);
                published.map_err(|status| format!("a publish without strace fails: {status}"))?;
            }
        }
        Ok(pod)
    }

    /// strace has a call fail by making another of it that there is not, and a list of what is permitted takes that for
    /// a forbidden one. So where calls are to fail, the kernel only notes such calls.
    fn confine(&mut self, is_lenient: bool) {
        if self.is_lenient == is_lenient {
            return;
        }
        self.is_lenient = is_lenient;
        self.driver = None;
        self.stage.mirror.world.add_flags(&[if is_lenient { "--seccomp=log" } else { "--seccomp=enforce" }]);
    }

    fn call(&self, op: Op, pod: &Pod) -> Result<(), Status> {
        match op {
            Op::Publish | Op::Resume | Op::Rotate => self.stage.kubelet().publish(pod),
            Op::Unpublish => self.stage.kubelet().unpublish(pod),
        }
    }

    fn unpublish(&self, pod: &Pod) -> Result<(), String> {
        let unpublished = self.stage.kubelet().unpublish(pod);
        unpublished.map_err(|status| format!("an unpublish fails: {status}, log:\n{}", self.driver_log()))
    }

    fn start(&mut self) -> Result<(), String> {
        if self.driver.is_some() {
            return Ok(());
        }
        let driver = self.stage.spawn();
        self.stage.wait_until_up(&driver)?;
        self.driver = Some(driver);
        Ok(())
    }

    /// Ends the driver.
    pub fn stop(&mut self) {
        self.driver = None;
    }

    fn thread(&self, who: Who) -> Result<u32, String> {
        let driver = self.driver.as_ref().expect("it was prepared").id();
        let until = Instant::now() + PATIENCE;
        loop {
            let found = match who {
                // A thread gives itself its name, when it comes to run.
                Who::Worker => process::threads(driver, "worker"),
                Who::Helper => process::children(driver),
            };
            match found.as_slice() {
                [one] => return Ok(*one),
                other if Instant::now() > until => {
                    return Err(format!("{who:?}: {} instead of one to attach to", other.len()));
                }
                _ => thread::sleep(PAUSE),
            }
        }
    }

    fn driver_log(&self) -> String {
        self.driver.as_ref().map(DriverProcess::log).unwrap_or_default()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (op, who) = (self.op, self.who);
        match &self.injection {
            Injection::None => write!(f, "{op:?} of the {who:?}"),
            Injection::Kill { call, nth } => {
                write!(f, "{op:?}, the {who:?} is killed at {call} number {nth}")
            }
            Injection::Error { call, nth, errno, and_later } => {
                let later = if *and_later { " and all later ones" } else { "" };
                write!(f, "{op:?}, {errno} for the {who:?}'s {call} number {nth}{later}")
            }
        }
    }
}

fn last_line(log: &str) -> &str {
    log.lines().rev().find(|line| line.contains("INJECTED")).unwrap_or_default()
}

const PAUSE: Duration = Duration::from_millis(2);
/// Where they begin in a line of mountinfo, before the type and the file system's own.
const MOUNT_OPTIONS: usize = 5;
/// See `content`: of this state and the next, each has a name that the other lacks.
const FIRST_STATE: u64 = 3;
