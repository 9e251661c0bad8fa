//! Mirrors what is mounted into Kubernetes Secrets, as a class's `secretObjects` ask for it.
//!
//! [`SecretSync`] is told by whoever publishes which volume came, was refreshed, or went. From then on a Secret is a
//! piece of work of its own in `queue`; `reconcile` does it as a story, `plan` decides, `units` knows which volume
//! feeds which Secret. `secret_object`, `data`, `tls` and `owners` turn what a class and its files say into what a
//! Secret holds. Secrets are never deleted here: they go with their owners, by the cluster's garbage collector.
//!
//! Nothing is watched before a class asks for a Secret. No lock is held across I/O, and a failure here never reaches
//! a volume: where Secrets may not be written, mounting and refreshing go on as if nobody had asked.
//!
//! A class's author chooses the names, a provider the bytes, so neither is believed; and no byte of a file is ever
//! part of an error.

pub mod data;
mod error;
pub mod owners;
mod permission;
mod plan;
mod queue;
mod reconcile;
pub mod secret_object;
mod units;

use std::collections::HashSet;
use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::kube::budget::Budget;
use crate::kube::client::Client;
use crate::kube::event::{EventSink, PodRef};
use crate::kube::types::{
    MANAGED, MANAGED_LABEL, ObjectKey, OwnerReference, Pod, SecretMeta, SecretProviderClass,
};
use crate::kube::watch::{Cache, News, Reflector, Selection, Standing};
use crate::metrics::Metrics;
use crate::volume::target::TargetPath;

use error::{MISSING_ROLE, Remedy, SyncError};
use permission::{ASK_EVERY, Permission};
use queue::{Done, Queue};
use reconcile::{Progress, Waiting};
use secret_object::SecretObject;
use units::{Source, Units};

pub use units::Content;

/// Keeps the Secrets of one node's volumes.
pub struct SecretSync(Arc<Inner>);

/// Where it runs.
#[derive(Clone, Debug)]
pub struct SyncSettings {
    /// Name of this node.
    pub node: String,
    /// Name of the CSI driver, as pods' volumes give it.
    pub driver: String,
}

/// A volume whose class may ask for Secrets.
#[derive(Clone)]
pub struct MirroredVolume {
    /// Where it is.
    pub target: TargetPath,
    /// Whose it is.
    pub pod: PodRef,
    /// Its class.
    pub class: Arc<SecretProviderClass>,
    /// Its pod status.
    pub pod_status: OwnerReference,
    /// What is known about its content.
    pub content: Content,
    /// When its content last changed.
    pub changed: SystemTime,
}

struct Inner {
    settings: SyncSettings,
    client: Client,
    events: Arc<EventSink>,
    metrics: Arc<Metrics>,
    pause: Pause,
    pods: Arc<Cache<Pod>>,
    secrets: Arc<Cache<SecretMeta>>,
    units: Mutex<Units>,
    permission: Mutex<Permission>,
    queue: Queue,
    hashing: RandomState,
    /// Feeds the jitter of the queue.
    seeds: AtomicU64,
    follows_pods: Mutex<bool>,
    follows_secrets: Mutex<bool>,
    workers: [Mutex<bool>; WORKERS],
    /// Set while the log has the warning that the permission is missing.
    is_denied: AtomicBool,
    /// Set while the list of Secrets is refused.
    is_list_denied: AtomicBool,
    /// Uids of the pods that have been told of it.
    told: Mutex<HashSet<String>>,
}

/// Waits, and answers whether the process is about to end.
pub type Pause = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

impl SecretSync {
    /// Starts nothing yet: that is done when a class first asks for a Secret.
    pub fn new(
        settings: SyncSettings,
        client: Client,
        events: Arc<EventSink>,
        metrics: Arc<Metrics>,
        pause: Pause,
    ) -> SecretSync {
        SecretSync(Arc::new_cyclic(|inner: &Weak<Inner>| {
            let (pods, secrets) = (Weak::clone(inner), Weak::clone(inner));
            Inner {
                settings,
                client,
                events,
                metrics,
                pause,
                pods: Arc::new(Cache::of_all(move |news| {
                    if let Some(inner) = pods.upgrade() {
                        inner.pod_news(&news);
                    }
                })),
                secrets: Arc::new(Cache::of_wanted(move |news| {
                    if let Some(inner) = secrets.upgrade() {
                        inner.secret_news(&news);
                    }
                })),
                units: Mutex::default(),
                permission: Mutex::default(),
                queue: Queue::default(),
                hashing: RandomState::new(),
                seeds: AtomicU64::new(0),
                follows_pods: Mutex::new(false),
                follows_secrets: Mutex::new(false),
                workers: Default::default(),
                is_denied: AtomicBool::new(false),
                is_list_denied: AtomicBool::new(false),
                told: Mutex::default(),
            }
        }))
    }

