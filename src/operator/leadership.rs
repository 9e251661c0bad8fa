//! The thread that gets and keeps the lease. What it does about the lease each time is decided in [`lease`](super::lease).

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::identity::LEASE;
use super::lease::{Candidate, Move};
use crate::command_line::LeaseTimes;
use base::backoff::Jitter;
use base::lock::{Condvar, Mutex, MutexGuard};
use base::shutdown::Shutdown;
use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::object::ObjectRef;
use kube::resource::LEASES;
use metrics::OperatorMetrics;

/// Whether this process leads.
pub struct Leadership {
    candidate: Mutex<Candidate>,
    /// The lease as this process has stored it last.
    stored: Mutex<Option<Value>>,
    changed: Condvar,
}

/// What it takes to get and keep the lease.
pub struct Campaign {
    /// Talks to the API server.
    pub client: Client,
    /// Where the lease is.
    pub namespace: String,
    /// How long everything takes.
    pub times: LeaseTimes,
    /// Told whether this process leads.
    pub metrics: Arc<OperatorMetrics>,
    /// Ends the campaign, and is triggered when the lease is lost.
    pub shutdown: Shutdown,
}

impl Leadership {
    /// Nobody's yet.
    pub fn new(candidate: Candidate) -> Leadership {
        Leadership { candidate: Mutex::new(candidate), stored: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether this process may write.
    pub fn leads(&self, now: Instant) -> bool {
        self.lock().leads(now)
    }

    /// Waits until this process leads; false when it is to end instead.
    pub fn wait(&self, shutdown: &Shutdown) -> bool {
        let mut candidate = self.lock();
        while !candidate.leads(Instant::now()) && !shutdown.is_triggered() {
            candidate = self.changed.wait(candidate);
        }
        !shutdown.is_triggered()
    }

    /// Starts to try for the lease, in a thread of its own.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(self: &Arc<Self>, campaign: Campaign) -> std::io::Result<thread::JoinHandle<()>> {
        let this = Arc::clone(self);
        thread::Builder::new().name("lease".to_owned()).spawn(move || {
            this.run(&campaign);
            if !this.leads(Instant::now()) {
                campaign.metrics.leads(false);
            }
            this.changed.notify_all();
        })
    }

    fn run(&self, campaign: &Campaign) {
        let (mut jitter, mut led) = (Jitter::from_entropy(), false);
        let retry = campaign.times.retry_period;
        loop {
            match self.turn(campaign) {
                Ok(None) if !led => {
                    led = true;
                    log::info!(identity = self.lock().identity(); "this operator leads");
                    campaign.metrics.leads(true);
                    self.changed.notify_all();
                }
                Ok(None) => {}
                Ok(Some(holder)) => {
                    log::debug!(holder = holder; "another operator leads");
                    if led {
                        log::error!(holder = holder; "another operator has taken the lease, ending");
                        return self.give_up(campaign);
                    }
                }
                Err(error) => log::warn!(error:% = error; "could not get or keep the lease"),
            }
            if led && !self.leads(Instant::now()) {
                log::error!("the lease could not be renewed in time, ending before somebody else begins");
                return self.give_up(campaign);
            }
            // Those who wait should not all come at once.
            let pause = if led { retry } else { retry + jitter.below(retry / 5) };
            if campaign.shutdown.wait_timeout(pause) {
                return;
            }
        }
    }

    fn give_up(&self, campaign: &Campaign) {
        self.lock().lost();
        campaign.metrics.leads(false);
        campaign.shutdown.trigger();
    }

    /// One try; the holder's name when that is another.
    fn turn(&self, campaign: &Campaign) -> Result<Option<String>, ApiError> {
        let Campaign { client, namespace, .. } = campaign;
        let (at, budget) = (campaign.at(), campaign.budget());
        // Who has written it last need not read it: a change by others is a conflict.
        let stored = self.stored.lock().take();
        let is_stored = stored.is_some();
        let live = match stored {
            Some(stored) => Some(stored),
            None => client.find_object(&at, budget)?,
        };
        // Before the write: whoever sees it cannot have seen it earlier.
        let begun = Instant::now();
        let next = self.lock().consider(live.as_ref(), begun, SystemTime::now(), namespace);
        let written = match next {
            Move::Create(lease) => client.create_object(&at, &lease, budget),
            Move::Update(lease) => client.replace_object(&at, &lease, budget),
            Move::Wait { holder } => return Ok(Some(holder)),
        };
        match written {
            Ok(lease) => {
                *self.stored.lock() = Some(lease);
                self.lock().renewed(begun);
                Ok(None)
            }
            Err(error) if is_stored && (error.is_conflict() || error.is_not_found()) => self.turn(campaign),
            Err(error) => Err(error),
        }
    }

    /// Leaves the lease to whoever comes first, if it is this process's.
    pub fn release(&self, campaign: &Campaign) {
        let (at, budget) = (campaign.at(), campaign.budget());
        let released = campaign.client.find_object(&at, budget).and_then(|live| {
            let next = live.and_then(|live| self.lock().release(&live, SystemTime::now()));
            self.lock().lost();
            next.map(|next| campaign.client.replace_object(&at, &next, budget)).transpose()
        });
        match released {
            Ok(Some(_)) => log::info!("the lease is released"),
            Ok(None) => {}
            Err(error) => {
                log::warn!(error:% = error; "could not release the lease, the next leader waits for its end")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Candidate> {
        self.candidate.lock()
    }
}

impl Campaign {
    fn at(&self) -> ObjectRef {
        ObjectRef::namespaced(&LEASES, &self.namespace, LEASE)
    }

    /// A try that takes longer leaves no time for another one.
    fn budget(&self) -> Budget {
        Budget::lasting((self.times.renew_deadline / 3).min(Duration::from_secs(10)))
    }
}
