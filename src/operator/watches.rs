//! What wakes the loop: a change of the object that asks for the driver, or of any object that was installed.
//!
//! Each collection is followed by name, and without the content of its objects: the loop reads what it needs when it
//! looks, so a watch that is late or down costs time and never correctness.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::identity::DRIVER;
use super::openshift::Features;
use super::piece::Piece;
use base::lock::{Condvar, Mutex};
use base::shutdown::Shutdown;
use kube::client::Client;
use kube::resource::{
    API_SERVERS, CLUSTER_CSI_DRIVERS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, CSI_DRIVERS,
    DAEMON_SETS, NETWORK_POLICIES, PROXIES, Resource, SERVICE_ACCOUNTS,
};
use kube::types::{Kind, Touched};
use kube::watch::{Cache, News, Reflector, Selection};

/// Rung by whoever has news; heard by the loop.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// Wakes the loop, or lets it go round once more if it is awake.
    pub fn ring(&self) {
        let (rung, changed) = &*self.0;
        *rung.lock() = true;
        changed.notify_all();
    }

    /// Waits until it rings, or for that long; true when it rang.
    pub fn wait(&self, limit: Duration) -> bool {
        let (rung, changed) = &*self.0;
        let rung = rung.lock();
        let waited = changed.wait_timeout_while(rung, limit, |rung| !*rung);
        let (mut rung, _) = waited;
        std::mem::take(&mut *rung)
    }
}

/// Follows every collection that matters in a cluster with these features.
///
/// # Errors
/// The system's, when no thread can be started.
pub fn start(
    client: &Client,
    namespace: &str,
    features: Features,
    bell: &Bell,
    shutdown: &Shutdown,
) -> std::io::Result<()> {
    let watch = Watch { client, bell, shutdown };
    let own = |piece: Piece| (namespace.to_owned(), piece.name().to_owned());
    let cluster = |name: &str| (String::new(), name.to_owned());
    watch.follow::<ClusterCsiDrivers>("watch-request", cluster(DRIVER))?;
    watch.follow::<DaemonSets>("watch-pods", own(Piece::DaemonSet))?;
    watch.follow::<CsiDrivers>("watch-driver", cluster(Piece::CsiDriver.name()))?;
    watch.follow::<ServiceAccounts>("watch-account", own(Piece::ServiceAccount))?;
    watch.follow::<NetworkPolicies>("watch-policy", own(Piece::NetworkPolicy))?;
    watch.follow::<ClusterRoles>("watch-role", cluster(Piece::DriverRole.name()))?;
    watch.follow::<ClusterRoleBindings>("watch-binding", cluster(Piece::DriverBinding.name()))?;
    if features.has_security {
        watch.follow::<ClusterRoles>("watch-scc-role", cluster(Piece::PrivilegedRole.name()))?;
        watch.follow::<ClusterRoleBindings>("watch-scc-bind", cluster(Piece::PrivilegedBinding.name()))?;
    }
    if features.has_config {
        watch.follow::<ConfigMaps>("watch-ca", own(Piece::TrustedCa))?;
        watch.follow::<Proxies>("watch-proxy", cluster("cluster"))?;
        watch.follow::<ApiServers>("watch-tls", cluster("cluster"))?;
    }
    Ok(())
}

struct Watch<'a> {
    client: &'a Client,
    bell: &'a Bell,
    shutdown: &'a Shutdown,
}

impl Watch<'_> {
    fn follow<K: Kind>(&self, thread: &str, (namespace, name): (String, String)) -> std::io::Result<()> {
        let selection =
            Selection { namespace, fields: format!("metadata.name={name}"), ..Selection::default() };
        let bell = self.bell.clone();
        let cache = Cache::<Touched<K>>::of_picked(
            |_| true,
            move |news| {
                if matches!(news, News::Changed { .. }) {
                    bell.ring();
                }
            },
        );
        let shutdown = self.shutdown.clone();
        let pause = move |time| shutdown.wait_timeout(time);
        Reflector::start(thread, self.client.clone(), selection, Arc::new(cache), pause)
    }
}

macro_rules! kinds {
    ($($name:ident: $resource:expr,)*) => {$(
        struct $name(PhantomData<()>);

        impl Kind for $name {
            const RESOURCE: &'static Resource = &$resource;
        }
    )*};
}

kinds! {
    ClusterCsiDrivers: CLUSTER_CSI_DRIVERS,
    DaemonSets: DAEMON_SETS,
    CsiDrivers: CSI_DRIVERS,
    ServiceAccounts: SERVICE_ACCOUNTS,
    NetworkPolicies: NETWORK_POLICIES,
    ClusterRoles: CLUSTER_ROLES,
    ClusterRoleBindings: CLUSTER_ROLE_BINDINGS,
    ConfigMaps: CONFIG_MAPS,
    Proxies: PROXIES,
    ApiServers: API_SERVERS,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_once_even_when_nobody_was_listening() {
        let bell = Bell::default();
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }
}
