//! Calls to one provider.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use base::secret::SecretString;
use base::semaphore::Permit;
use rpc::Environment;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::provider as pb;
use rpc::status::{Code, Status};
use sys::socket::SocketId;

use super::answer::{AnswerError, MountResponse};
use super::answer_memory::{AnswerMemory, Share};
use super::calls::{Caller, Calls, Full};
use super::intake::{Intake, Size};
use super::name::ProviderName;
use super::registry::CallLimits;
use super::socket::ProviderSocket;

/// One provider behind one socket.
pub struct Provider {
    name: ProviderName,
    /// Dropped before the socket, which has to outlive it.
    channel: Channel,
    /// The thread that waits for its connection, kept for as long as a provider of this name is known.
    environment: Environment,
    socket: ProviderSocket,
    /// The last call found nobody: look again before the next.
    was_absent: AtomicBool,
    calls: Arc<Calls>,
    intake: Intake,
    limits: CallLimits,
    /// For the answers of all providers.
    memory: AnswerMemory,
}

/// An answer in hand.
pub struct Answered {
    /// What it says.
    pub response: MountResponse,
    /// Its share of the memory for answers, to be dropped when the content is written.
    pub share: Share,
}

/// What a provider is asked for.
pub struct MountRequest {
    /// For whom.
    pub caller: Caller,
    /// JSON object of strings: the class's parameters, the pod's attributes, service account tokens.
    pub attributes: SecretString,
    /// JSON object of strings, or `null`: the Secret that the pod's volume refers to.
    pub secrets: SecretString,
    /// Where the volume is on the host.
    pub target_path: String,
}

impl Provider {
    pub(super) fn new(
        environment: Environment,
        name: ProviderName,
        socket: ProviderSocket,
        calls: Arc<Calls>,
        limits: CallLimits,
        memory: AnswerMemory,
    ) -> Provider {
        let channel = Channel::to_socket(&environment, &socket.address(), limits.channel_bytes());
        Provider {
            name,
            channel,
            environment,
            socket,
            was_absent: AtomicBool::new(false),
            calls,
            intake: Intake::new(),
            limits,
            memory,
        }
    }

    /// True when the next call may be made to `socket` without another look.
    pub(super) fn is_good(&self, socket: &Path, id: SocketId) -> bool {
        self.is_at(socket, id) && !self.was_absent.load(Ordering::Relaxed)
    }

    /// True when this is the provider behind that very socket.
    pub(super) fn is_at(&self, socket: &Path, id: SocketId) -> bool {
        self.socket.path() == socket && self.socket.id() == id
    }

    /// Another look has shown that it listens: what was unavailable was something behind it.
    pub(super) fn is_there(&self) {
        self.was_absent.store(false, Ordering::Relaxed);
    }

    pub(super) fn environment(&self) -> Environment {
        self.environment.clone()
    }

    pub(super) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// The provider's name.
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// Asks for the content of a volume, once. A provider that has its fill of calls is not asked, and one that has its
    /// fill of those of a class is asked when one of them has ended.
    ///
    /// Nothing of an answer is taken in before there is room for it: a few of a provider's answers at a time, and of all
    /// providers' no more than fit into the memory that is set aside. So a call waits, until its deadline, where the
    /// process would die. One that hangs holds none of this: it waits for a turn only once its answer begins.
    pub fn mount(&self, request: &MountRequest, deadline: Deadline) -> Result<Answered, CallError> {
        let full = |full| CallError::Full { provider: self.name.clone(), full };
        let _place = self.calls.enter(&request.caller, deadline).map_err(full)?;
        let mut message = pb::MountRequest {
            attributes: request.attributes.expose().to_owned(),
            secrets: request.secrets.expose().to_owned(),
            target_path: request.target_path.clone(),
            permission: PERMISSION.to_owned(),
            // Without the versions that the volume holds, as upstream calls: a provider that is sent them may answer
            // from what it finds in the volume, and objects that left the class would stay.
            ..pb::MountRequest::default()
        };
        let class = &*request.caller.to_string();
        let mut answered = match self.intake.expected(class) {
            Size::Excessive => self.call_alone(class, &message, deadline),
            Size::Unknown | Size::Small | Size::Large => {
                let turn = || self.intake.turn(class, || deadline.is_past());
                self.call(&self.channel, turn, class, &message, deadline)
            }
        };
        if let Err(CallError::Failed(status)) = &answered
            && is_out_of_buffers(status)
        {
            answered = self.call_alone(class, &message, deadline);
        }
        message.attributes.zeroize();
        message.secrets.zeroize();
        answered
    }

