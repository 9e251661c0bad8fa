//! Kubelet's plugin manager, as far as a driver meets it: it watches a directory for sockets, registers whoever
//! serves on one, and forgets whoever's socket is gone.
//!
//! Steps, limits of time and retries are kubelet's; only its round of a second is shorter here, so that nobody waits.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rpc::Environment;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::csi;
use rpc::pb::registration as pb;
use rustix::fs::inotify;

use super::eventually;

/// A plugin manager at work. Dropping it ends it, as a kubelet that stops: it tells nobody.
pub struct PluginWatcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Something that kubelet saw or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// A socket appeared.
    Created,
    /// It went.
    Removed,
    /// It said who it is.
    Introduced(pb::PluginInfo),
    /// The endpoint told the node's id.
    Node(String),
    /// The driver was told that it is registered.
    Accepted,
    /// The driver was told that it is not.
    Refused,
    /// A call failed, or telling did.
    Failed(String),
    /// The driver was forgotten.
    Forgotten,
}

struct Shared {
    environment: Environment,
    /// Where a path on the node is in this test.
    resolve: Box<dyn Fn(&str) -> PathBuf + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sights: Vec<(Instant, Sight)>,
    /// What kubelet would log as errors about files.
    complaints: Vec<String>,
    refusals: Vec<String>,
    registered: BTreeMap<String, String>,
    stops: bool,
}

/// What the watcher's thread knows of the files.
struct World {
    inotify: OwnedFd,
    /// The directories that are watched, by the number of their watch.
    watched: BTreeMap<i32, PathBuf>,
    /// A number for each appearance of a socket.
    appearances: u64,
    desired: BTreeMap<PathBuf, u64>,
    /// The appearance that was registered, and as which driver.
    actual: BTreeMap<PathBuf, (u64, String)>,
    backoff: BTreeMap<PathBuf, (Instant, Duration)>,
}

impl PluginWatcher {
    /// Watches a directory. `resolve` finds a path of the node in this test.
    pub fn start(
        environment: &Environment,
        directory: &Path,
        resolve: impl Fn(&str) -> PathBuf + Send + Sync + 'static,
    ) -> PluginWatcher {
        PluginWatcher::refusing(environment, directory, Vec::new(), resolve)
    }

    /// The same; the first drivers are refused, each with the next of these texts.
    pub fn refusing(
        environment: &Environment,
        directory: &Path,
        refusals: Vec<String>,
        resolve: impl Fn(&str) -> PathBuf + Send + Sync + 'static,
    ) -> PluginWatcher {
        let shared = Arc::new(Shared {
            environment: environment.clone(),
            resolve: Box::new(resolve),
            state: Mutex::new(State { refusals, ..State::default() }),
        });
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let mut world = World {
            inotify: inotify::init(flags).expect("the kernel has inotify"),
            watched: BTreeMap::new(),
            appearances: 0,
            desired: BTreeMap::new(),
            actual: BTreeMap::new(),
            backoff: BTreeMap::new(),
        };
        shared.traverse(&mut world, directory);
        let watcher = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !watcher.lock().stops {
                watcher.follow(&mut world);
                watcher.reconcile(&mut world);
                std::thread::sleep(ROUND);
            }
        });
        PluginWatcher { shared, thread: Some(thread) }
    }

    /// Refuses the next driver with this text, and so on for each text that was given.
    pub fn refuse_next(&self, text: &str) {
        self.shared.lock().refusals.push(text.to_owned());
    }

    /// Where the driver of that name is called, if it is registered.
    pub fn endpoint_of(&self, driver: &str) -> Option<String> {
        self.shared.lock().registered.get(driver).cloned()
    }

    /// Waits until a driver is registered.
    pub fn await_registration(&self, driver: &str) {
        eventually("kubelet has registered the driver", || self.endpoint_of(driver).is_some());
    }

    /// All that was seen so far.
    pub fn sights(&self) -> Vec<Sight> {
        self.timed_sights().into_iter().map(|(_, sight)| sight).collect()
    }

    /// The same with its times.
    pub fn timed_sights(&self) -> Vec<(Instant, Sight)> {
        self.shared.lock().sights.clone()
    }

    /// What kubelet would have logged as errors about the directory so far.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.lock().complaints.clone()
    }

    /// How often that was seen so far.
    pub fn count(&self, sight: &Sight) -> usize {
        self.sights().iter().filter(|seen| *seen == sight).count()
    }
}

