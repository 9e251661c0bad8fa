//! The Secrets of one node, and the threads that keep them: what comes in, from volumes and from watches, becomes work
//! in the queue, and the work is done one Secret at a time.

use std::collections::{BTreeMap, HashSet};
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use base::lock::{Mutex, MutexGuard};
use kube::budget::Budget;
use kube::client::Client;
use kube::event::EventSink;
use kube::types::{MANAGED, MANAGED_LABEL, ObjectKey, OwnerReference, Pod, SecretMeta};
use kube::watch::{Cache, CacheState, Change, Follower, Pause, Selection};
use metrics::Metrics;

use super::complaints::{Complaints, Concerned};
use super::error::{Remedy, SyncError};
use super::kind;
use super::permission::{ASK_EVERY, Permission};
use super::publishes::Publishes;
use super::queue::{Done, Queue};
use super::reconcile::{Progress, Waiting};
use super::secret_object::{self, SecretObject};
use super::source_pod;
use super::states::{SecretStates, Source};
use super::{MirroredVolume, SyncSettings};

/// All that is shared between those who publish, the workers and the watches.
pub struct SyncController {
    pub(super) settings: SyncSettings,
    pub(super) client: Client,
    pub(super) events: Arc<EventSink>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pods: Arc<Cache<Pod>>,
    pub(super) secrets: Arc<Cache<SecretMeta>>,
    pub(super) pods_follower: Follower<Pod>,
    secrets_follower: Follower<SecretMeta>,
    states: Mutex<SecretStates>,
    permission: Mutex<Permission>,
    pub(super) queue: Queue,
    pub(super) publishes: Publishes,
    pub(super) complaints: Mutex<Complaints>,
    pub(super) hashing: RandomState,
    workers: [Mutex<bool>; WORKERS],
    /// Set while the log has the warning that the permission is missing.
    pub(super) is_denied: AtomicBool,
    /// Set while the list of Secrets is refused.
    is_list_denied: AtomicBool,
    /// Targets of the volumes whose pods have been told of it.
    pub(super) notified: Mutex<HashSet<String>>,
}

impl SyncController {
    pub(super) fn new(
        settings: SyncSettings,
        client: Client,
        events: Arc<EventSink>,
        metrics: Arc<Metrics>,
        pause: Pause,
    ) -> Arc<SyncController> {
        let on_node =
            Selection { fields: format!("spec.nodeName={}", settings.node), ..Selection::default() };
        let managed = Selection { labels: format!("{MANAGED_LABEL}={MANAGED}"), ..Selection::default() };
        Arc::new_cyclic(|inner: &Weak<SyncController>| {
            let (of_pods, of_secrets) = (Weak::clone(inner), Weak::clone(inner));
            let driver = settings.driver.clone();
            let pods = Arc::new(Cache::of_picked(
                move |pod: &Pod| pod.volumes.iter().any(|volume| volume.driver == driver),
                move |change| {
                    if let Some(inner) = of_pods.upgrade() {
                        inner.pod_changed(&change);
                    }
                },
            ));
            let secrets = Arc::new(Cache::of_tracked(move |change| {
                if let Some(inner) = of_secrets.upgrade() {
                    inner.secret_changed(&change);
                }
            }));
            let (followed, wait) = (Arc::clone(&pods), Arc::clone(&pause));
            let pods_follower = Follower::new("watch-pods", client.clone(), on_node, followed, wait);
            let followed = Arc::clone(&secrets);
            let secrets_follower = Follower::new("watch-secrets", client.clone(), managed, followed, pause);
            SyncController {
                publishes: Publishes::new(settings.publishes),
                settings,
                client,
                events,
                metrics,
                pods,
                secrets,
                pods_follower,
                secrets_follower,
                states: Mutex::default(),
                permission: Mutex::default(),
                queue: Queue::new(MOST_WORKERS_OF_ONE),
                complaints: Mutex::default(),
                hashing: RandomState::new(),
                workers: Default::default(),
                is_denied: AtomicBool::new(false),
                is_list_denied: AtomicBool::new(false),
                notified: Mutex::default(),
            }
        })
    }