    fn call(
        &self,
        channel: &Channel,
        turn: impl FnOnce() -> Option<Permit>,
        class: &str,
        message: &pb::MountRequest,
        deadline: Deadline,
    ) -> Result<Answered, CallError> {
        // Not waiting for anybody to listen here: a provider that restarts does so on another file.
        let answer = channel.begin_if_present(MOUNT, message, deadline);
        let answer = answer.map_err(|status| self.failed(status, deadline))?;
        let gave_up = || CallError::Failed(crowded(&self.name));
        let turn = RefCell::new(Some(turn().ok_or_else(gave_up)?));
        // Some providers begin an answer long before they have it: nobody waits for that in the line behind.
        let received = answer.receive_patiently(TURN, || drop(turn.take()));
        let mut message = received.map_err(|status| self.failed(status, deadline))?;
        self.was_absent.store(false, Ordering::Relaxed);
        let bytes = u64::try_from(message.size()).unwrap_or(u64::MAX);
        let in_memory = self.memory.has_read(bytes);
        self.intake.learn(class, Size::of(bytes));
        if bytes > self.limits.answer_bytes.unsigned_abs().into() {
            return Err(CallError::Failed(self.too_large(bytes)));
        }
        let share = self.memory.share(in_memory, || deadline.is_past()).ok_or_else(gave_up)?;
        let response = MountResponse::decode(message.reader(), bytes).map_err(unreadable)?;
        Ok(Answered { response, share })
    }

    /// Makes a call on a connection of its own.
    ///
    /// Where the buffers of a connection are full, the library ends one of its calls by chance, and that may be another
    /// one than the one whose answer is too large. Alone, each is judged by its own answer.
    fn call_alone(
        &self,
        class: &str,
        message: &pb::MountRequest,
        deadline: Deadline,
    ) -> Result<Answered, CallError> {
        let channel =
            Channel::to_socket(&self.environment, &self.socket.address(), self.limits.channel_bytes());
        let turn = || self.intake.turn_alone(|| deadline.is_past());
        match self.call(&channel, turn, class, message, deadline) {
            Err(CallError::Failed(status)) if is_out_of_buffers(&status) => {
                self.intake.learn(class, Size::Excessive);
                let bytes = u64::from(self.limits.answer_bytes.unsigned_abs()) * 2;
                Err(CallError::Failed(self.too_large(format_args!("more than {bytes}"))))
            }
            answered => answered,
        }
    }

    fn failed(&self, status: Status, deadline: Deadline) -> CallError {
        self.was_absent.store(status.code == Code::Unavailable, Ordering::Relaxed);
        CallError::Failed(self.explain(status, deadline))
    }

    /// Asks for the provider's version: does it answer at all?
    pub fn version(&self, deadline: Deadline) -> Result<String, Status> {
        let request = pb::VersionRequest { version: API_VERSION.to_owned(), ..pb::VersionRequest::default() };
        let answer: pb::VersionResponse = self.channel.call(VERSION, &request, deadline)?;
        Ok(answer.runtime_version)
    }

    /// Says what to do where the library's own words don't. A provider's word stays as it is, also where it has the
    /// same code or the same words: it is about calls and limits of the provider's own. The library does not tell the two
    /// apart, so what happened does.
    fn explain(&self, status: Status, deadline: Deadline) -> Status {
        match status.code {
            Code::ResourceExhausted => match self.limits.excess(&status.message) {
                Some(bytes) => self.too_large(bytes),
                None => status,
            },
            Code::DeadlineExceeded if deadline.at_most() < ALMOST_PAST => Status::new(
                status.code,
                format!(
                    "provider \"{}\" at {} gave no answer in time: {}",
                    self.name,
                    self.socket.path().display(),
                    status.message
                ),
            ),
            _ => status,
        }
    }

    fn too_large(&self, bytes: impl fmt::Display) -> Status {
        let most = self.limits.answer_bytes;
        Status::new(
            Code::ResourceExhausted,
            format!(
                "grpc: received message larger than max ({bytes} vs. {most}): raise --max-call-recv-msg-size (now \
                 {most} bytes) and the driver's memory limit, or mount fewer objects in one volume"
            ),
        )
    }
}

impl CallLimits {
    /// The limit that the library is given. It is a byte more than what is allowed, and so a number that no provider
    /// has for a limit of its own: by it the library's refusal of an answer is told from a provider's refusal of a
    /// request, or of what its store sent it.
    fn channel_bytes(self) -> i32 {
        self.answer_bytes.saturating_add(1)
    }

