//! One node: API server double, a provider whose secrets change at every call, classes that ask for Secrets, and the
//! driver's program.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::board::{Board, Event, locked};
use crash::content::State;
use crash::copy::SECRET_ITEMS;
use kit::PATIENCE;
use kit::driver::{DriverProcess, program};
use kit::kubelet::Kubelet;
use kit::mirror::{Mirror, object, reference};
use kit::random::Random;
use kit::scene::ALWAYS as EVERY_CALL;
use kit::world::{Pod, World};

/// How the provider answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Sooner or later, and now and then with what it answered before.
    OfMoods,
    /// At once, and each time with the next state.
    Steady,
}

/// The node without its driver, which has many lives.
pub struct Stage {
    pub mirror: Mirror,
    /// Which state each pod was given last.
    pub states: Arc<Mutex<HashMap<String, u64>>>,
    /// The provider's secrets change no more.
    pub is_frozen: Arc<AtomicBool>,
}

impl Stage {
    /// Sets the stage; the provider tells `board` when it is called.
    pub fn set(board: &Arc<Board>, classes: usize, provider: Provider, random: &mut Random) -> Stage {
        let mut world = World::without_driver(&EVERY_CALL);
        std::fs::create_dir(world.path(REGISTRY)).expect("an empty directory takes another");
        world.add_flags(&[&format!("--kubelet-registration-dir={}", world.path(REGISTRY).display())]);
        let mirror = Mirror::of(world);
        let states = Arc::new(Mutex::new(HashMap::new()));
        let is_frozen = Arc::new(AtomicBool::new(false));
        let (board, numbers, frozen) = (Arc::clone(board), Arc::clone(&states), Arc::clone(&is_frozen));
        let random = Mutex::new(random.fork());
        mirror.provider.script(move |request| {
            board.happens(Event::ProviderCalled);
            let is_lively = provider == Provider::OfMoods;
            let (pause, is_same) = {
                let mut random = locked(&random);
                (random.moment(SLOWEST_ANSWER), is_lively && random.once_in(4))
            };
            if is_lively {
                thread::sleep(pause);
            }
            let pod = pod_name(&request.attributes);
            let mut numbers = locked(&numbers);
            let number = numbers.entry(pod.clone()).or_insert(0);
            if *number == 0 || !(is_same || frozen.load(Ordering::SeqCst)) {
                *number += 1;
            }
            let state = State { pod, number: *number };
            drop(numbers);
            let answer = state.answer();
            board.happens(Event::ProviderAnswers);
            Ok(answer)
        });
        for class in 0..classes {
            mirror.class(&class_name(class), json!([object(&secret_name(class), &SECRET_ITEMS)]));
            if is_owned(class) {
                mirror.replica_set(&class_name(class));
            }
        }
        Stage { mirror, states, is_frozen }
    }

    /// A new pod of that class; kubelet has not called yet. Some have a group, some belong to a ReplicaSet.
    pub fn pod(&self, class: usize, number: u64) -> Pod {
        self.pod_named(&format!("pod-{class}-{number}"), class)
    }

    /// The same with a name of its own.
    pub fn pod_named(&self, name: &str, class: usize) -> Pod {
        let owner = self.mirror.world.api.get(&replica_set_path(class));
        let owners: Vec<Value> = owner.iter().map(reference).collect();
        let pod = self.mirror.pod_with("default", name, &class_name(class), json!(owners));
        Pod { group: class.is_multiple_of(3).then_some(GROUP), ..pod }
    }

    /// What kubelet and the API server do when a pod's volume is gone. Whatever is left in the directories is told.
    pub fn delete_pod(&self, pod: &Pod) -> Result<(), String> {
        pod.remove_directories()?;
        self.mirror.world.api.delete(&format!("/api/v1/namespaces/default/pods/{}", pod.name));
        self.mirror.world.api.collect_garbage();
        locked(&self.states).remove(&pod.name);
        Ok(())
    }

    /// Starts the driver without waiting for it.
    pub fn spawn(&self) -> DriverProcess {
        DriverProcess::spawn(&driver_program(), &self.mirror.world.arguments())
    }

    /// Waits until it serves. The former life's socket is there still, but nobody listens on that.
    pub fn wait_until_up(&self, driver: &DriverProcess) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(self.socket()) {
                Ok(_) => break,
                Err(error) if Instant::now() > until => {
                    return Err(format!("the driver does not come up: {error}, log:\n{}", driver.log()));
                }
                Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {
                    thread::sleep(CONNECT_PAUSE);
                }
                Err(error) => return Err(format!("the driver's socket: {error}")),
            }
        }
        match self.kubelet().probe() {
            Ok(true) => Ok(()),
            other => Err(format!("the driver's probe: {other:?}, log:\n{}", driver.log())),
        }
    }

    /// A connection of its own, as kubelet makes for every call. It is not tried again.
    pub fn kubelet(&self) -> Kubelet {
        Kubelet::impatient(&self.mirror.world.environment, &self.socket())
    }

    pub fn socket(&self) -> PathBuf {
        self.mirror.world.path("csi/csi.sock")
    }
}

/// The program that is killed.
pub fn driver_program() -> PathBuf {
    program("secrets-store-csi-driver")
}

pub fn class_name(class: usize) -> String {
    format!("class-{class}")
}

pub fn secret_name(class: usize) -> String {
    format!("secret-{class}")
}

/// Every second class is of pods that a ReplicaSet owns, so that their Secret outlives each of them.
pub fn is_owned(class: usize) -> bool {
    !class.is_multiple_of(2)
}

pub fn replica_set_path(class: usize) -> String {
    format!("/apis/apps/v1/namespaces/default/replicasets/{}", class_name(class))
}

fn pod_name(attributes: &str) -> String {
    let attributes: Value = serde_json::from_str(attributes).expect("attributes are JSON");
    attributes["csi.storage.k8s.io/pod.name"].as_str().expect("kubelet tells the pod's name").to_owned()
}

/// Kubelet's directory of plugins in the world.
pub const REGISTRY: &str = "registry";
const GROUP: u32 = 4711;
const SLOWEST_ANSWER: Duration = Duration::from_millis(4);
const CONNECT_PAUSE: Duration = Duration::from_millis(1);