    /// Takes the volume in. Answers which of its Secrets are to be looked at.
    pub(super) fn upsert(self: &Arc<Self>, volume: MirroredVolume) -> Vec<ObjectKey> {
        let class = volume.class.key.clone();
        let objects = self.objects(&volume);
        let asks_for_secrets = !objects.is_empty();
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
            let mut states = self.states();
            if !asks_for_secrets && !states.has(source.target.as_str()) {
                return Vec::new();
            }
            states.upsert(source, volume.freshness, Instant::now())
        };
        self.part_with(&moved.forsaken);
        for key in &moved.due {
            self.secrets.track(key);
        }
        if !moved.due.is_empty() {
            self.pods_follower.follow();
            self.secrets_follower.follow();
            self.start_workers();
        }
        moved.due
    }

    /// The Secrets that the class asks for, by name; what is wrong with the others is told.
    fn objects(&self, volume: &MirroredVolume) -> BTreeMap<String, SecretObject> {
        let mut objects = BTreeMap::new();
        let mut problems = Vec::new();
        for parsed in secret_object::parse(&volume.class.secret_objects) {
            match parsed {
                Ok(object) if kind::belongs_to_a_controller(&object.kind) => {
                    problems.push(SyncError::OfController { secret: object.name, kind: object.kind });
                }
                Ok(object) if objects.contains_key(&object.name) => {
                    problems.push(SyncError::NamedTwice { secret: object.name });
                }
                Ok(object) => drop(objects.insert(object.name.clone(), object)),
                Err(error) => problems.push(SyncError::Object(error)),
            }
        }
        self.report_class(volume, &problems);
        objects
    }

    /// Lets a volume go.
    pub(super) fn let_go(&self, target: &str) {
        let moved = self.states().remove(target, Instant::now());
        self.part_with(&moved.forsaken);
        self.queue.add_all(&moved.due, Duration::ZERO);
        self.notified.lock().remove(target);
        self.complaints.lock().settle(&Concerned::Volume(target.to_owned()));
    }

    /// Nobody here feeds these Secrets any longer. Where that has to be said on one, it is kept until that is done.
    fn part_with(&self, forsaken: &[ObjectKey]) {
        for key in forsaken {
            let departed = self.states().view(key).map(|view| view.departed).unwrap_or_default();
            let is_to_tell = |meta: Arc<SecretMeta>| source_pod::leaving(&meta, &departed).is_some();
            if self.secrets.get(key).is_some_and(is_to_tell) {
                self.queue.add(key, Duration::ZERO);
            } else {
                self.end(key);
            }
        }
    }

    /// Forgets a Secret that no volume feeds; false when one does.
    fn end(&self, key: &ObjectKey) -> bool {
        if !self.states().end(key) {
            return false;
        }
        self.queue.forget(key);
        self.secrets.untrack(key);
        self.complaints.lock().settle(&Concerned::Secret(key.clone()));
        if !self.states().has_namespace(&key.namespace) {
            self.permission.lock().grant(&key.namespace);
        }
        true
    }

    fn work(&self) -> ! {
        loop {
            let key = self.queue.next();
            self.process(&key, Waiting::Nobody, Budget::lasting(WORK_TIME));
        }
    }

    /// Looks at one Secret that was taken from the queue, and gives it back.
    pub(super) fn process(&self, key: &ObjectKey, waiting: Waiting, budget: Budget) {
        let done = self.look_at(key, waiting, budget);
        self.queue.done(key, done);
    }

    /// Brings one Secret up to date, and tells everybody concerned what came of it.
    fn look_at(&self, key: &ObjectKey, waiting: Waiting, budget: Budget) -> Done {
        let mut primary_source = None;
        let result = match self.may_ask(key) {
            Err(_) if self.end(key) => return Done::Settled,
            Err(done) => {
                // Others have asked and were refused: that is true of this Secret as well.
                let primary_source = self.states().view(key).and_then(|view| view.sources.first().cloned());
                self.report(key, &SyncError::Forbidden(None), primary_source.as_deref());
                return done;
            }
            Ok(()) => self.reconcile(key, waiting, budget, &mut primary_source),
        };
        match result {
            Ok(Progress::Parted) => {
                self.end(key);
                Done::Settled
            }
            Ok(progress) => {
                self.report_success(key);
                match progress {
                    Progress::Settled | Progress::Parted => Done::Settled,
                    Progress::OwnersMissing => Done::Later(OWNERS_AFTER),
                    Progress::NotYet(time) => Done::Later(time),
                    Progress::OfAnother => Done::Later(LOOK_AGAIN_AFTER),
                }
            }
            Err(error) => {
                if self.states().departed_for(key, Instant::now()).is_some_and(|time| time > FAREWELL_TIME) {
                    // If no volume feeds it, who does has long noticed in another way.
                    self.end(key);
                }
                if matches!(error, SyncError::Forbidden(_)) {
                    self.permission.lock().refuse(&key.namespace, Instant::now());
                }
                self.report(key, &error, primary_source.as_deref());
                match error.remedy() {
                    Remedy::Retry | Remedy::RetryAndTell => Done::Failed,
                    Remedy::Permission => Done::Later(ASK_EVERY),
                    Remedy::Owner => Done::Later(LOOK_AGAIN_AFTER),
                }
            }
        }
    }

    /// Whether the API server may be asked about that Secret, or what becomes of it instead.
    fn may_ask(&self, key: &ObjectKey) -> Result<(), Done> {
        if self.secrets.state() == CacheState::Forbidden {
            // The list is tried again each minute; when it succeeds, everything is looked at.
            return Err(Done::Settled);
        }
        self.permission.lock().ask(&key.namespace, Instant::now()).map_err(Done::Later)
    }

    /// The API server did what it was asked to in that namespace.
    pub(super) fn granted(&self, namespace: &str) {
        let (is_news, is_whole) = {
            let mut permission = self.permission.lock();
            (permission.grant(namespace), permission.is_whole())
        };
        if is_news {
            self.look_at_all(|source| source.pod.namespace == namespace);
        }
        // One namespace says nothing about another.
        if is_whole && !self.is_list_denied.load(Ordering::SeqCst) {
            self.no_longer_denied();
        }
    }

    fn no_longer_denied(&self) {
        self.metrics.sync_permitted(true);
        if self.is_denied.swap(false, Ordering::SeqCst) {
            log::info!("secrets may be written again");
            self.notified.lock().clear();
        }
    }

    fn look_at_all(&self, of: impl Fn(&Source) -> bool) {
        let keys = self.states().keys(of);
        self.queue.add_all(&keys, Duration::ZERO);
    }

    fn pod_changed(&self, change: &Change<'_, Pod>) {
        if let Change::Object { before: Some(before), now: Some(now), .. } = change
            && before.owners != now.owners
        {
            self.look_at_all(|source| source.pod.uid == now.uid);
        }
    }

    fn secret_changed(&self, change: &Change<'_, SecretMeta>) {
        match change {
            Change::Object { key, now: None, .. } => {
                let pause = self.states().pause_before_recreation(key, Instant::now());
                self.queue.add(key, pause);
            }
            Change::Object { key, before, now: Some(now) } => {
                let is_there = |owner: &OwnerReference| now.owners.iter().any(|left| left.uid == owner.uid);
                if before.is_some_and(|before| !before.owners.iter().all(is_there)) {
                    self.states().note_lost_owner(key);
                }
                if before.is_some_and(|before| now.writers.took_from_others(&before.writers)) {
                    self.states().note_put_right(key, Instant::now());
                }
                if !self.states().knows(key, &now.uid, &now.resource_version) {
                    self.queue.add(key, SETTLE_AFTER);
                }
            }
            Change::State(CacheState::Current) => {
                if self.is_list_denied.swap(false, Ordering::SeqCst) {
                    self.permission.lock().forget();
                    self.no_longer_denied();
                }
                self.look_at_all(|_| true);
            }
            Change::State(CacheState::Forbidden) => {
                self.is_list_denied.store(true, Ordering::SeqCst);
                let keys = self.states().keys(|_| true);
                // For the warning and the events; nothing is asked of the API server.
                self.queue.add_all(&keys, Duration::ZERO);
            }
            Change::State(CacheState::Unknown | CacheState::Behind) => {}
        }
    }

    fn start_workers(self: &Arc<Self>) {
        for (number, is_started) in self.workers.iter().enumerate() {
            let name = format!("sync-{number}");
            start_once(is_started, &name, || {
                let inner = Arc::clone(self);
                thread::Builder::new().name(name.clone()).spawn(move || inner.work()).map(drop)
            });
        }
    }

    pub(super) fn states(&self) -> MutexGuard<'_, SecretStates> {
        self.states.lock()
    }
}

/// Starts a thread unless it has been started; a start that fails is tried again the next time.
fn start_once(is_started: &Mutex<bool>, name: &str, start: impl FnOnce() -> std::io::Result<()>) {
    let mut is_started = is_started.lock();
    if *is_started {
        return;
    }
    match start() {
        Ok(()) => *is_started = true,
        Err(error) => log::error!(thread = name, error:% = error; "could not start a thread"),
    }
}

/// Workers: enough that slow answers about one namespace's do not hold up every Secret of the node.
const WORKERS: usize = 4;
/// And so many of them at most for one namespace.
const MOST_WORKERS_OF_ONE: usize = 2;
/// The longest that one Secret keeps a worker: one request that hangs, and a second try.
const WORK_TIME: Duration = Duration::from_secs(15);
/// Pods of one class often start together: their owners are then added in one request.
const OWNERS_AFTER: Duration = Duration::from_millis(250);
/// Changes by others come in groups as well.
const SETTLE_AFTER: Duration = Duration::from_millis(100);
/// The longest that a node which feeds a Secret no longer tries to say so.
const FAREWELL_TIME: Duration = Duration::from_secs(300);
/// What only people can change is looked at again as often as the upstream driver does, and so is whether the pod of
/// another class is still there.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(300);
