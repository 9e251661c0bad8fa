//! A bounded pool of worker threads for blocking handlers.
//!
//! Workers are started when they are needed and leave after a while without work, so that an idle driver is small.
//! A few are enough for work that moves, however much of it there is: every further one costs memory that a process
//! seldom gives back. Where work does not move, because a provider hangs, their number doubles every few
//! milliseconds, so that others are not kept waiting. Work is admitted before it is handed over: when all
//! workers are busy and the queue is full, the caller knows at once and answers RESOURCE_EXHAUSTED, which kubelet
//! takes as "try again".

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base::lock::{Condvar, Mutex, MutexGuard};

/// Work for a worker.
type Job = Box<dyn FnOnce() -> DeferredCompletion + Send>;

/// What is left of a job when its work is done: it is to be completed before long, and by then there is mostly nothing
/// to wait for. Its worker completes it before its next job, or when it has been idle for a while.
pub struct DeferredCompletion(Option<Box<dyn FnOnce()>>);

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    max_workers: usize,
    max_queued: usize,
    state: Mutex<State>,
    /// Work has come, or the pool was closed.
    work: Condvar,
    /// The last admitted work ended.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    /// Work that was admitted and has not ended: promised, queued or running.
    admitted: usize,
    queue: VecDeque<(Job, Ticket)>,
    workers: usize,
    idle: usize,
    /// A watchdog sees whether the others get stuck.
    has_watchdog: bool,
    /// Jobs that workers have taken so far, wrapping: the queue moves when this does.
    taken: u64,
    closed: bool,
}

/// How a worker begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// With the first job in the queue.
    Worker,
    /// By watching the queue.
    Watchdog,
}

/// What a worker does next.
enum Next {
    /// The first of the queue.
    Job(Job, Ticket),
    /// Nothing came for a while.
    Tidy,
    /// It is not needed any more.
    Leave,
}

impl DeferredCompletion {
    /// Nothing is left.
    pub const NONE: DeferredCompletion = DeferredCompletion(None);

    /// This is left to do.
    pub fn of(completion: impl FnOnce() + 'static) -> DeferredCompletion {
        DeferredCompletion(Some(Box::new(completion)))
    }

    fn run(self) {
        if let Some(completion) = self.0 {
            completion();
        }
    }
}

impl Pool {
    /// A pool of at most `max_workers` threads (at least one) and `max_queued` jobs that wait for one.
    pub fn start(max_workers: usize, max_queued: usize) -> io::Result<Pool> {
        let (work, quiet) = (Condvar::new(), Condvar::new());
        let state = Mutex::new(State { workers: 1, ..State::default() });
        let shared = Arc::new(Shared { max_workers: max_workers.max(1), max_queued, state, work, quiet });
        // This one never leaves, so that a machine without threads to spare still makes progress.
        start_worker(&shared, Role::Worker)?;
        Ok(Pool { shared })
    }

    /// Room for one job, or none.
    pub fn admit(&self) -> Option<Ticket> {
        let mut state = self.shared.lock();
        if state.closed || state.admitted >= self.shared.max_workers + self.shared.max_queued {
            return None;
        }
        state.admitted += 1;
        Some(Ticket { shared: Arc::clone(&self.shared) })
    }

    /// Admits no more work and waits until the work in hand is done, at most `patience`. True when all of it was.
    pub fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.work.notify_all();
        while state.admitted > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.quiet.wait_timeout(state, left).0;
        }
        true
    }
}

/// The right to run one job.
pub struct Ticket {
    shared: Arc<Shared>,
}

impl Ticket {
    /// Hands the job to a worker.
    pub fn run(self, job: impl FnOnce() -> DeferredCompletion + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let is_short_of_workers = state.idle <= state.queue.len();
        state.queue.push_back((Box::new(job), self));
        if is_short_of_workers && state.workers < EAGER_WORKERS {
            shared.add_worker(&mut state, Role::Worker);
        } else if is_short_of_workers && !state.has_watchdog {
            shared.add_worker(&mut state, Role::Watchdog);
        }
        drop(state);
        shared.work.notify_one();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.admitted -= 1;
        // Only closing waits for it, and waking nobody is a system call too.
        if state.admitted == 0 && state.closed {
            self.shared.quiet.notify_all();
        }
    }
}

impl Shared {
    fn run_worker(self: &Arc<Shared>, role: Role) {
        if role == Role::Watchdog {
            self.watch_queue();
        }
        let mut deferred = DeferredCompletion::NONE;
        loop {
            let next = self.next();
            std::mem::replace(&mut deferred, DeferredCompletion::NONE).run();
            match next {
                Next::Job(job, ticket) => {
                    deferred = job();
                    drop(ticket);
                }
                Next::Tidy => {}
                Next::Leave => return,
            }
        }
    }

    /// Watches until the queue is empty, or did not move for a while: then the workers are stuck and get company,
    /// as many again. Either way this worker goes to work afterwards.
    #[expect(clippy::disallowed_methods, reason = "a few milliseconds, which no stop has to wait for")]
    fn watch_queue(self: &Arc<Shared>) {
        let mut seen = self.lock().taken;
        loop {
            thread::sleep(STUCK_AFTER);
            let mut state = self.lock();
            let is_stuck = state.taken == seen;
            if !is_stuck && !state.queue.is_empty() {
                seen = state.taken;
                continue;
            }
            state.has_watchdog = false;
            // One of the queue is for this worker.
            let company = state.workers.min(state.queue.len().saturating_sub(1));
            for _ in 0..company {
                self.add_worker(&mut state, Role::Worker);
            }
            if state.queue.len() > company {
                self.add_worker(&mut state, Role::Watchdog);
            }
            return;
        }
    }