    /// The size of the answer that the library refused because of this limit, if that is what it says.
    fn excess(self, message: &str) -> Option<u64> {
        let sizes = message.strip_prefix("Received message larger than max (")?.strip_suffix(')')?;
        let (bytes, most) = sizes.split_once(" vs. ")?;
        (most.parse() == Ok(self.channel_bytes())).then_some(bytes.parse().ok()?)
    }
}

/// True for the library's word on a call that it ended for want of buffers.
fn is_out_of_buffers(status: &Status) -> bool {
    status.code == Code::ResourceExhausted && status.message == OUT_OF_BUFFERS
}

/// Nothing was wrong with the call but that too many others came with it: kubelet tries again.
fn crowded(provider: &ProviderName) -> Status {
    Status::new(
        Code::Unavailable,
        format!("the answer of provider \"{provider}\" waited for the answers of others until the deadline"),
    )
}

fn unreadable(error: AnswerError) -> CallError {
    let code = match error {
        AnswerError::Malformed => Code::Internal,
        AnswerError::TooManyEntries => Code::ResourceExhausted,
    };
    CallError::Failed(Status::new(code, error.to_string()))
}

/// Why a provider gave no content.
#[derive(Debug)]
pub enum CallError {
    /// The call was made and failed.
    Failed(Status),
    /// As many calls as allowed are in hand; this one was not made.
    Full {
        /// The provider.
        provider: ProviderName,
        /// Whose calls they are.
        full: Full,
    },
}

impl CallError {
    /// True when trying again in a second may help: the provider is restarting.
    pub fn may_pass(&self) -> bool {
        matches!(self, CallError::Failed(status) if status.code == Code::Unavailable)
    }

    /// The gRPC code that kubelet gets to see.
    pub fn code(&self) -> Code {
        match self {
            CallError::Failed(status) => status.code,
            CallError::Full { .. } => Code::Unavailable,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Failed(status) => status.fmt(f),
            CallError::Full { provider, full } => {
                write!(f, "provider \"{provider}\" has {full}; see whether it answers")
            }
        }
    }
}

impl std::error::Error for CallError {}

/// The one retry rule: an attempt that fails in a way that `may_pass` is made again, three times in all, about a
/// second apart, as long as the caller waits.
pub fn with_retries<T, E: fmt::Display>(
    deadline: Deadline,
    mut attempt: impl FnMut() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for delay in DELAYS {
        match attempt() {
            Err(error) if may_pass(&error) => {
                log::debug!(error:% = error; "provider is unavailable, trying again");
                if !sleep_unless_past(jittered(delay), deadline) {
                    return Err(error);
                }
            }
            ended => return ended,
        }
    }
    attempt()
}

/// Up to a fifth less, so that the callers that one outage hit don't come back in step.
fn jittered(delay: Duration) -> Duration {
    let noise = u32::try_from(RandomState::new().hash_one(delay) % 1000).unwrap_or(0);
    delay - delay / 5 * noise / 1000
}

/// Sleeps; false as soon as the deadline is past.
pub(super) fn sleep_unless_past(delay: Duration, deadline: Deadline) -> bool {
    let until = Instant::now() + delay;
    loop {
        if deadline.is_past() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "a caller's deadline is no condition to wait on")]
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// The largest answers take a fraction of it. Who needs longer goes on without a turn, within the library's buffers.
const TURN: Duration = Duration::from_millis(100);
const OUT_OF_BUFFERS: &str = "Buffers full";
/// The library's clock for deadlines counts in milliseconds.
const ALMOST_PAST: Duration = Duration::from_millis(50);
const MOUNT: &str = "/v1alpha1.CSIDriverProvider/Mount";
const VERSION: &str = "/v1alpha1.CSIDriverProvider/Version";
const API_VERSION: &str = "v1alpha1";
/// File mode 0644 as a decimal number in JSON, the only value that is ever sent.
const PERMISSION: &str = "420";
/// Before the second attempt and before the third.
const DELAYS: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(1100)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_refusal_is_told_from_a_providers_by_its_limit() {
        let limits = CallLimits { answer_bytes: 4_194_304, concurrent: 1 };
        let rows = [
            ("Received message larger than max (5242910 vs. 4194305)", Some(5_242_910)),
            ("Received message larger than max (5242910 vs. 4194304)", None),
            ("Received message larger than max", None),
            ("store: Received message larger than max (5242910 vs. 4194305)", None),
            ("grpc: received message larger than max (5242910 vs. 4194305)", None),
        ];
        for (message, excess) in rows {
            assert_eq!(limits.excess(message), excess, "{message}");
        }
    }
}
