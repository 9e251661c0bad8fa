//! The driver's registration with kubelet: what a node-driver-registrar does elsewhere, in this process.
//!
//! Kubelet watches a directory. For a socket that appears there it asks the Registration [`service`](self) who it is,
//! calls NodeGetInfo on the endpoint that it is told, notes the driver on the API server's CSINode, and tells the
//! service what came of it. It forgets the driver when the file goes. One thread keeps the socket: it makes it, hears
//! what kubelet says, and makes it again when kubelet refused, or somebody removed or replaced the file; when, decide
//! the `attempts`.
//!
//! Whether kubelet knows the driver shows in `/readyz` and a gauge, never in `/healthz`: a restart mends nothing here
//! and would interrupt volumes that are fine. Nothing here knows what the driver serves on its CSI socket.

mod attempts;
mod refusal;
mod service;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base::panics;
use metrics::Metrics;
use rpc::Environment;
use rpc::quick::QuickServer;
use sys::at::SysError;
use sys::socket::{self, SocketError};
use web::health::{Latch, Readiness};

use attempts::{Attempts, Due, News, Verdict};
use service::Introduction;

/// What the driver registers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kubelet's directory of plugins, as this process sees it.
    pub directory: PathBuf,
    /// The driver's name.
    pub driver: String,
    /// Path of the CSI socket, as kubelet sees it.
    pub endpoint: String,
}

/// A registration that may begin. From now on `/readyz` waits for it.
pub struct Registrar {
    socket: PathBuf,
    introduction: Introduction,
    standing: Standing,
}

impl Registrar {
    /// Looks whether the socket can be where kubelet looks for it. Makes nothing yet.
    ///
    /// # Errors
    /// The directory is missing, or something that is no socket has the name.
    pub fn new(
        settings: Settings,
        readiness: Readiness,
        metrics: Arc<Metrics>,
    ) -> Result<Registrar, RegistrationError> {
        let Settings { directory, driver, endpoint } = settings;
        let socket = directory.join(format!("{driver}{SOCKET_SUFFIX}"));
        if socket.as_os_str().len() > socket::MAX_PATH_BYTES {
            return Err(RegistrationError::LongPath { path: socket });
        }
        if !socket::is_directory(&directory).map_err(RegistrationError::Directory)? {
            return Err(RegistrationError::NoDirectory { path: directory });
        }
        socket::is_taken(&socket).map_err(RegistrationError::Socket)?;
        let standing = Standing { readiness, metrics, latch: None };
        let mut registrar =
            Registrar { socket, introduction: Introduction { name: driver, endpoint }, standing };
        registrar.standing.set(false);
        Ok(registrar)
    }

    /// Begins; call this once the CSI socket answers, since kubelet calls it at once.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self, environment: &Environment) -> io::Result<Registration> {
        let (tell, told) = sync_channel(WAITING_MESSAGES);
        let keeper = Keeper {
            socket: self.socket,
            introduction: self.introduction,
            standing: self.standing,
            environment: environment.clone(),
            attempts: Attempts::new(Instant::now()),
            server: None,
            tell: tell.clone(),
        };
        let thread = thread::Builder::new()
            .name("registration".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || keeper.run(&told))?;
        Ok(Registration { tell, thread: Some(thread) })
    }
}

/// A registration that is kept until this is dropped.
pub struct Registration {
    tell: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Registration {
    /// Takes the socket away, so that kubelet calls no more, and returns when it is gone.
    pub fn stop(self) {}
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The thread listens until it hears this.
        _ = self.tell.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            panics::joined(thread.join());
        }
    }
}

/// For the keeper.
enum Message {
    /// What the service on the socket of that number heard.
    News { socket: u64, news: News },
    /// The driver stops.
    Stop,
}

/// What others see of the registration: the gauge, and whether readiness is held back.
struct Standing {
    readiness: Readiness,
    metrics: Arc<Metrics>,
    latch: Option<Latch>,
}

impl Standing {
    fn set(&mut self, is_registered: bool) {
        self.metrics.kubelet_registered(is_registered);
        if is_registered {
            self.latch = None;
        } else if self.latch.is_none() {
            self.latch = Some(self.readiness.latch("kubelet's registration"));
        }
    }
}

/// Keeps the socket.
struct Keeper {
    socket: PathBuf,
    introduction: Introduction,
    standing: Standing,
    environment: Environment,
    attempts: Attempts,
    server: Option<QuickServer>,
    tell: SyncSender<Message>,
}

impl Keeper {
    fn run(mut self, told: &Receiver<Message>) {
        loop {
            let wait = match self.attempts.due(Instant::now()) {
                Due::Make { socket } => {
                    self.make(socket);
                    continue;
                }
                Due::Complain { was_asked } => {
                    self.complain(was_asked);
                    continue;
                }
                Due::Nothing { left } => left.map_or(LOOK_INTERVAL, |left| left.min(LOOK_INTERVAL)),
            };
            match told.recv_timeout(wait) {
                Ok(Message::Stop) => break,
                Ok(Message::News { socket, news }) => self.hear(socket, &news),
                // The keeper has a sender itself, so that nobody but time can end the wait otherwise.
                Err(_) => self.look(),
            }
        }
        self.withdraw();
    }

