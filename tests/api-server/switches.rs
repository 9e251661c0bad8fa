//! The switches of a running double: rights, watches, misbehaviour.

use std::net::Shutdown;
use std::time::Duration;

use super::faults::Fault;
use super::{ApiServer, Close, Matcher, Then, locked};

impl ApiServer {
    // -- rights --

    /// Refuses that verb on that resource with 403, such as `deny("list", "secrets")`; `*` stands for all. A watch
    /// that runs goes on.
    pub fn deny(&self, verb: &str, plural: &str) {
        locked(&self.shared.access).deny(verb, plural);
    }

    /// Takes a denial back, as it was given.
    pub fn allow(&self, verb: &str, plural: &str) {
        locked(&self.shared.access).allow(verb, plural);
    }

    // -- APIs --

    /// Serves OpenShift's own groups from now on.
    pub fn serve_openshift(&self) {
        locked(&self.shared.store).is_openshift = true;
    }

    // -- watches and history --

    /// Forgets all changes so far: watches and lists of earlier versions, and continue tokens, get 410.
    pub fn forget_history(&self) {
        locked(&self.shared.store).forget_history();
    }

    /// Ends every watch as if its time were up.
    pub fn end_watches(&self) {
        locked(&self.shared.watch_signals).ends += 1;
        self.shared.ring();
    }

    /// Sends a bookmark to every watch that wants them, which otherwise get one each minute.
    pub fn send_bookmarks(&self) {
        locked(&self.shared.watch_signals).bookmarks += 1;
        self.shared.ring();
    }

    // -- misbehaviour --

    /// The next `n` matching requests get that status, with a Status body, and Retry-After in seconds if
    /// given.
    pub fn fail_next(&self, n: usize, matcher: Matcher, code: u16, retry_after: Option<u64>) {
        self.add_fault(matcher, Some(n), Fault::Fail { code, retry_after });
    }

    /// Every matching request gets that status; 403 reads as missing permission.
    pub fn fail_always(&self, matcher: Matcher, code: u16) {
        self.add_fault(matcher, None, Fault::Fail { code, retry_after: None });
    }

    /// The next `n` matching requests get exactly these bytes as the body, and nothing else happens.
    pub fn answer_next(&self, n: usize, matcher: Matcher, code: u16, body: impl Into<Vec<u8>>) {
        self.add_fault(matcher, Some(n), Fault::Answer { code, body: body.into() });
    }

    /// Every matching request gets exactly these bytes, the head of an answer included, and what follows them; then
    /// the connection ends.
    pub fn answer_raw(&self, matcher: Matcher, bytes: impl Into<Vec<u8>>, then: Then) {
        self.add_fault(matcher, None, Fault::Raw { bytes: bytes.into(), then });
    }

    /// The next `n` matching requests lose their connection, before or after they are carried out.
    pub fn close_next(&self, n: usize, matcher: Matcher, close: Close) {
        self.add_fault(matcher, Some(n), Fault::Close(close));
    }

    /// Matching requests get no answer until [`ApiServer::clear_faults`], and are carried out then.
    pub fn hang(&self, matcher: Matcher) {
        self.add_fault(matcher, None, Fault::Hang);
    }

    /// Matching requests get the head of an answer and then one byte of the body each `pause`.
    pub fn drip(&self, matcher: Matcher, pause: Duration) {
        self.add_fault(matcher, None, Fault::Drip(pause));
    }

    /// Every request waits this long first.
    pub fn set_latency(&self, latency: Duration) {
        locked(&self.shared.faults).latency = latency;
    }

    /// Sets the clock that answers tell ahead by that many seconds.
    pub fn set_clock_ahead(&self, seconds: i64) {
        locked(&self.shared.faults).clock_offset = seconds;
    }

    /// Back to good behaviour; what hangs goes on.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
        self.shared.ring();
    }

    /// Closes every connection, idle or not.
    pub fn close_connections(&self) {
        for stream in locked(&self.shared.connections).values() {
            // An error means that the peer was faster.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn add_fault(&self, matcher: Matcher, times: Option<usize>, fault: Fault) {
        locked(&self.shared.faults).add(matcher, times, fault);
    }
}
