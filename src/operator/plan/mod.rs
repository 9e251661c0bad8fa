//! What has to be done about one object, from how it should be and how it is: pure.
//!
//! Only what the operator asks for counts. Labels, annotations and owners that others have set stay, and so do the fields
//! of a CSIDriver that the operator says nothing about. Of the other kinds the whole content is the operator's.

mod content;
mod csi_driver;
mod daemon_set;
mod metadata;

use serde_json::Value;

use super::piece::Piece;
use super::render::Desired;
use kube::object::Preconditions;

pub use csi_driver::live_tokens;
pub use daemon_set::{Rollout, generation, rollout};

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing: it is as it should be.
    Nothing,
    /// It is made.
    Create(Value),
    /// It takes this form, unless somebody has changed it meanwhile.
    Update(Value),
    /// It is deleted and made anew, since the API does not let it be changed into what it should be.
    Recreate {
        /// The one that is deleted, and no other.
        delete: Preconditions,
        /// The one that is made.
        create: Value,
    },
}

/// What to do. `recorded` is the generation that the operator left the object at, as far as it knows.
pub fn plan(desired: &Desired, live: Option<&Value>, recorded: Option<i64>) -> Action {
    let Some(live) = live else { return Action::Create(fresh(&desired.object)) };
    match desired.piece {
        Piece::ServiceAccount => content::plan(&desired.object, live, &[]),
        Piece::TrustedCa => content::plan_config_map(&desired.object, live),
        Piece::PrivilegedRole | Piece::DriverRole => {
            content::plan(&desired.object, live, &["rules", "aggregationRule"])
        }
        Piece::PrivilegedBinding | Piece::DriverBinding => content::plan_binding(&desired.object, live),
        Piece::NetworkPolicy => content::plan(&desired.object, live, &["spec"]),
        Piece::CsiDriver => csi_driver::plan(&desired.object, live),
        Piece::DaemonSet => daemon_set::plan(&desired.object, live, recorded),
    }
}

/// What to do about an object of which the server says that a field cannot be changed.
pub fn plan_after_refusal(desired: &Desired, live: &Value) -> Option<Action> {
    (desired.piece == Piece::CsiDriver).then(|| csi_driver::recreate(&desired.object, live))
}

/// The object as it is made.
fn fresh(desired: &Value) -> Value {
    let mut object = desired.clone();
    metadata::strip_removals(&mut object);
    object
}

/// Whether the object is being deleted, so that changing it is in vain.
pub fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::tests::{OPENSHIFT, inputs, operand};
    use crate::render::{Inputs, render};
    use crate::spec::Spec;

    /// As a server stores it.
    pub(crate) fn stored(desired: &Desired) -> Value {
        let mut object = fresh(&desired.object);
        object["metadata"]["uid"] = json!("1-2");
        object["metadata"]["resourceVersion"] = json!("7");
        object["metadata"]["creationTimestamp"] = json!("2026-04-01T09:08:07Z");
        if desired.piece == Piece::DaemonSet {
            object["metadata"]["generation"] = json!(3);
            object["spec"]["revisionHistoryLimit"] = json!(10);
            object["status"] =
                json!({"observedGeneration": 3, "desiredNumberScheduled": 1, "numberUnavailable": 1});
        }
        object
    }

    pub(crate) fn all() -> Vec<Desired> {
        let (spec, operand) = (Spec::default(), operand());
        render(Inputs { features: OPENSHIFT, ..inputs(&spec, &operand) })
    }

    pub(crate) fn one(piece: Piece) -> Desired {
        all().into_iter().find(|desired| desired.piece == piece).unwrap()
    }

    fn updated(action: Action) -> Value {
        match action {
            Action::Update(object) => object,
            other => panic!("not an update: {other:?}"),
        }
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_as_it_should_be_is_left() {
        for desired in all() {
            let Action::Create(made) = plan(&desired, None, None) else { panic!("{:?}", desired.piece) };
            let annotations = made["metadata"]["annotations"].as_object();
            assert!(annotations.is_none_or(|all| all.keys().all(|key| !key.ends_with('-'))), "{made}");
            assert_eq!(
                plan(&desired, Some(&stored(&desired)), Some(3)),
                Action::Nothing,
                "{:?}",
                desired.piece
            );
        }
    }

    #[test]
    fn what_others_have_added_to_the_metadata_stays_and_is_no_difference() {
        for desired in all() {
            let mut live = stored(&desired);
            live["metadata"]["labels"]["foreign"] = json!("a");
            live["metadata"]["annotations"]["foreign"] = json!("b");
            live["metadata"]["ownerReferences"] = json!([{"kind": "Foreign"}]);
            live["metadata"]["finalizers"] = json!(["foreign"]);
            assert_eq!(plan(&desired, Some(&live), Some(3)), Action::Nothing, "{:?}", desired.piece);
            let Some(own) = desired.object["metadata"]["labels"].as_object() else { continue };
            let key = own.keys().next().unwrap();
            live["metadata"]["labels"].as_object_mut().unwrap().remove(key);
            let next = updated(plan(&desired, Some(&live), Some(3)));
            assert_eq!(next["metadata"]["labels"]["foreign"], "a");
            assert_eq!(next["metadata"]["annotations"]["foreign"], "b");
            assert_eq!(next["metadata"]["ownerReferences"], json!([{"kind": "Foreign"}]));
            assert_eq!(next["metadata"]["finalizers"], json!(["foreign"]));
            assert_eq!(next["metadata"]["resourceVersion"], "7", "only what was seen is replaced");
        }
    }

    #[test]
    fn a_change_of_the_content_is_taken_back() {
        let rows = [
            (Piece::TrustedCa, "/data", json!({"other": "x"})),
            (Piece::PrivilegedRole, "/rules/0/verbs", json!(["use", "get"])),
            (Piece::DriverRole, "/rules", json!([])),
            (Piece::DriverRole, "/aggregationRule", json!({"clusterRoleSelectors": []})),
            (Piece::DriverBinding, "/subjects", json!([])),
            (Piece::PrivilegedBinding, "/subjects/0/name", json!("someone")),
            (Piece::NetworkPolicy, "/spec/ingress/0/ports/0/port", json!(1)),
            (Piece::NetworkPolicy, "/spec/egress", json!([])),
            (Piece::CsiDriver, "/spec/requiresRepublish", json!(false)),
            (Piece::CsiDriver, "/spec/podInfoOnMount", json!(false)),
            (Piece::CsiDriver, "/spec/fsGroupPolicy", json!("None")),
        ];
        for (piece, pointer, value) in rows {
            let desired = one(piece);
            let good = stored(&desired);
            let mut live = good.clone();
            set(&mut live, pointer, value);
            let mut next = updated(plan(&desired, Some(&live), None));
            if next.get("data").is_some_and(|data| *data == json!({})) {
                next.as_object_mut().unwrap().remove("data");
            }
            assert_eq!(next, good, "{piece:?} {pointer}");
        }
    }

    pub(crate) fn set(object: &mut Value, pointer: &str, value: Value) {
        if let Some(place) = object.pointer_mut(pointer) {
            *place = value;
            return;
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { object } else { object.pointer_mut(parent).unwrap() };
        parent.as_object_mut().unwrap().insert(name.to_owned(), value);
    }
}