    /// A volume was published: its Secrets are brought up to date before this returns, as far as that is possible
    /// within `budget`, so that a container's variables can come from them. What fails is tried again later.
    pub fn published(&self, volume: MirroredVolume, budget: Budget) {
        for key in self.0.put(volume) {
            if !self.0.queue.take(&key, budget.remaining()) {
                self.0.queue.add(&key, Duration::ZERO);
                continue;
            }
            let done = self.0.attend(&key, Waiting::Pod, budget);
            self.0.queue.done(&key, done, self.0.seed());
        }
    }

    /// A volume was refreshed, or found: its Secrets are brought up to date by and by.
    pub fn refreshed(&self, volume: MirroredVolume) {
        for key in self.0.put(volume) {
            self.0.queue.add(&key, Duration::ZERO);
        }
    }

    /// A volume is gone. Its Secrets go with their owners.
    pub fn gone(&self, target: &TargetPath) {
        let dropped = self.0.units().remove(target.as_str());
        self.0.release(&dropped);
    }

    /// True when that volume is known here.
    pub fn knows(&self, target: &TargetPath) -> bool {
        self.0.units().has(target.as_str())
    }

    /// The pod of that uid on this node, and the class of its volume of that name; waits for the list of pods.
    ///
    /// This is how a volume that an earlier process mounted is recognised: what it belongs to is asked of the API
    /// server's pods, which only those can change who may create pods, and of nothing that is easier to forge.
    pub fn pod_of_volume(
        &self,
        uid: &str,
        volume: &str,
        budget: Budget,
    ) -> Result<Option<(PodRef, String)>, NotListed> {
        self.0.follow_pods();
        if !self.0.pods.wait_until_listed(budget) {
            return Err(NotListed);
        }
        let Some(pod) = self.0.pods.find(|pod| pod.uid == uid && !pod.is_ending) else {
            return Ok(None);
        };
        let is_it =
            |of: &&crate::kube::types::PodVolume| of.name == volume && of.driver == self.0.settings.driver;
        let class = pod.volumes.iter().find(is_it).map(|volume| volume.class.clone());
        let (namespace, name) = (pod.key.namespace.clone(), pod.key.name.clone());
        Ok(class.map(|class| (PodRef { namespace, name, uid: uid.to_owned() }, class)))
    }
}

/// The API server has not told yet which pods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotListed;

impl Inner {
    /// Takes the volume in. Answers which of its Secrets are to be looked at.
    fn put(self: &Arc<Self>, volume: MirroredVolume) -> Vec<ObjectKey> {
        let class = volume.class.key.clone();
        let objects = self.objects(&volume);
        let is_first = !objects.is_empty();
        let source = Source {
            target: volume.target,
            pod: volume.pod,
            class,
            provider: volume.class.provider.clone(),
            objects,
            pod_status: volume.pod_status,
            changed: volume.changed,
        };
        let moved = {
            let mut units = self.units();
            if !is_first && !units.has(source.target.as_str()) {
                return Vec::new();
            }
            units.put(source, volume.content)
        };
        self.release(&moved.dropped);
        for key in &moved.due {
            self.secrets.want(key);
        }
        if !moved.due.is_empty() {
            self.follow_pods();
            self.follow_secrets();
        }
        moved.due
    }

    /// The Secrets that the class asks for; what is wrong with the others is told.
    fn objects(&self, volume: &MirroredVolume) -> Vec<SecretObject> {
        let mut objects: Vec<SecretObject> = Vec::new();
        for parsed in secret_object::parse(&volume.class.secret_objects) {
            let problem = match parsed {
                Ok(object) if objects.iter().all(|other| other.name != object.name) => {
                    objects.push(object);
                    continue;
                }
                Ok(object) => (SyncError::NamedTwice, object.name),
                Err(error) => (SyncError::Object(error), String::new()),
            };
            let (error, secret) = problem;
            self.metrics.sync_failed(&volume.class.provider, error.reason());
            self.events.warn(&volume.pod, FAILED_TO_CREATE, error.message(&volume.class.key, &secret));
        }
        objects
    }

