//! The DaemonSet: compared by the digest of what was asked for and by the generation that the operator left it at, so
//! that the server's defaults are no difference and a change by hand is one.

use std::fmt;

use serde_json::{Value, json};

use super::{Action, metadata};
use crate::identity::STABLE_GENERATION;

/// Where a roll-out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Nobody waits for anything.
    Complete,
    /// The controller has not seen the latest change.
    Unseen,
    /// Not every node has a pod of the latest kind.
    Updating {
        /// Those that have.
        updated: i64,
        /// Those that should.
        desired: i64,
    },
    /// Not every pod is available.
    Waiting {
        /// Those that are not.
        unavailable: i64,
    },
}

pub(super) fn plan(desired: &Value, live: &Value, recorded: Option<i64>) -> Action {
    let mut desired = desired.clone();
    let at = generation(live);
    if rollout(live) == Rollout::Complete
        && let Some(annotations) = desired.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.insert(STABLE_GENERATION.to_owned(), json!(at.unwrap_or_default().to_string()));
    }
    let merged = metadata::merged(&desired, live);
    // A generation that nobody recorded could be anything: a write that changes nothing finds out.
    if merged.is_none() && at.is_some() && at == recorded {
        return Action::Nothing;
    }
    let mut next = merged.unwrap_or_else(|| live.clone());
    if let (Some(fields), Some(spec)) = (next.as_object_mut(), desired.get("spec")) {
        fields.insert("spec".to_owned(), spec.clone());
    }
    Action::Update(next)
}

/// The object's generation.
pub fn generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/generation").and_then(Value::as_i64)
}

/// Where the roll-out of a DaemonSet is. Once one was complete, nodes that come, go or restart start no other.
pub fn rollout(live: &Value) -> Rollout {
    let number = |name: &str| live.get("status").and_then(|status| status.get(name)?.as_i64()).unwrap_or(0);
    let at = generation(live).unwrap_or(0);
    let stable = live.pointer("/metadata/annotations").and_then(|all| all.get(STABLE_GENERATION)?.as_str());
    if stable.is_some_and(|stable| stable == at.to_string()) {
        return Rollout::Complete;
    }
    let (updated, desired) = (number("updatedNumberScheduled"), number("desiredNumberScheduled"));
    let unavailable = number("numberUnavailable");
    if number("observedGeneration") != at {
        Rollout::Unseen
    } else if updated < desired {
        Rollout::Updating { updated, desired }
    } else if unavailable > 0 {
        Rollout::Waiting { unavailable }
    } else {
        Rollout::Complete
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rollout::Complete => Ok(()),
            Rollout::Unseen => f.write_str("Waiting for DaemonSet to act on changes"),
            Rollout::Updating { updated, desired } => {
                write!(f, "Waiting for DaemonSet to update {} node pods", desired.saturating_sub(*updated))
            }
            Rollout::Waiting { unavailable } => {
                write!(f, "Waiting for DaemonSet to deploy {unavailable} node pods")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{one, set, stored};
    use super::*;
    use crate::identity::SPEC_HASH;
    use crate::piece::Piece;

    fn planned(live: &Value, recorded: Option<i64>) -> Action {
        super::super::plan(&one(Piece::DaemonSet), Some(live), recorded)
    }

    fn updated(action: Action) -> Value {
        match action {
            Action::Update(object) => object,
            other => panic!("not an update: {other:?}"),
        }
    }

    #[test]
    fn a_generation_that_is_not_the_recorded_one_gives_the_whole_spec_back() {
        let desired = one(Piece::DaemonSet);
        let mut live = stored(&desired);
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("by-hand");
        live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "extra"}));
        assert_eq!(
            planned(&live, Some(3)),
            Action::Nothing,
            "as long as nobody changed it after the operator"
        );
        for recorded in [None, Some(2), Some(4)] {
            let next = updated(planned(&live, recorded));
            assert_eq!(next["spec"], desired.object["spec"], "{recorded:?}");
            assert_eq!(next["metadata"]["resourceVersion"], "7");
        }
    }

    #[test]
    fn another_hash_gives_the_whole_spec_whatever_the_generation() {
        let desired = one(Piece::DaemonSet);
        let mut live = stored(&desired);
        live["metadata"]["annotations"][SPEC_HASH] = json!("of an older image");
        live["metadata"]["annotations"]["foreign"] = json!("x");
        let next = updated(planned(&live, Some(3)));
        assert_eq!(next["spec"], desired.object["spec"]);
        assert_eq!(
            next["metadata"]["annotations"][SPEC_HASH],
            desired.object["metadata"]["annotations"][SPEC_HASH]
        );
        assert_eq!(next["metadata"]["annotations"]["foreign"], "x");
    }

    #[test]
    fn a_roll_out_that_is_complete_is_written_down_once() {
        let mut live = stored(&one(Piece::DaemonSet));
        live["status"] =
            json!({"observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2});
        let next = updated(planned(&live, Some(3)));
        assert_eq!(next["metadata"]["annotations"][STABLE_GENERATION], "3");
        live["metadata"] = next["metadata"].clone();
        assert_eq!(planned(&live, Some(3)), Action::Nothing);
        live["status"]["numberUnavailable"] = json!(1);
        assert_eq!(planned(&live, Some(3)), Action::Nothing, "a node that restarts is no roll-out");
        live["metadata"]["generation"] = json!(4);
        live["status"]["observedGeneration"] = json!(4);
        assert_eq!(planned(&live, Some(4)), Action::Nothing, "the next one is not complete yet");
    }

    #[test]
    fn a_roll_out_waits_for_the_controller_then_for_the_nodes_then_for_the_pods() {
        let status = |observed: i64, updated: i64, unavailable: i64| {
            json!({
                "observedGeneration": observed, "desiredNumberScheduled": 5,
                "updatedNumberScheduled": updated, "numberUnavailable": unavailable,
            })
        };
        let rows = [
            ("not seen", status(2, 5, 0), None, Rollout::Unseen),
            ("not updated", status(3, 2, 3), None, Rollout::Updating { updated: 2, desired: 5 }),
            ("not available", status(3, 5, 1), None, Rollout::Waiting { unavailable: 1 }),
            ("complete", status(3, 5, 0), None, Rollout::Complete),
            ("complete before", status(3, 2, 3), Some("3"), Rollout::Complete),
            ("complete long ago", status(3, 2, 3), Some("2"), Rollout::Updating { updated: 2, desired: 5 }),
            ("no status", Value::Null, None, Rollout::Unseen),
        ];
        for (name, status, stable, expected) in rows {
            let mut live = stored(&one(Piece::DaemonSet));
            live["status"] = status;
            if let Some(stable) = stable {
                set(&mut live, "/metadata/annotations/stable", json!("x"));
                live["metadata"]["annotations"][STABLE_GENERATION] = json!(stable);
            }
            assert_eq!(rollout(&live), expected, "{name}");
        }
    }
}
