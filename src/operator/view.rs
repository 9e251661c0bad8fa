//! What is known of the objects that matter, kept by watches: the loop looks here and asks the API server nothing.
//!
//! Each object is followed by its name. Where no watch is open, or none is of that object, nothing is known, and whoever
//! needs to know reads the object itself. What the operator has written it hands over here, so that its own writes are no
//! news: those alone that name the version which they replace, since another write may hide nothing that others did.

use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;

use super::bell::Bell;
use super::identity::DRIVER;
use super::openshift::Features;
use super::piece::Piece;
use base::shutdown::Shutdown;
use kube::client::Client;
use kube::object::ObjectRef;
use kube::resource::{
    API_SERVERS, CLUSTER_CSI_DRIVERS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, CSI_DRIVERS,
    DAEMON_SETS, NETWORK_POLICIES, PROXIES, Resource, SERVICE_ACCOUNTS,
};
use kube::types::{Kind, ObjectKey, Watched, Whole};
use kube::watch::{Cache, Change, Reflector, Selection};

/// The objects that are followed.
#[derive(Default)]
pub struct View {
    bell: Bell,
    panes: Vec<(ObjectRef, Box<dyn Pane>)>,
}

/// One object.
trait Pane: Send + Sync {
    /// How it is, or that it is not there; none where that is not known.
    fn look(&self) -> Option<Option<Value>>;

    /// It was read or written, and is like this.
    fn learn(&self, object: &Value);

    /// It is not there.
    fn forget(&self);
}

impl View {
    /// Follows every object that matters in a cluster with these features. `bell` rings when one has changed.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn open(
        client: &Client,
        namespace: &str,
        features: Features,
        bell: &Bell,
        shutdown: &Shutdown,
    ) -> std::io::Result<View> {
        let mut opening = Opening { client, bell, shutdown, panes: Vec::new() };
        let piece = |piece: Piece| piece.at(namespace);
        opening
            .follow::<ClusterCsiDrivers>("watch-request", ObjectRef::cluster(&CLUSTER_CSI_DRIVERS, DRIVER))?;
        opening.follow::<DaemonSets>("watch-pods", piece(Piece::DaemonSet))?;
        opening.follow::<CsiDrivers>("watch-driver", piece(Piece::CsiDriver))?;
        opening.follow::<ServiceAccounts>("watch-account", piece(Piece::ServiceAccount))?;
        opening.follow::<NetworkPolicies>("watch-policy", piece(Piece::NetworkPolicy))?;
        opening.follow::<ClusterRoles>("watch-role", piece(Piece::DriverRole))?;
        opening.follow::<ClusterRoleBindings>("watch-binding", piece(Piece::DriverBinding))?;
        if features.has_security {
            opening.follow::<ClusterRoles>("watch-scc-role", piece(Piece::PrivilegedRole))?;
            opening.follow::<ClusterRoleBindings>("watch-scc-bind", piece(Piece::PrivilegedBinding))?;
        }
        if features.has_config {
            opening.follow::<ConfigMaps>("watch-ca", piece(Piece::TrustedCa))?;
            opening.follow::<Proxies>("watch-proxy", ObjectRef::cluster(&PROXIES, "cluster"))?;
            opening.follow::<ApiServers>("watch-tls", ObjectRef::cluster(&API_SERVERS, "cluster"))?;
        }
        Ok(View { bell: bell.clone(), panes: opening.panes })
    }

    /// How the object is, or that it is not there; none where that is not known.
    pub fn look(&self, at: &ObjectRef) -> Option<Option<Value>> {
        self.pane(at)?.look()
    }

    /// The object was read, and is like this or not there.
    pub fn learn(&self, at: &ObjectRef, object: Option<&Value>) {
        match (self.pane(at), object) {
            (Some(pane), Some(object)) => pane.learn(object),
            (Some(pane), None) => pane.forget(),
            (None, _) => {}
        }
    }

    /// The operator itself has made this of the object: nobody has to be told.
    pub fn wrote(&self, at: &ObjectRef, object: &Value) {
        self.learn(at, Some(object));
        // The watch may have been faster.
        self.bell.hush(version(object));
    }

    fn pane(&self, at: &ObjectRef) -> Option<&dyn Pane> {
        self.panes.iter().find(|(of, _)| of == at).map(|(_, pane)| &**pane)
    }
}

fn version(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}

/// One object by the watch of its name.
struct Window<K> {
    key: ObjectKey,
    cache: Arc<Cache<Whole<K>>>,
}

impl<K: Kind> Pane for Window<K> {
    fn look(&self) -> Option<Option<Value>> {
        let known = self.cache.look(&self.key)?;
        Some(known.map(|object| object.object().clone()))
    }

    fn learn(&self, object: &Value) {
        self.cache.insert(Whole::from(object.clone()));
    }

    fn forget(&self) {
        self.cache.forget(&self.key);
    }
}

struct Opening<'a> {
    client: &'a Client,
    bell: &'a Bell,
    shutdown: &'a Shutdown,
    panes: Vec<(ObjectRef, Box<dyn Pane>)>,
}

impl Opening<'_> {
    fn follow<K: Kind>(&mut self, thread: &str, at: ObjectRef) -> std::io::Result<()> {
        let selection = Selection {
            namespace: at.namespace.clone(),
            fields: format!("metadata.name={}", at.name),
            ..Selection::default()
        };
        let bell = self.bell.clone();
        let cache = Arc::new(Cache::<Whole<K>>::of_picked(
            |_| true,
            move |change| match change {
                Change::Object { now: Some(now), .. } => bell.ring_for(now.version()),
                Change::Object { now: None, .. } => bell.ring(),
                Change::State(_) => {}
            },
        ));
        let shutdown = self.shutdown.clone();
        let pause = move |time| shutdown.wait_timeout(time);
        Reflector::start(thread, self.client.clone(), selection, Arc::clone(&cache), pause)?;
        let key = ObjectKey::new(&at.namespace, &at.name);
        self.panes.push((at, Box::new(Window { key, cache })));
        Ok(())
    }
}

macro_rules! kinds {
    ($($name:ident: $kind:literal, $resource:expr;)*) => {$(
        struct $name(PhantomData<()>);

        impl Kind for $name {
            const RESOURCE: &'static Resource = &$resource;
            const NAME: &'static str = $kind;
        }
    )*};
}

kinds! {
    ClusterCsiDrivers: "ClusterCSIDriver", CLUSTER_CSI_DRIVERS;
    DaemonSets: "DaemonSet", DAEMON_SETS;
    CsiDrivers: "CSIDriver", CSI_DRIVERS;
    ServiceAccounts: "ServiceAccount", SERVICE_ACCOUNTS;
    NetworkPolicies: "NetworkPolicy", NETWORK_POLICIES;
    ClusterRoles: "ClusterRole", CLUSTER_ROLES;
    ClusterRoleBindings: "ClusterRoleBinding", CLUSTER_ROLE_BINDINGS;
    ConfigMaps: "ConfigMap", CONFIG_MAPS;
    Proxies: "Proxy", PROXIES;
    ApiServers: "APIServer", API_SERVERS;
}