    fn make(&mut self, number: u64) {
        let methods = service::methods(self.introduction.clone(), number, self.tell.clone());
        match QuickServer::start(&self.environment, &self.socket, methods) {
            Ok(server) => {
                self.server = Some(server);
                self.attempts.made(Instant::now());
                log::info!(socket:% = self.socket.display(), endpoint = self.introduction.endpoint;
                    "waiting for kubelet to register the driver");
            }
            Err(error) => {
                let pause = self.attempts.led_to_nothing(Instant::now());
                log::warn!(error:% = error, retry_seconds = pause.as_secs();
                    "could not make the socket by which kubelet registers the driver");
            }
        }
    }

    fn hear(&mut self, socket: u64, news: &News) {
        match (self.attempts.heard(Instant::now(), socket, news), news) {
            (Verdict::Same, News::Asked) => log::debug!("kubelet asks who the driver is"),
            (Verdict::Same, News::Accepted) => log::debug!("kubelet registered the driver again"),
            (Verdict::Registered, _) => {
                log::info!(driver = self.introduction.name, endpoint = self.introduction.endpoint;
                "kubelet registered the driver")
            }
            (Verdict::Refused { pause }, News::Refused { text }) => {
                log::warn!(kubelet_says = text.as_str(), endpoint = self.introduction.endpoint,
                    retry_seconds = pause.as_secs();
                    "kubelet did not register the driver: {}", refusal::advice(text));
                self.withdraw();
            }
            // Of a socket that is gone.
            (Verdict::Same | Verdict::Refused { .. }, _) => {}
        }
        self.standing.set(self.attempts.is_registered());
    }

    /// Makes the socket again when its file is gone: kubelet then has forgotten the driver.
    fn look(&mut self) {
        let Some(server) = &self.server else { return };
        match server.is_in_place() {
            Ok(true) => {}
            Ok(false) => {
                let pause = self.attempts.led_to_nothing(Instant::now());
                log::warn!(socket:% = self.socket.display(), retry_seconds = pause.as_secs();
                    "somebody removed or replaced the registration socket, making it again: no other pod on this \
                     node should register this driver, nor a node-driver-registrar beside this one");
                self.withdraw();
                self.standing.set(false);
            }
            Err(error) => log::warn!(error:% = error; "could not look after the registration socket"),
        }
    }

    fn complain(&self, was_asked: bool) {
        if was_asked {
            log::warn!(endpoint = self.introduction.endpoint;
                "kubelet has asked for the driver but not decided: it may be waiting for the API server, or for the \
                 endpoint, which has to be the path of the CSI socket on the node");
        } else {
            log::warn!(directory:% = self.socket.parent().unwrap_or(Path::new("")).display();
                "kubelet has not asked for the driver: --kubelet-registration-dir has to be the directory \
                 plugins_registry of the kubelet that runs here");
        }
    }

    fn withdraw(&mut self) {
        let Some(server) = self.server.take() else { return };
        if let Err(error) = server.stop(STOP_PATIENCE) {
            log::warn!(error:% = error; "could not remove the registration socket");
        }
    }
}

/// Why the driver cannot be registered.
#[derive(Debug)]
pub enum RegistrationError {
    /// The directory cannot be looked at.
    Directory(SysError),
    /// The socket's path would be longer than the kernel takes.
    LongPath {
        /// The path.
        path: PathBuf,
    },
    /// There is no such directory.
    NoDirectory {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The socket's place is not fit for it.
    Socket(SocketError),
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistrationError::Directory(error) => {
                write!(f, "could not look at --kubelet-registration-dir: {error}")
            }
            RegistrationError::LongPath { path } => write!(
                f,
                "the path of a socket has at most {} bytes, and {} is longer: mount \
                 --kubelet-registration-dir at a shorter path",
                socket::MAX_PATH_BYTES,
                path.display()
            ),
            RegistrationError::NoDirectory { path } => write!(
                f,
                "--kubelet-registration-dir {} is not a directory: mount kubelet's directory plugins_registry \
                 there, or leave the flag out where a node-driver-registrar registers the driver",
                path.display()
            ),
            RegistrationError::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RegistrationError {}

/// What a file in kubelet's directory is called that belongs to a driver.
const SOCKET_SUFFIX: &str = "-reg.sock";
/// A handful of calls makes up a registration.
const WAITING_MESSAGES: usize = 16;
/// How often the socket's file is looked after.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// An answer in hand takes no time; kubelet shall get it.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
const STACK_BYTES: usize = 256 * 1024;
