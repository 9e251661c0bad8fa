//! What is done in which management state.
//!
//! | state | object stays | object is being deleted |
//! |---|---|---|
//! | Managed | install, hold the finalizer | remove everything, then the finalizer |
//! | Unmanaged | touch nothing | drop the finalizer, leave everything that is installed |
//! | Removed | remove everything, then the finalizer | the same |
//! | Force, none, unknown | touch nothing, report it | as for Unmanaged |
//!
//! A deletion thus never waits for somebody to change the state first. What an administrator did not hand over is not
//! taken down with the object either: that is what Managed and Removed are for.

use super::spec::ManagementState;

/// What the operator does about the installed objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Install, and keep it so.
    Apply,
    /// Remove everything, and then let the object go.
    Remove,
    /// Let the object go, and touch nothing else.
    LetGo,
    /// Touch nothing.
    LeaveAlone,
}

impl ManagementState {
    /// What is done in this state.
    pub fn course(&self, is_being_deleted: bool) -> Course {
        match (self, is_being_deleted) {
            (ManagementState::Managed, false) => Course::Apply,
            (ManagementState::Managed, true) | (ManagementState::Removed, _) => Course::Remove,
            (_, true) => Course::LetGo,
            (_, false) => Course::LeaveAlone,
        }
    }

    /// Why the state cannot be acted on; none where it can.
    pub fn problem(&self) -> Option<String> {
        let given = match self {
            ManagementState::Managed | ManagementState::Unmanaged | ManagementState::Removed => return None,
            ManagementState::Absent => "",
            ManagementState::Other(other) => other.as_str(),
        };
        Some(format!(
            "unsupported managementState {given:?} for operand secrets-store-csi-driver: \
             set it to Managed, Unmanaged or Removed; until then nothing is touched"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_course_and_none_of_them_holds_a_deletion_up() {
        let other = |text: &str| ManagementState::Other(text.into());
        let rows = [
            (ManagementState::Managed, Course::Apply, Course::Remove),
            (ManagementState::Unmanaged, Course::LeaveAlone, Course::LetGo),
            (ManagementState::Removed, Course::Remove, Course::Remove),
            (ManagementState::Absent, Course::LeaveAlone, Course::LetGo),
            (other("Force"), Course::LeaveAlone, Course::LetGo),
            (other("Sometimes"), Course::LeaveAlone, Course::LetGo),
        ];
        for (state, stays, goes) in rows {
            assert_eq!((state.course(false), state.course(true)), (stays, goes), "{state:?}");
            assert!(matches!(state.course(true), Course::Remove | Course::LetGo), "{state:?}");
        }
    }

    #[test]
    fn only_a_state_that_cannot_be_acted_on_is_a_problem_and_is_named() {
        for state in [ManagementState::Managed, ManagementState::Unmanaged, ManagementState::Removed] {
            assert_eq!(state.problem(), None, "{state:?}");
        }
        let forced = ManagementState::Other("Force".into()).problem().unwrap();
        assert!(forced.contains("\"Force\"") && forced.contains("secrets-store-csi-driver"), "{forced}");
        assert!(ManagementState::Absent.problem().unwrap().contains("\"\""));
    }
}