impl Drop for PluginWatcher {
    fn drop(&mut self) {
        self.shared.lock().stops = true;
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the watcher does not panic");
        }
    }
}

impl World {
    fn watch(&mut self, directory: &Path) -> Result<(), rustix::io::Errno> {
        let kinds = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::MOVED_FROM;
        let watch = inotify::add_watch(&self.inotify, directory, kinds)?;
        self.watched.insert(watch, directory.to_owned());
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn saw(&self, sight: Sight) {
        self.lock().sights.push((Instant::now(), sight));
    }

    fn complain(&self, error: String) {
        self.lock().complaints.push(error);
    }

    /// Watches a directory and takes in what is there, as kubelet does at its start and for each directory that
    /// appears. Then hidden directories are watched as well.
    fn traverse(&self, world: &mut World, directory: &Path) {
        if let Err(errno) = world.watch(directory) {
            return self.complain(format!("failed to watch {}, err: {errno}", directory.display()));
        }
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                return self.complain(format!("Error accessing path {}: {error}", directory.display()));
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => self.traverse(world, &path),
                Ok(_) if is_socket(&path) => self.created(world, &path),
                Ok(_) => {}
                Err(error) => self.complain(format!("Error accessing path {}: {error}", path.display())),
            }
        }
    }

    /// Takes in what happened since the last time.
    fn follow(&self, world: &mut World) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut happened = Vec::new();
        let mut events = inotify::Reader::new(&world.inotify, &mut buffer);
        while let Ok(event) = events.next() {
            let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) else { continue };
            happened.push((event.wd(), event.events(), name.to_owned()));
        }
        for (watch, events, name) in happened {
            let Some(path) = world.watched.get(&watch).map(|directory| directory.join(name)) else {
                continue;
            };
            if events.intersects(inotify::ReadFlags::CREATE | inotify::ReadFlags::MOVED_TO) {
                self.created(world, &path);
            } else if events.contains(inotify::ReadFlags::DELETE) && world.desired.remove(&path).is_some() {
                self.saw(Sight::Removed);
            }
            // A file that moves away is not gone to kubelet.
        }
    }

    /// Looks at what has appeared, before its name: what is gone by now is an error, hidden or not.
    fn created(&self, world: &mut World, path: &Path) {
        let found = match std::fs::metadata(path) {
            Ok(found) => found,
            Err(error) => return self.complain(format!("stat file {} failed: {error}", path.display())),
        };
        if path.file_name().is_none_or(|name| name.to_str().is_none_or(|name| name.starts_with('.'))) {
            return;
        }
        if found.is_dir() {
            self.traverse(world, path);
        } else if found.file_type().is_socket() {
            world.appearances += 1;
            world.desired.insert(path.to_owned(), world.appearances);
            self.saw(Sight::Created);
        }
    }

    fn reconcile(&self, world: &mut World) {
        let known: Vec<_> = world.actual.clone().into_iter().collect();
        for (path, (appearance, driver)) in known {
            if world.desired.get(&path) != Some(&appearance) {
                world.actual.remove(&path);
                self.lock().registered.remove(&driver);
                self.saw(Sight::Forgotten);
            }
        }
        for (path, appearance) in world.desired.clone() {
            let waits = world.backoff.get(&path).is_some_and(|(since, pause)| since.elapsed() <= *pause);
            if waits || world.actual.contains_key(&path) {
                continue;
            }
            match self.register(&path) {
                Ok(driver) => {
                    world.backoff.remove(&path);
                    world.actual.insert(path, (appearance, driver));
                }
                Err(sight) => {
                    let last = world.backoff.get(&path).map(|(_, pause)| *pause);
                    let pause = last.map_or(FIRST_BACKOFF, |pause| (pause * 2).min(LAST_BACKOFF));
                    world.backoff.insert(path, (Instant::now(), pause));
                    self.saw(sight);
                }
            }
        }
    }

    fn register(&self, path: &Path) -> Result<String, Sight> {
        let channel = self.dial(path)?;
        let failed = |status: rpc::status::Status| Sight::Failed(status.to_string());
        let info: pb::PluginInfo = channel
            .call(GET_INFO, &pb::InfoRequest::default(), Deadline::after(Duration::from_secs(1)))
            .map_err(failed)?;
        self.saw(Sight::Introduced(info.clone()));
        if let Err(reason) = self.validate(&info) {
            return Err(self.tell(&channel, Some(format!("RegisterPlugin error -- {reason}"))));
        }
        let endpoint =
            if info.endpoint.is_empty() { path.display().to_string() } else { info.endpoint.clone() };
        self.lock().registered.insert(info.name.clone(), endpoint.clone());
        if let Err(reason) = self.node_info(&endpoint) {
            self.lock().registered.remove(&info.name);
            let reason = format!("RegisterPlugin error -- plugin registration failed with err: {reason}");
            return Err(self.tell(&channel, Some(reason)));
        }
        match self.tell(&channel, None) {
            Sight::Accepted => {
                self.saw(Sight::Accepted);
                Ok(info.name)
            }
            failed => {
                self.lock().registered.remove(&info.name);
                Err(failed)
            }
        }
    }

    /// Connects as kubelet does, which tries for ten seconds.
    fn dial(&self, path: &Path) -> Result<Channel, Sight> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Ok(Channel::to_socket(&self.environment, path, 4 << 20)),
                Err(error) if Instant::now() >= until => return Err(Sight::Failed(error.to_string())),
                Err(_) => std::thread::sleep(ROUND),
            }
        }
    }

    fn validate(&self, info: &pb::PluginInfo) -> Result<(), String> {
        let mut state = self.lock();
        if info.type_ != "CSIPlugin" {
            return Err(format!("no handler registered for plugin type: {}", info.type_));
        }
        if !state.refusals.is_empty() {
            return Err(state.refusals.remove(0));
        }
        let is_supported = |version: &String| {
            let parts: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
            parts.len() == 3 && parts.iter().all(Result::is_ok) && parts[0] == Ok(1)
        };
        if !info.supported_versions.iter().any(is_supported) {
            return Err("None of the versions specified are supported".to_owned());
        }
        if state.registered.contains_key(&info.name) {
            return Err("Another driver with the same name is already registered".to_owned());
        }
        Ok(())
    }

    fn node_info(&self, endpoint: &str) -> Result<(), String> {
        let socket = (self.resolve)(endpoint);
        // Kubelet's client waits for nobody.
        if let Err(error) = std::os::unix::net::UnixStream::connect(&socket) {
            return Err(format!(
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
                 dial unix {endpoint}: connect: {error}\""
            ));
        }
        let channel = Channel::to_socket(&self.environment, &socket, 4 << 20);
        let request = csi::NodeGetInfoRequest::default();
        let deadline = Deadline::after(Duration::from_secs(120));
        let answer: csi::NodeGetInfoResponse = channel
            .call("/csi.v1.Node/NodeGetInfo", &request, deadline)
            .map_err(|status| status.to_string())?;
        self.saw(Sight::Node(answer.node_id.clone()));
        if answer.node_id.is_empty() {
            return Err("error adding CSI driver node info: driverNodeID must not be empty".to_owned());
        }
        Ok(())
    }

    /// Tells the driver, and what came of it.
    fn tell(&self, channel: &Channel, error: Option<String>) -> Sight {
        let told = if error.is_none() { Sight::Accepted } else { Sight::Refused };
        let status = pb::RegistrationStatus {
            plugin_registered: error.is_none(),
            error: error.unwrap_or_default(),
            ..Default::default()
        };
        let deadline = Deadline::after(Duration::from_secs(5));
        match channel.call::<_, pb::RegistrationStatusResponse>(NOTIFY, &status, deadline) {
            Ok(_) => told,
            Err(status) => Sight::Failed(status.to_string()),
        }
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// The method that asks a plugin who it is.
pub const GET_INFO: &str = "/pluginregistration.Registration/GetInfo";
/// The method that tells a plugin whether it is registered.
pub const NOTIFY: &str = "/pluginregistration.Registration/NotifyRegistrationStatus";

/// Kubelet's is a second.
const ROUND: Duration = Duration::from_millis(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(122);
