//! From what the administrator asks for to the exact objects: pure, one file for each kind of object.
//!
//! Only what is written here is enforced. The objects are those of the OpenShift operator, with the container that this
//! driver needs in the DaemonSet and the permissions that this driver uses in the roles.

mod access;
mod containers;
mod csi_driver;
mod daemon_set;
mod network_policy;
mod service_account;
mod trusted_ca;

use serde_json::Value;

use super::openshift::Features;
use super::piece::Piece;
use super::spec::Spec;
use crate::command_line::Operand;

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Which.
    pub piece: Piece,
    /// The object. A label or an annotation whose name ends in `-` should not be there.
    pub object: Value,
}

/// What the objects depend on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What the administrator asks for.
    pub spec: &'a Spec,
    /// What is installed, and on what nodes.
    pub operand: &'a Operand,
    /// Where.
    pub namespace: &'a str,
    /// Which of OpenShift's APIs there are.
    pub features: Features,
    /// The CSIDriver's tokenRequests as they are.
    pub live_tokens: &'a [Value],
    /// The trusted authorities, where OpenShift has filled them in.
    pub trusted_ca: Option<&'a Value>,
}

/// The objects, in the order in which they are installed.
pub fn render(inputs: Inputs<'_>) -> Vec<Desired> {
    Piece::ALL.into_iter().filter_map(|piece| render_one(piece, inputs)).collect()
}

/// One of the objects; none where it has no place in this cluster.
pub fn render_one(piece: Piece, inputs: Inputs<'_>) -> Option<Desired> {
    let Inputs { features, namespace, .. } = inputs;
    let object = match piece {
        Piece::TrustedCa if !features.has_config => return None,
        Piece::PrivilegedRole | Piece::PrivilegedBinding if !features.has_security => return None,
        Piece::ServiceAccount => service_account::object(namespace),
        Piece::CsiDriver => csi_driver::object(inputs),
        Piece::TrustedCa => trusted_ca::object(namespace),
        Piece::PrivilegedRole => access::privileged_role(),
        Piece::PrivilegedBinding => access::privileged_binding(namespace),
        Piece::DriverRole => access::driver_role(),
        Piece::DriverBinding => access::driver_binding(namespace),
        Piece::NetworkPolicy => network_policy::object(namespace),
        Piece::DaemonSet => daemon_set::object(inputs),
    };
    Some(Desired { piece, object })
}

/// The port of the driver's metrics.
const METRICS_PORT: u16 = 8095;
/// The port of its health.
const HEALTH_PORT: u16 = 9808;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::command_line::Sidecars;

    pub(crate) fn operand() -> Operand {
        Operand {
            driver_image: "registry.example/driver:v1".into(),
            sidecars: None,
            kubelet_root: "/var/lib/kubelet".into(),
        }
    }

    pub(crate) fn with_sidecars() -> Operand {
        let sidecars = Sidecars {
            registrar_image: "registry.example/registrar:v2".into(),
            liveness_image: "registry.example/liveness:v3".into(),
        };
        Operand { sidecars: Some(sidecars), ..operand() }
    }

    pub(crate) const PLAIN: Features = Features { has_security: false, has_config: false };
    pub(crate) const OPENSHIFT: Features = Features { has_security: true, has_config: true };

    pub(crate) fn inputs<'a>(spec: &'a Spec, operand: &'a Operand) -> Inputs<'a> {
        Inputs { spec, operand, namespace: "storage", features: PLAIN, live_tokens: &[], trusted_ca: None }
    }

    pub(crate) fn desired(inputs: Inputs<'_>, piece: Piece) -> Desired {
        render(inputs).into_iter().find(|desired| desired.piece == piece).unwrap()
    }

    #[test]
    fn openshifts_objects_are_there_where_its_apis_are_and_nowhere_else() {
        let (spec, operand) = (Spec::default(), operand());
        let pieces = |features| -> Vec<Piece> {
            let all = render(Inputs { features, ..inputs(&spec, &operand) });
            all.iter().map(|desired| desired.piece).collect()
        };
        assert_eq!(pieces(OPENSHIFT), Piece::ALL);
        let extras = [Piece::TrustedCa, Piece::PrivilegedRole, Piece::PrivilegedBinding];
        let mut plain = Piece::ALL.to_vec();
        plain.retain(|piece| !extras.contains(piece));
        assert_eq!(pieces(PLAIN), plain);
    }

    #[test]
    fn every_object_has_the_kind_the_name_and_the_namespace_of_its_place() {
        let (spec, operand) = (Spec::default(), operand());
        for desired in render(Inputs { features: OPENSHIFT, ..inputs(&spec, &operand) }) {
            let (object, at) = (&desired.object, desired.piece.at("storage"));
            assert_eq!(object["apiVersion"], at.resource.api_version(), "{at}");
            assert_eq!(object["kind"], desired.piece.kind(), "{at}");
            assert_eq!(object["metadata"]["name"], at.name.as_str(), "{at}");
            assert_eq!(object["metadata"]["namespace"].as_str().unwrap_or(""), at.namespace, "{at}");
            assert!(object["metadata"].get("ownerReferences").is_none(), "{at}");
        }
    }
}
