//! A provider that is held: it takes calls and answers none until it is let go.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rpc::pb::provider as pb;

use kit::provider::ScriptedProvider;

/// Dropping it lets every call through.
pub struct Hold(Arc<(Mutex<bool>, Condvar)>);

impl Hold {
    /// Holds a provider; whoever is let through gets this response.
    pub fn of(provider: &ScriptedProvider, response: pb::MountResponse) -> Hold {
        let hold = Hold(Arc::default());
        let shared = Arc::clone(&hold.0);
        provider.script(move |_| {
            let is_free = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(shared.1.wait_while(is_free, |is_free| !*is_free).unwrap_or_else(PoisonError::into_inner));
            Ok(response.clone())
        });
        hold
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}
