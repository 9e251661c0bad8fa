//! What a provider is asked, and when. What a class or a pod tells a provider is held several times over while the
//! provider is asked, and tenants choose how much that is and how many pods ask at once: so those who have much to say
//! take turns. Everybody else never waits for them.

use std::sync::Arc;
use std::time::Duration;

use crate::kube::types::limits::LARGEST_PARAMETERS_BYTES;
use crate::kube::types::{Parameters, SecretProviderClass};
use crate::provider::client::{MountRequest, MountResponse};
use crate::provider::name::ProviderName;

use super::attributes::{Attributes, secrets_json};
use super::error::{ProviderError, PublishError};
use super::phases::Phase;
use super::publishing::Publishing;

impl Publishing<'_> {
    /// Asks the provider, in turn where there is much to say: the class is read as a whole only then.
    pub(super) fn ask_in_turn(&mut self, class: &SecretProviderClass) -> Result<MountResponse, PublishError> {
        self.publisher.report_excess(self.request, class);
        let (_turn, (name, question)) = if self.has_much_to_say(class) {
            let classes = &self.publisher.classes;
            let Some(turn) = classes.turn(self.deadline.at_most().min(TURN_PATIENCE)) else {
                return Err(PublishError::Deadline { before: "its turn among those with large classes" });
            };
            // Only as long as it takes to put the question.
            let whole = self.class(|budget| classes.whole(&class.key, budget).map(Arc::new))?;
            (Some(turn), self.question(&whole)?)
        } else {
            (None, self.question(class)?)
        };
        self.phases.time(Phase::Provider, || self.ask(&name, &question))
    }

    fn has_much_to_say(&self, class: &SecretProviderClass) -> bool {
        let attributes = self.request.attributes.iter();
        let of_pod: usize = attributes.map(|(key, value)| key.len() + value.expose().len()).sum();
        of_pod > LARGEST_PARAMETERS_BYTES || matches!(class.parameters, Parameters::TooLarge { .. })
    }

    /// The question, and whom it is for.
    fn question(&self, class: &SecretProviderClass) -> Result<(ProviderName, MountRequest), PublishError> {
        let name = ProviderName::parse(&class.provider).map_err(ProviderError::InvalidName)?;
        let precedence = self.publisher.precedence;
        let Parameters::Held(parameters) = &class.parameters else {
            return Err(PublishError::ClassTooLarge { class: class.key.to_string() });
        };
        let merged = Attributes::merge(parameters, self.request, precedence).map_err(|source| {
            let class = class.key.to_string();
            PublishError::ClassWithReservedParameter { class, source }
        })?;
        self.publisher.report_collisions(self.request, &merged.collisions);
        let question = MountRequest {
            attributes: merged.json,
            secrets: secrets_json(&self.request.secrets),
            target_path: self.request.target.as_str().to_owned(),
        };
        Ok((name, question))
    }
}

/// The longest that a publish waits for its turn. Kubelet calls again.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