    /// Starts one more worker unless there are as many as there may be.
    fn add_worker(self: &Arc<Shared>, state: &mut State, role: Role) {
        if state.workers >= self.max_workers {
            return;
        }
        match start_worker(self, role) {
            Ok(()) => {
                state.workers += 1;
                state.has_watchdog |= role == Role::Watchdog;
            }
            // The machine has no more threads for us: those that run will get to it.
            Err(error) => log::warn!(error:% = error; "could not start a worker thread"),
        }
    }

    fn next(&self) -> Next {
        let until = Instant::now() + IDLE;
        let mut state = self.lock();
        loop {
            if let Some((job, ticket)) = state.queue.pop_front() {
                state.taken = state.taken.wrapping_add(1);
                return Next::Job(job, ticket);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || (left.is_zero() && state.workers > 1) {
                state.workers -= 1;
                return Next::Leave;
            }
            if left.is_zero() {
                return Next::Tidy;
            }
            state.idle += 1;
            state = self.work.wait_timeout(state, left).0;
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn start_worker(shared: &Arc<Shared>, role: Role) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let worker = thread::Builder::new().name("worker".to_owned()).stack_size(WORKER_STACK_BYTES);
    worker.spawn(move || shared.run_worker(role)).map(drop)
}

/// So many workers are started at once: enough to keep a few cores busy with publishes.
const EAGER_WORKERS: usize = 8;
/// A queue that no worker has taken anything from for so long does not move.
const STUCK_AFTER: Duration = Duration::from_millis(5);
/// How long a worker without work stays.
const IDLE: Duration = Duration::from_secs(10);
/// The deepest stack of a publish takes well under a tenth of this; only touched pages cost memory.
const WORKER_STACK_BYTES: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn ending(work: impl FnOnce()) -> DeferredCompletion {
        work();
        DeferredCompletion::NONE
    }

    #[test]
    fn what_is_left_of_a_job_is_looked_at_before_the_next_one_and_at_the_end() {
        let pool = Pool::start(1, 4).unwrap();
        let (tell, told) = mpsc::channel();
        for (work, left) in [("first", "left of the first"), ("second", "left of the second")] {
            let tell = tell.clone();
            pool.admit().unwrap().run(move || {
                tell.send(work).unwrap();
                DeferredCompletion::of(move || tell.send(left).unwrap())
            });
        }
        drop(tell);
        assert!(pool.close(PATIENCE));
        let all: Vec<_> = told.iter().collect();
        assert_eq!(all, ["first", "left of the first", "second", "left of the second"]);
    }

    #[test]
    fn what_is_left_of_a_job_is_looked_at_though_no_other_comes() {
        let pool = Pool::start(1, 0).unwrap();
        let (tell, told) = mpsc::channel();
        pool.admit().unwrap().run(move || DeferredCompletion::of(move || tell.send("left").unwrap()));
        assert_eq!(told.recv_timeout(IDLE + PATIENCE), Ok("left"));
    }

    #[test]
    fn work_beyond_the_workers_waits_and_beyond_the_queue_is_not_admitted() {
        let pool = Pool::start(2, 1).unwrap();
        let gate = Arc::new(Barrier::new(3));
        let (tell, told) = mpsc::channel();
        for _ in 0..2 {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            pool.admit().unwrap().run(move || {
                gate.wait();
                tell.send("gated").unwrap();
                DeferredCompletion::NONE
            });
        }
        pool.admit().unwrap().run(move || ending(|| tell.send("queued").unwrap()));
        assert!(pool.admit().is_none());
        gate.wait();
        assert!(pool.close(PATIENCE));
        let mut all: Vec<_> = told.iter().collect();
        all.sort_unstable();
        assert_eq!(all, ["gated", "gated", "queued"]);
        assert!(pool.admit().is_none());
    }

    #[test]
    fn workers_that_are_stuck_get_company_up_to_the_limit() {
        const WORKERS: usize = 100;
        let pool = Pool::start(WORKERS, 0).unwrap();
        // Opens when every worker has come to it.
        let gate = Arc::new(Barrier::new(WORKERS));
        for _ in 0..WORKERS {
            let gate = Arc::clone(&gate);
            pool.admit().unwrap().run(move || ending(|| _ = gate.wait()));
        }
        assert!(pool.close(PATIENCE));
    }

    #[test]
    fn a_ticket_that_is_never_used_gives_its_room_back() {
        let pool = Pool::start(1, 0).unwrap();
        let ticket = pool.admit().unwrap();
        assert!(pool.admit().is_none());
        drop(ticket);
        assert!(pool.admit().is_some());
    }

    #[test]
    fn closing_gives_up_on_a_job_that_hangs() {
        let pool = Pool::start(1, 0).unwrap();
        let (release, released) = mpsc::channel::<()>();
        pool.admit().unwrap().run(move || ending(|| assert!(released.recv().is_err())));
        assert!(!pool.close(Duration::from_millis(20)));
        drop(release);
        assert!(pool.close(PATIENCE));
    }
}
