//! All connections of a server, on one thread that never waits for one of them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sys::epoll::{Epoll, Interest, Notifier};

use super::answer::Answer;
use super::connection::{Answering, Head, Incomplete};
use super::maker::Makers;
use super::{Limits, Method, Refusal, Request, Response, Routes};

/// A connection's number. Later connections have higher ones, and none is used again.
type Number = u64;

/// Where connections are kept, by what they are about.
pub(super) struct Hall {
    name: String,
    limits: Limits,
    routes: Arc<Routes>,
    makers: Makers,
    epoll: Epoll,
    notifier: Arc<Notifier>,
    door: Door,
    next: Number,
    /// The first one is the oldest.
    incomplete: BTreeMap<Number, Incomplete>,
    /// For each page those who wait for it, in the order in which they asked.
    waiting: Vec<VecDeque<Waiting>>,
    answering: BTreeMap<Number, Answering>,
    crowded: Arc<Answer>,
}

struct Waiting {
    number: Number,
    stream: TcpStream,
    method: Method,
}

/// Where connections come in.
struct Door {
    /// `None` for good, once the server stops.
    listener: Option<TcpListener>,
    /// Nothing could be accepted, nor could room be made: until when nobody is let in.
    closed_until: Option<Instant>,
    warned: Option<Instant>,
}

impl Hall {
    pub(super) fn new(
        limits: Limits,
        name: &str,
        routes: Arc<Routes>,
        makers: Makers,
        listener: TcpListener,
        notifier: Arc<Notifier>,
    ) -> io::Result<Hall> {
        let epoll = Epoll::new()?;
        epoll.watch(&listener, DOOR, Interest::Read)?;
        epoll.watch(&notifier, NOTIFIER, Interest::Read)?;
        Ok(Hall {
            name: name.to_owned(),
            limits,
            routes,
            waiting: (0..makers.len()).map(|_| VecDeque::new()).collect(),
            makers,
            epoll,
            notifier,
            door: Door { listener: Some(listener), closed_until: None, warned: None },
            next: FIRST,
            incomplete: BTreeMap::new(),
            answering: BTreeMap::new(),
            crowded: Arc::new(Answer::from(Response::from(Refusal::Crowded))),
        })
    }

    /// Serves until it is told to stop, and then until those with a whole request have their answer, or had the time.
    pub(super) fn run(mut self, stopping: &AtomicBool) {
        let mut end: Option<Instant> = None;
        while end.is_none_or(|end| self.owes_answers() && Instant::now() < end) {
            let until = [self.next_deadline(), self.order_pages(), self.door.closed_until, end];
            let numbers = match self.epoll.wait(until.into_iter().flatten().min()) {
                Ok(numbers) => numbers,
                Err(error) => {
                    log::error!(server = self.name.as_str(), error:%; "nothing is served any more");
                    return;
                }
            };
            let now = Instant::now();
            for number in numbers.iter().copied().filter(|number| *number >= FIRST) {
                self.attend(number, now);
            }
            if numbers.contains(&NOTIFIER) {
                self.answer_the_bell(now);
            }
            if stopping.load(Ordering::SeqCst) {
                if end.is_none() {
                    end = Some(now + LAST_ANSWERS);
                    self.close_the_door();
                }
            } else if numbers.contains(&DOOR) || self.door.closed_until.is_some_and(|until| until <= now) {
                self.let_in(now);
            }
            self.end_the_late(now);
        }
    }

    fn owes_answers(&self) -> bool {
        self.waiting.iter().any(|queue| !queue.is_empty())
            || self.answering.values().any(Answering::is_sending)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let oldest = self.incomplete.values().next().map(|incomplete| incomplete.since + self.limits.head);
        oldest.into_iter().chain(self.answering.values().map(|answering| answering.until)).min()
    }

    /// Has every page made that somebody waits for. When one has to rest first: until when.
    fn order_pages(&mut self) -> Option<Instant> {
        let (now, makers) = (Instant::now(), &mut self.makers);
        let wanted = self.waiting.iter().enumerate().filter(|(_, queue)| !queue.is_empty());
        wanted.filter_map(|(page, _)| makers.order(page, now)).min()
    }

    fn answer_the_bell(&mut self, now: Instant) {
        if let Err(error) = self.notifier.clear() {
            log::error!(server = self.name.as_str(), error:%; "could not clear the notifier of an http server");
        }
        while let Some((page, answer)) = self.makers.made() {
            let queue = self.waiting.get_mut(page).map(std::mem::take).unwrap_or_default();
            for Waiting { number, stream, method } in queue {
                self.answer(number, stream, method, Arc::clone(&answer), now);
            }
        }
    }

