//! A panic ends the process.
//!
//! Only a bug panics. A process that went on would lack a thread, or hold a state that was half changed, and would seem
//! to be well. One that ends is started again by kubelet, and what it had mounted outlives it. What ships is compiled to
//! abort; a build that unwinds, which tests run, is brought to do the same by [`end_the_process`]. So no code here
//! catches a panic, and no code asks whether another thread has panicked.

use std::panic::{self, PanicHookInfo};
use std::thread;

/// Has every panic of this process, in any of its threads, say where it was and end the process with SIGABRT.
pub fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        tell(info);
        #[expect(
            clippy::disallowed_methods,
            reason = "the state is wrong, and so would be what drops do with it"
        )]
        std::process::abort();
    }));
}

/// A panic's text may quote what it stumbled over, a secret among others. Only a text that stands in the source is told.
fn tell(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let text = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("its text may hold a secret");
    if log::log_enabled!(log::Level::Error) {
        log::error!(thread, place, text; "{TITLE}");
    } else {
        eprintln!("{TITLE}: thread {thread} at {place}: {text}");
    }
}

/// What a thread that was joined has returned. That it has panicked is seen in tests alone, and fails them.
pub fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

const TITLE: &str = "panicked; this is a bug of the program, please report it";
