//! Questions with much to say. What a class or a pod tells a provider is held several times over while the provider is
//! asked, and tenants choose how much that is and how many pods ask at once: so those who have much to say take turns.
//! Everybody else never waits for them.

use std::sync::Arc;
use std::time::Duration;

use crate::kube::types::limits::LARGEST_PARAMETERS_BYTES;
use crate::kube::types::{Parameters, SecretProviderClass};
use crate::provider::client::MountResponse;

use super::error::PublishError;
use super::phases::Phase;
use super::publishing::Publishing;

impl Publishing<'_> {
    /// Asks the provider, in turn where there is much to say: the class is read as a whole only then.
    pub(super) fn ask_in_turn(&mut self, class: &SecretProviderClass) -> Result<MountResponse, PublishError> {
        if !self.has_much_to_say(class) {
            return self.phases.time(Phase::Provider, || self.ask(class));
        }
        let classes = &self.publisher.classes;
        let Some(_turn) = classes.turn(self.deadline.at_most().min(TURN_PATIENCE)) else {
            return Err(PublishError::Deadline { before: "its turn among those with large classes" });
        };
        let whole = self.class(|budget| classes.whole(&class.key, budget).map(Arc::new))?;
        self.phases.time(Phase::Provider, || self.ask(&whole))
    }

    fn has_much_to_say(&self, class: &SecretProviderClass) -> bool {
        let attributes = self.request.attributes.iter();
        let of_pod: usize = attributes.map(|(key, value)| key.len() + value.expose().len()).sum();
        of_pod > LARGEST_PARAMETERS_BYTES || matches!(class.parameters, Parameters::TooLarge { .. })
    }
}

/// The longest that a publish waits for its turn. Kubelet calls again.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
