//! One node as in a cluster: the driver as a process, an API server double over TLS, providers that come back when they
//! go, and classes of many kinds.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rpc::pb::provider as pb;
use rpc::status::{Code, Status};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chance::place;
use crate::ledger::{Ledger, locked};
use crate::process::Process;
use crate::store::Store;
use api_server::{ApiServer, Settings};
use crash::content::{SMALL, State};
use crash::copy::SECRET_ITEMS;
use kit::driver::{DriverProcess, program};
use kit::kubelet::Kubelet;
use kit::mirror::{Mirror, object, reference};
use kit::objects;
use kit::provider::ScriptedProvider;
use kit::random::Random;
use kit::world::{Pod, World};

/// The node.
pub struct Stage {
    // Before the world, so that nothing serves into a directory that is being removed.
    pub providers: Vec<Provider>,
    pub mirror: Mirror,
    pub store: Arc<Store>,
    pub ledger: Ledger,
    pub driver: Process,
    pub mounter: Process,
    /// Where the driver's metrics are.
    pub metrics: String,
    classes: Vec<Arc<Class>>,
    random: Mutex<Random>,
    /// Authority and token, for the driver.
    _api_files: TempDir,
}

/// A provider that restarts.
pub struct Provider {
    name: String,
    server: Mutex<Option<ScriptedProvider>>,
    /// How often it has gone or come back: odd while it is away.
    turns: AtomicU64,
}

/// What a pod asks for.
pub struct Class {
    pub name: String,
    /// Position of its provider.
    provider: usize,
    /// The Secret that it asks for.
    pub secret: Option<String>,
    /// What its pods belong to.
    owner: Option<Value>,
    /// Made for one pod, with which it goes.
    is_of_one_pod: bool,
}

impl Stage {
    /// Sets the stage and starts the driver.
    pub fn set(random: &mut Random) -> Stage {
        let mut world = World::without_driver(&FLAGS);
        world.api = ApiServer::with(Settings { tls: true, token: Some(TOKEN.to_owned()) }).into();
        let api_files = tempfile::tempdir().expect("a temporary directory");
        for (flag, name, text) in [
            ("--kube-ca-file", "ca.pem", world.api.ca_pem()),
            ("--kube-token-file", "token", TOKEN.to_owned()),
        ] {
            let file = api_files.path().join(name);
            std::fs::write(&file, text).expect("the directory takes a file");
            world.add_flags(&[&format!("{flag}={}", file.display())]);
        }
        let mut mirror = Mirror::of(world);
        let mut command =
            vec![ONE_HEAP.to_owned(), program("secrets-store-csi-driver").display().to_string()];
        command.extend(mirror.world.arguments());
        mirror.world.start_driver_as(DriverProcess::spawn(Path::new("env"), &command));
        let driver = Process::of(mirror.world.driver().id()).expect("the driver runs");
        let mounter = match driver.children().as_slice() {
            [mounter] => *mounter,
            others => panic!("the driver has not one child but {others:?}"),
        };
        let metrics = mirror.world.metrics_address();
        let store = Arc::new(Store::default());
        let mut stage = Stage {
            providers: Vec::new(),
            mirror,
            store,
            ledger: Ledger::default(),
            driver,
            mounter,
            metrics,
            classes: Vec::new(),
            random: Mutex::new(random.fork()),
            _api_files: api_files,
        };
        for name in PROVIDERS {
            let server = Mutex::new(Some(stage.serve(name)));
            stage.providers.push(Provider { name: name.to_owned(), server, turns: AtomicU64::new(0) });
        }
        stage.classes = (0..CLASSES).map(|number| stage.lasting_class(number)).collect();
        stage
    }

    /// The class of a new pod: mostly one that others use as well, now and then one of its own.
    pub fn class_for(&self, pod: &str, random: &mut Random) -> Arc<Class> {
        if !random.once_in(OWN_CLASS_ONCE_IN) {
            return Arc::clone(random.one_of(&self.classes));
        }
        let name = if random.once_in(2) { format!("{SMALL}-{pod}") } else { format!("of-{pod}") };
        let secret = random.once_in(2).then(|| format!("secret-{name}"));
        let provider = place(random, PROVIDERS.len());
        self.announce(Class { name, provider, secret, owner: None, is_of_one_pod: true })
    }

    /// A class of many pods. Their sizes and providers differ, half of them ask for a Secret, and some of those Secrets
    /// belong to a ReplicaSet, which lasts, the others to the pods that are there.
    fn lasting_class(&self, number: usize) -> Arc<Class> {
        let kind = if number.is_multiple_of(3) { SMALL } else { "class" };
        let name = format!("{kind}-{number}");
        let secret = number.is_multiple_of(2).then(|| format!("secret-{name}"));
        let owner = number.is_multiple_of(4).then(|| reference(&self.mirror.replica_set(&name)));
        let provider = number / 2 % PROVIDERS.len();
        self.announce(Class { name, provider, secret, owner, is_of_one_pod: false })
    }