    fn release(&self, dropped: &[ObjectKey]) {
        for key in dropped {
            self.queue.forget(key);
            self.secrets.unwant(key);
        }
    }

    fn work(&self) -> ! {
        loop {
            let key = self.queue.next();
            let attended = catch_unwind(AssertUnwindSafe(|| {
                self.attend(&key, Waiting::Nobody, Budget::lasting(WORK_TIME))
            }));
            let done = attended.unwrap_or_else(|_| {
                log::error!(secret:% = key; "bringing a secret up to date has panicked");
                Done::Failed
            });
            self.queue.done(&key, done, self.seed());
        }
    }

    /// Looks at one Secret, and tells everybody concerned what came of it.
    fn attend(&self, key: &ObjectKey, waiting: Waiting, budget: Budget) -> Done {
        let mut speaker = None;
        let result = match self.may_ask(key) {
            Err(done) => {
                // Others have asked and were refused: that is true of this Secret as well.
                let speaker = self.units().view(key).and_then(|view| view.sources.first().cloned());
                self.report(key, &SyncError::Forbidden(None), speaker.as_deref());
                return done;
            }
            Ok(()) => self.reconcile(key, waiting, budget, &mut speaker),
        };
        match result {
            Ok(progress) => {
                if self.units().note_failing(key, false) {
                    log::info!(secret:% = key; "secret is up to date again");
                }
                match progress {
                    Progress::Settled => Done::Settled,
                    Progress::OwnersMissing => Done::Later(OWNERS_AFTER),
                }
            }
            Err(error) => {
                if matches!(error, SyncError::Forbidden(_)) {
                    lock(&self.permission).refuse(&key.namespace, Instant::now());
                }
                self.report(key, &error, speaker.as_deref());
                match error.remedy() {
                    Remedy::Retry => Done::Failed,
                    Remedy::Permission => Done::Later(ASK_EVERY),
                    Remedy::Owner => Done::Later(LOOK_AGAIN_AFTER),
                }
            }
        }
    }

    /// Whether the API server may be asked about that Secret, or what becomes of it instead.
    fn may_ask(&self, key: &ObjectKey) -> Result<(), Done> {
        if self.secrets.standing() == Standing::Forbidden {
            // The list is tried again each minute; when it succeeds, everything is looked at.
            return Err(Done::Settled);
        }
        lock(&self.permission).ask(&key.namespace, Instant::now()).map_err(Done::Later)
    }

    fn report(&self, key: &ObjectKey, error: &SyncError, speaker: Option<&Source>) {
        let provider = speaker.map_or("", |source| source.provider.as_str());
        self.metrics.sync_failed(provider, error.reason());
        if matches!(error, SyncError::Forbidden(_)) {
            return self.denied(error, speaker);
        }
        if self.units().note_failing(key, true) {
            log::warn!(secret:% = key, error:% = error; "could not bring a secret up to date");
        } else {
            log::debug!(secret:% = key, error:% = error; "could not bring a secret up to date");
        }
        if let (Some(source), Remedy::Owner) = (speaker, error.remedy()) {
            self.events.warn(&source.pod, FAILED_TO_CREATE, error.message(&source.class, &key.name));
        }
    }

    /// The permission is missing: one warning in the log for all, one event for each pod that misses a Secret.
    fn denied(&self, error: &SyncError, speaker: Option<&Source>) {
        self.metrics.sync_permitted(false);
        if !self.is_denied.swap(true, Ordering::SeqCst) {
            let answer = match error {
                SyncError::Forbidden(Some(error)) => error.to_string(),
                _ => "listing secrets was refused".to_owned(),
            };
            log::warn!(answer = answer; "classes ask for Kubernetes Secrets, but {MISSING_ROLE}; mounting and refreshing are not affected");
        }
        if let Some(source) = speaker
            && lock(&self.told).insert(source.pod.uid.clone())
        {
            let message = format!("class {} asks for Kubernetes Secrets, but {MISSING_ROLE}", source.class);
            self.events.warn(&source.pod, FAILED_TO_CREATE, message);
        }
    }

    /// The API server did what it was asked to in that namespace.
    fn granted(&self, namespace: &str) {
        if lock(&self.permission).grant(namespace) {
            self.look_at_all(|source| source.pod.namespace == namespace);
        }
        self.no_longer_denied();
    }