    /// Takes in connections, as many at a time as leave those that are there already their turn.
    fn let_in(&mut self, now: Instant) {
        self.open_the_door();
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.door.listener else { return };
            match listener.accept() {
                Ok((stream, _)) => self.welcome(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // Descriptors or memory have run out.
                Err(error) => {
                    self.warn(&error, now);
                    if !self.make_room() {
                        self.keep_out_until(now + ACCEPT_PAUSE);
                    }
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, now: Instant) {
        if let Err(error) = stream.set_nonblocking(true) {
            return self.warn(&error, now);
        }
        let number = self.next;
        self.next += 1;
        self.incomplete.insert(number, Incomplete::new(stream, now));
        self.read(number, now);
        if self.incomplete.len() > self.limits.incomplete {
            // Without a word, which would cost as much as an answer: whoever is slow in a crowd is one of many.
            self.incomplete.pop_first();
        }
    }

    /// Looks after a connection that has something to do, if it is still there.
    fn attend(&mut self, number: Number, now: Instant) {
        if self.incomplete.contains_key(&number) {
            self.read(number, now);
        } else {
            self.go_on(number, now);
        }
    }

    fn read(&mut self, number: Number, now: Instant) {
        let Some(incomplete) = self.incomplete.get_mut(&number) else { return };
        let head = incomplete.read();
        if let Head::Partial = head {
            if let Err(error) = incomplete.watch(&self.epoll, number) {
                self.incomplete.remove(&number);
                self.warn(&error, now);
            }
            return;
        }
        let Some(incomplete) = self.incomplete.remove(&number) else { return };
        let stream = match incomplete.into_stream(&self.epoll) {
            Ok(stream) => stream,
            Err(error) => return self.warn(&error, now),
        };
        match head {
            Head::Partial | Head::Gone => {}
            Head::Whole(request) => self.serve(number, stream, &request, now),
            Head::Refused(refusal) => self.refuse(number, stream, refusal, now),
        }
    }

    fn serve(&mut self, number: Number, stream: TcpStream, request: &Request, now: Instant) {
        let method = request.method();
        let queue = self.routes.find(request).and_then(|page| self.waiting.get_mut(page));
        let Some(queue) = queue else {
            let answer = Arc::new(Answer::from(self.routes.answer_at_once(request)));
            return self.answer(number, stream, method, answer, now);
        };
        queue.push_back(Waiting { number, stream, method });
        if self.waiting.iter().map(VecDeque::len).sum::<usize>() > self.limits.waiting {
            self.send_one_away(now);
        }
    }

    /// Who waits longest for the page that most wait for is told to come back.
    fn send_one_away(&mut self, now: Instant) {
        let longest = self.waiting.iter_mut().max_by_key(|queue| queue.len());
        if let Some(Waiting { number, stream, method }) = longest.and_then(VecDeque::pop_front) {
            self.answer(number, stream, method, Arc::clone(&self.crowded), now);
        }
    }

    fn refuse(&mut self, number: Number, stream: TcpStream, refusal: Refusal, now: Instant) {
        let answer = Arc::new(Answer::from(Response::from(refusal)));
        self.answer(number, stream, Method::Get, answer, now);
    }

    fn answer(
        &mut self,
        number: Number,
        stream: TcpStream,
        method: Method,
        answer: Arc<Answer>,
        now: Instant,
    ) {
        let answering = Answering::new(stream, answer, method, now, self.limits.answer);
        self.answering.insert(number, answering);
        self.go_on(number, now);
        if self.answering.len() > self.limits.answering {
            self.drop_the_most_idle();
        }
    }

    fn go_on(&mut self, number: Number, now: Instant) {
        let Some(answering) = self.answering.get_mut(&number) else { return };
        let watched = if answering.go_on(now) {
            answering.watch(&self.epoll, number)
        } else {
            self.answering.remove(&number);
            return;
        };
        if let Err(error) = watched {
            self.answering.remove(&number);
            self.warn(&error, now);
        }
    }

    fn drop_the_most_idle(&mut self) {
        let idle = self.answering.iter().min_by_key(|(_, answering)| answering.progress);
        if let Some(number) = idle.map(|(number, _)| *number) {
            self.answering.remove(&number);
        }
    }

    /// Frees a descriptor, if anybody has one that he makes no use of.
    fn make_room(&mut self) -> bool {
        let had = self.incomplete.len() + self.answering.len();
        if self.incomplete.pop_first().is_none() {
            self.drop_the_most_idle();
        }
        self.incomplete.len() + self.answering.len() < had
    }

    fn end_the_late(&mut self, now: Instant) {
        let limit = self.limits.head;
        while let Some(oldest) = self.incomplete.first_entry()
            && oldest.get().since + limit <= now
        {
            let (number, incomplete) = oldest.remove_entry();
            match incomplete.into_stream(&self.epoll) {
                Ok(stream) => self.refuse(number, stream, Refusal::TooSlow, now),
                Err(error) => self.warn(&error, now),
            }
        }
        self.answering.retain(|_, answering| answering.until > now);
    }

    fn keep_out_until(&mut self, until: Instant) {
        self.door.closed_until = Some(until);
        let Some(listener) = &self.door.listener else { return };
        if let Err(error) = self.epoll.forget(listener) {
            log::error!(server = self.name.as_str(), error:%; "could not let connections wait");
        }
    }

    fn open_the_door(&mut self) {
        if self.door.closed_until.take().is_none() {
            return;
        }
        let Some(listener) = &self.door.listener else { return };
        if let Err(error) = self.epoll.watch(listener, DOOR, Interest::Read) {
            log::error!(server = self.name.as_str(), error:%; "no connection is taken any more");
        }
    }

    /// For good: the port is free, and who has not asked yet will not be answered.
    fn close_the_door(&mut self) {
        self.door.closed_until = None;
        self.door.listener = None;
        self.incomplete.clear();
    }

    /// At most once a minute: clients can bring these errors about by holding many connections.
    fn warn(&mut self, error: &io::Error, now: Instant) {
        if self.door.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_INTERVAL) {
            log::warn!(server = self.name.as_str(), error:%; "could not take a connection");
            self.door.warned = Some(now);
        }
    }
}

const DOOR: u64 = 0;
const NOTIFIER: u64 = 1;
const FIRST: Number = 2;

/// How many are let in before the others have their turn.
const ACCEPTS: usize = 64;

/// Between attempts to accept when accepting fails: long enough not to spin, short enough to go unnoticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// How long a server that stops waits for the last answers to be taken.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
