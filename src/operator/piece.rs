//! The objects that make an installation, and where each of them is.

use super::identity;
use kube::object::ObjectRef;
use kube::resource::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, CSI_DRIVERS, DAEMON_SETS, NETWORK_POLICIES,
    SERVICE_ACCOUNTS,
};

/// One of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Who the driver's pods are.
    ServiceAccount,
    /// How kubelet treats the driver's volumes.
    CsiDriver,
    /// Where OpenShift puts its trusted authorities.
    TrustedCa,
    /// The right to run privileged pods, on OpenShift.
    PrivilegedRole,
    /// That right, for the driver's pods.
    PrivilegedBinding,
    /// What the driver may do.
    DriverRole,
    /// That role, for the driver's pods.
    DriverBinding,
    /// Who may connect to the driver's pods.
    NetworkPolicy,
    /// The driver on every node.
    DaemonSet,
}

impl Piece {
    /// All of them, in the order in which they are installed: the pods come last, when all that they need is there.
    pub const ALL: [Piece; 9] = [
        Piece::ServiceAccount,
        Piece::CsiDriver,
        Piece::TrustedCa,
        Piece::PrivilegedRole,
        Piece::PrivilegedBinding,
        Piece::DriverRole,
        Piece::DriverBinding,
        Piece::NetworkPolicy,
        Piece::DaemonSet,
    ];

    /// Its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Piece::ServiceAccount => "ServiceAccount",
            Piece::CsiDriver => "CSIDriver",
            Piece::TrustedCa => "ConfigMap",
            Piece::PrivilegedRole | Piece::DriverRole => "ClusterRole",
            Piece::PrivilegedBinding | Piece::DriverBinding => "ClusterRoleBinding",
            Piece::NetworkPolicy => "NetworkPolicy",
            Piece::DaemonSet => "DaemonSet",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Piece::ServiceAccount => identity::NODE_ACCOUNT,
            Piece::CsiDriver => identity::DRIVER,
            Piece::TrustedCa => identity::TRUSTED_CA,
            Piece::PrivilegedRole => identity::PRIVILEGED_ROLE,
            Piece::PrivilegedBinding => identity::PRIVILEGED_BINDING,
            Piece::DriverRole => identity::DRIVER_ROLE,
            Piece::DriverBinding => identity::DRIVER_BINDING,
            Piece::NetworkPolicy => identity::NETWORK_POLICY,
            Piece::DaemonSet => identity::NODE,
        }
    }

    /// Where it is, for an operator that works in `namespace`.
    pub fn at(self, namespace: &str) -> ObjectRef {
        let name = self.name();
        match self {
            Piece::ServiceAccount => ObjectRef::namespaced(&SERVICE_ACCOUNTS, namespace, name),
            Piece::TrustedCa => ObjectRef::namespaced(&CONFIG_MAPS, namespace, name),
            Piece::NetworkPolicy => ObjectRef::namespaced(&NETWORK_POLICIES, namespace, name),
            Piece::DaemonSet => ObjectRef::namespaced(&DAEMON_SETS, namespace, name),
            Piece::CsiDriver => ObjectRef::cluster(&CSI_DRIVERS, name),
            Piece::PrivilegedRole | Piece::DriverRole => ObjectRef::cluster(&CLUSTER_ROLES, name),
            Piece::PrivilegedBinding | Piece::DriverBinding => {
                ObjectRef::cluster(&CLUSTER_ROLE_BINDINGS, name)
            }
        }
    }

    /// Whether an installation by other means has an object of that name too.
    pub fn is_shared_by_name(self) -> bool {
        matches!(self, Piece::CsiDriver | Piece::DriverRole | Piece::DriverBinding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_come_last_and_every_object_once() {
        assert_eq!(Piece::ALL.last(), Some(&Piece::DaemonSet));
        let places: Vec<String> = Piece::ALL.iter().map(|piece| piece.at("storage").to_string()).collect();
        let mut distinct = places.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), places.len(), "{places:?}");
        assert_eq!(places.last().unwrap(), "daemonsets.apps storage/secrets-store-csi-driver-node");
    }
}
