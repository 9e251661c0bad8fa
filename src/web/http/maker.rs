//! Who makes pages: a thread for each, so that one that takes its time costs no other.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sys::epoll::Notifier;

use super::Routes;
use super::answer::Answer;

/// From the beginning of one making of a page to that of the next, at least: however many ask, they have the program
/// work for them as often as a busy scraper might. It delays nobody who comes alone.
pub const REST: Duration = Duration::from_millis(20);

/// Orders pages, and is told when they are made.
pub(super) struct Makers {
    pages: Vec<Maker>,
    made: Receiver<(usize, Answer)>,
}

/// The end of a page's thread where it is ordered.
struct Maker {
    orders: Sender<()>,
    is_at_work: bool,
    began: Option<Instant>,
}

/// Starts a thread for each page. `notifier` is notified when one is made.
pub(super) fn start(
    routes: &Arc<Routes>,
    name: &str,
    notifier: &Arc<Notifier>,
) -> io::Result<(Makers, Vec<JoinHandle<()>>)> {
    let (finished, made) = channel();
    let (mut pages, mut threads) = (Vec::new(), Vec::new());
    for number in 0..routes.pages().len() {
        let (orders, ordered) = channel();
        let (routes, finished, notifier) = (Arc::clone(routes), finished.clone(), Arc::clone(notifier));
        let thread = thread::Builder::new().name(format!("{name}-{number}"));
        threads.push(thread.spawn(move || work(&routes, number, &ordered, &finished, &notifier))?);
        pages.push(Maker { orders, is_at_work: false, began: None });
    }
    Ok((Makers { pages, made }, threads))
}

/// Until nobody can order any more.
fn work(
    routes: &Routes,
    number: usize,
    ordered: &Receiver<()>,
    finished: &Sender<(usize, Answer)>,
    notifier: &Notifier,
) {
    while let Ok(()) = ordered.recv() {
        let Some(page) = routes.pages().get(number) else { return };
        if finished.send((number, Answer::from(page.make()))).is_err() {
            return;
        }
        if let Err(error) = notifier.notify() {
            log::error!(error:%; "could not hand over a page");
        }
    }
}

impl Makers {
    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Has page `number` made, unless that is being done. When it has to rest first: until when.
    pub(super) fn order(&mut self, number: usize, now: Instant) -> Option<Instant> {
        let maker = self.pages.get_mut(number)?;
        if maker.is_at_work {
            return None;
        }
        let rested = maker.began.map(|began| began + REST);
        if rested.is_some_and(|rested| rested > now) {
            return rested;
        }
        // The thread ends with this end of the channel.
        maker.is_at_work = maker.orders.send(()).is_ok();
        maker.began = Some(now);
        None
    }

    /// A page that was made since.
    pub(super) fn made(&mut self) -> Option<(usize, Arc<Answer>)> {
        let (number, answer) = self.made.try_recv().ok()?;
        if let Some(maker) = self.pages.get_mut(number) {
            maker.is_at_work = false;
        }
        Some((number, Arc::new(answer)))
    }
}
