//! What a provider is asked, and when. What a class or a pod tells a provider is held several times over while the
//! provider is asked, and tenants choose how much that is and how many pods ask at once: so those who have much to say
//! take turns. Everybody else never waits for them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::types::limits::LARGEST_PARAMETERS_BYTES;
use kube::types::{Parameters, SecretProviderClass};
use provider::calls::Caller;
use provider::client::{Answered, CallError, MountRequest, Provider, with_retries};
use provider::name::ProviderName;
use provider::registry::Unreachable;
use rpc::status::Code;

use super::attributes::{Attributes, secrets_json};
use super::error::{ProviderError, PublishError};
use super::phases::Phase;
use super::publishing::{IfAbsent, Publishing};

impl Publishing<'_> {
    /// Asks the provider, in turn where there is much to say: the class is read as a whole only then.
    pub(super) fn ask_in_turn(&mut self, class: &SecretProviderClass) -> Result<Answered, PublishError> {
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
        // Told once: what a pod asks for stays the same.
        if self.if_absent == IfAbsent::Wait {
            self.publisher.report_unknown(self.request, &merged.unknown);
            self.publisher.report_foreign_tokens(self.request);
        }
        let key = self.class_key();
        let question = MountRequest {
            caller: Caller { namespace: key.namespace, class: key.name },
            attributes: merged.json,
            secrets: secrets_json(&self.request.secrets),
            target_path: self.request.target.as_str().to_owned(),
        };
        Ok((name, question))
    }

    /// One question to the provider, with the one retry rule, and the checks that every answer must pass.
    fn ask(&self, name: &ProviderName, question: &MountRequest) -> Result<Answered, PublishError> {
        let answered = with_retries(
            self.deadline,
            || {
                // Found anew for each attempt: a provider that restarts may come back on another socket.
                let provider = self.find(name).map_err(ProviderError::Unreachable)?;
                self.call(&provider, question).map_err(ProviderError::Call)
            },
            ProviderError::may_pass,
        )?;
        let answer = &answered.response;
        if !answer.error_code.is_empty() {
            return Err(ProviderError::Answered { code: answer.error_code.clone() }.into());
        }
        if answer.objects.is_empty() {
            return Err(ProviderError::NoObjects.into());
        }
        if answer.encoded_bytes > SECRET_LIMIT_BYTES {
            log::info!(provider = name.as_str(), bytes = answer.encoded_bytes;
                "the provider's answer is too large for one Kubernetes Secret, mirroring it may fail");
        }
        Ok(answered)
    }

    fn find(&self, name: &ProviderName) -> Result<Arc<Provider>, Unreachable> {
        let providers = &self.publisher.providers;
        match self.if_absent {
            IfAbsent::Wait => {
                let tell = |socket: &Path| self.publisher.report_wait(self.request, name, socket);
                providers.wait_for(name, self.deadline, tell)
            }
            IfAbsent::Fail => providers.find(name),
        }
    }

    fn call(&self, provider: &Provider, question: &MountRequest) -> Result<Answered, CallError> {
        let begun = Instant::now();
        let answered = provider.mount(question, self.deadline);
        let code = match &answered {
            Ok(_) => Code::Ok,
            Err(CallError::Failed(status)) => status.code,
            // Not a call of this provider's, so not its time either.
            Err(CallError::Full { .. }) => return answered,
        };
        self.publisher.metrics.provider_called(provider.name().as_str(), code.name(), begun.elapsed());
        answered
    }
}

/// The longest that a publish waits for its turn. Kubelet calls again.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
/// etcd takes objects of about this size.
const SECRET_LIMIT_BYTES: u64 = 1024 * 1024;