    fn announce(&self, class: Class) -> Arc<Class> {
        let provider = PROVIDERS[class.provider];
        let mut object = objects::class("default", &class.name, provider, json!({"objects": class.name}));
        if let Some(secret) = &class.secret {
            object["spec"]["secretObjects"] = json!([self::object(secret, &SECRET_ITEMS)]);
        }
        self.store.add(&class.name);
        self.mirror.world.api.put(object);
        Arc::new(class)
    }

    /// A new pod of that class; kubelet has not called yet.
    pub fn pod(&self, name: &str, class: &Class, random: &mut Random) -> Pod {
        let owners: Vec<&Value> = class.owner.iter().collect();
        let mut pod = self.mirror.pod_with("default", name, &class.name, json!(owners));
        pod.group = random.once_in(3).then_some(GROUP);
        pod.secrets.insert("token".to_owned(), PUBLISH_SECRET.to_owned());
        pod
    }

    /// What kubelet and the API server do when a pod's volume is gone. Whatever is left in the directories is told.
    pub fn delete_pod(&self, pod: &Pod, class: &Class) -> Result<(), String> {
        pod.remove_directories()?;
        let api = &self.mirror.world.api;
        api.delete(&format!("/api/v1/namespaces/default/pods/{}", pod.name));
        if class.is_of_one_pod {
            api.delete(&objects::class_path("default", &class.name));
            self.store.remove(&class.name);
        }
        api.collect_garbage();
        Ok(())
    }

    /// What owns the Secrets that last goes.
    pub fn remove_owners(&self) {
        for owner in self.classes.iter().filter_map(|class| class.owner.as_ref()) {
            let name = owner["name"].as_str().expect("an owner has a name");
            self.mirror.world.api.delete(&format!("/apis/apps/v1/namespaces/default/replicasets/{name}"));
        }
        self.mirror.world.api.collect_garbage();
    }

    /// A connection of its own, as kubelet makes for every call. It is not tried again.
    pub fn kubelet(&self) -> Kubelet {
        Kubelet::impatient(&self.mirror.world.environment, &self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.mirror.world.path("csi/csi.sock")
    }

    /// The provider of a class.
    pub fn provider(&self, class: &Class) -> &Provider {
        &self.providers[class.provider]
    }

    /// A provider goes and comes back. One that crashes leaves its socket behind, on which nobody listens then.
    pub fn restart(&self, provider: &Provider, is_crash: bool, away: Duration) {
        provider.turns.fetch_add(1, Ordering::SeqCst);
        let mut server = locked(&provider.server);
        let mut former = server.take().expect("it serves");
        if !is_crash {
            // Whoever removes it first is right; the library may have done so.
            drop(std::fs::remove_file(former.socket()));
        }
        former.stop();
        drop(former);
        thread::sleep(away);
        *server = Some(self.serve(&provider.name));
        drop(server);
        provider.turns.fetch_add(1, Ordering::SeqCst);
        self.ledger.restarts.add();
    }

    fn serve(&self, name: &str) -> ScriptedProvider {
        let (store, random) = (Arc::clone(&self.store), Mutex::new(locked(&self.random).fork()));
        self.mirror.world.provider(name, move |request| {
            let pause = locked(&random).moment(SLOWEST_ANSWER);
            thread::sleep(pause);
            let class = class_of(&request);
            let number = store.number(&class);
            let number = number.ok_or_else(|| Status::new(Code::NotFound, format!("no class {class}")))?;
            Ok(State { pod: class, number }.answer())
        })
    }
}

impl Provider {
    /// To be handed to [`Provider::was_away_since`].
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    /// True when it was not there all the time since it had made that many turns.
    pub fn was_away_since(&self, turns: u64) -> bool {
        turns != self.turns() || !turns.is_multiple_of(2)
    }
}

fn class_of(request: &pb::MountRequest) -> String {
    let attributes: Value = serde_json::from_str(&request.attributes).expect("attributes are JSON");
    attributes["objects"].as_str().expect("a class says what it wants").to_owned()
}

/// Glibc gives threads heaps of their own, eight for each processor, and each of them keeps what it once needed: with
/// workers that come and go, that takes many waves to come to an end. The C library that ships has one heap.
const ONE_HEAP: &str = "MALLOC_ARENA_MAX=1";
/// Volumes are due after a second, or up to a tenth more.
const FLAGS: [&str; 2] = ["--enable-secret-rotation", "--rotation-poll-interval=1s"];
/// After so long every volume is due.
pub const ALL_ARE_DUE: Duration = Duration::from_millis(1200);
/// What kubelet passes on from a pod's Secret; nobody says it aloud.
pub const PUBLISH_SECRET: &str = "canary-node-publish-secret-7d1f";
const TOKEN: &str = "canary-bearer-token-93be";
/// Nobody says these aloud either.
pub const CANARIES: [&str; 2] = [PUBLISH_SECRET, TOKEN];
const PROVIDERS: [&str; 3] = ["north", "east", "south"];
const CLASSES: usize = 12;
const OWN_CLASS_ONCE_IN: u64 = 4;
const GROUP: u32 = 4711;
const SLOWEST_ANSWER: Duration = Duration::from_millis(4);