    fn no_longer_denied(&self) {
        self.metrics.sync_permitted(true);
        if self.is_denied.swap(false, Ordering::SeqCst) {
            log::info!("secrets may be written again");
            lock(&self.told).clear();
        }
    }

    fn look_at_all(&self, of: impl Fn(&Source) -> bool) {
        let keys = self.units().keys(of);
        for key in keys {
            self.queue.add(&key, Duration::ZERO);
        }
    }

    fn pod_news(&self, news: &News<'_, Pod>) {
        if let News::Changed { before: Some(before), now: Some(now), .. } = news
            && before.owners != now.owners
        {
            self.look_at_all(|source| source.pod.uid == now.uid);
        }
    }

    fn secret_news(&self, news: &News<'_, SecretMeta>) {
        match news {
            // A Secret often goes together with the pods that need it: their end is given time to arrive.
            News::Changed { key, now: None, .. } => self.queue.add(key, RECREATE_AFTER),
            News::Changed { key, now: Some(now), .. } => {
                if !self.units().knows(key, &now.uid, &now.resource_version) {
                    self.queue.add(key, SETTLE_AFTER);
                }
            }
            News::Standing(Standing::Current) => {
                if self.is_list_denied.swap(false, Ordering::SeqCst) {
                    self.no_longer_denied();
                }
                self.look_at_all(|_| true);
            }
            News::Standing(Standing::Forbidden) => {
                self.is_list_denied.store(true, Ordering::SeqCst);
                let keys = self.units().keys(|_| true);
                // For the warning and the events; nothing is asked of the API server.
                keys.iter().for_each(|key| self.queue.add(key, Duration::ZERO));
            }
            News::Standing(Standing::Unknown | Standing::Behind) => {}
        }
    }

    fn follow_pods(&self) {
        let selection =
            Selection { fields: format!("spec.nodeName={}", self.settings.node), ..Selection::default() };
        start_once(&self.follows_pods, "watch-pods", || {
            let pause = Arc::clone(&self.pause);
            let wait = move |time| pause(time);
            Reflector::start("watch-pods", self.client.clone(), selection, Arc::clone(&self.pods), wait)
        });
    }

    fn follow_secrets(self: &Arc<Self>) {
        let selection = Selection { labels: format!("{MANAGED_LABEL}={MANAGED}"), ..Selection::default() };
        start_once(&self.follows_secrets, "watch-secrets", || {
            let pause = Arc::clone(&self.pause);
            let wait = move |time| pause(time);
            Reflector::start("watch-secrets", self.client.clone(), selection, Arc::clone(&self.secrets), wait)
        });
        for (number, is_started) in self.workers.iter().enumerate() {
            let name = format!("sync-{number}");
            start_once(is_started, &name, || {
                let inner = Arc::clone(self);
                thread::Builder::new().name(name.clone()).spawn(move || inner.work()).map(drop)
            });
        }
    }

    fn seed(&self) -> u64 {
        use std::hash::BuildHasher;
        self.hashing.hash_one(self.seeds.fetch_add(1, Ordering::Relaxed))
    }

    fn units(&self) -> MutexGuard<'_, Units> {
        lock(&self.units)
    }
}

/// Starts a thread unless it has been started; a start that fails is tried again the next time.
fn start_once(is_started: &Mutex<bool>, name: &str, start: impl FnOnce() -> std::io::Result<()>) {
    let mut is_started = lock(is_started);
    if *is_started {
        return;
    }
    match start() {
        Ok(()) => *is_started = true,
        Err(error) => log::error!(thread = name, error:% = error; "could not start a thread"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs between two changes of what these locks guard.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reason of every event about a Secret, as the upstream driver gives it.
const FAILED_TO_CREATE: &str = "FailedToCreateSecret";
/// Workers: enough that one slow answer does not hold up every Secret of the node.
const WORKERS: usize = 2;
/// The longest that one Secret keeps a worker.
const WORK_TIME: Duration = Duration::from_secs(30);
/// Pods of one class often start together: their owners are then added in one request.
const OWNERS_AFTER: Duration = Duration::from_millis(250);
/// Changes by others come in groups as well.
const SETTLE_AFTER: Duration = Duration::from_millis(100);
const RECREATE_AFTER: Duration = Duration::from_secs(1);
/// What only people can change is looked at again as often as the upstream driver does.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(300);
