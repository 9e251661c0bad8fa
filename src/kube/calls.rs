//! The calls that the driver makes: what is asked for and in which form. How it gets there is in `client`.

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::budget::Budget;
use super::client::{Client, Outgoing};
use super::error::{ApiError, Call};
use super::resource::{CLASSES, EVENTS, POD_STATUSES, PODS, Resource, SECRETS};
use super::transport::{Form, Verb};
use super::types::{
    ClassSeed, Event, FIELD_MANAGER, NewSecret, ObjectKey, Pod, Secret, SecretMeta, SecretPatch,
    SecretProviderClass, SecretProviderClassPodStatus,
};

impl Client {
    /// The SecretProviderClass of that name.
    ///
    /// # Errors
    /// [`ApiError`]; a missing class is `is_not_found`.
    pub fn class(
        &self,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClass, ApiError> {
        self.read_class(ClassSeed::Usual, namespace, name, budget)
    }

    /// The SecretProviderClass of that name, with parameters of any size.
    ///
    /// # Errors
    /// [`ApiError`]; a missing class is `is_not_found`.
    pub fn whole_class(&self, key: &ObjectKey, budget: Budget) -> Result<SecretProviderClass, ApiError> {
        self.read_class(ClassSeed::Whole, &key.namespace, &key.name, budget)
    }

    fn read_class(
        &self,
        seed: ClassSeed,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClass, ApiError> {
        let outgoing = Outgoing::get(&CLASSES, namespace, name)?;
        self.read(&outgoing, budget, || seed)?
            .map_err(|shape| ApiError::Shape { call: outgoing.call, problem: shape.to_string() })
    }

    /// The pod status of that name, with every field it has.
    ///
    /// # Errors
    /// [`ApiError`]; a missing pod status is `is_not_found`.
    pub fn pod_status(
        &self,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::get(&POD_STATUSES, namespace, name)?, budget)
    }

    /// Creates the pod status and returns it as stored.
    ///
    /// # Errors
    /// [`ApiError`]; one that exists is `is_already_exists`.
    pub fn create_pod_status(
        &self,
        status: &SecretProviderClassPodStatus,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::pod_status(Verb::Create, status)?, budget)
    }

    /// Replaces the pod status if it still has the resource version that `status` carries, and returns it as
    /// stored.
    ///
    /// # Errors
    /// [`ApiError`]; a change by somebody else in between is `is_conflict`.
    pub fn update_pod_status(
        &self,
        status: &SecretProviderClassPodStatus,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::pod_status(Verb::Update, status)?, budget)
    }

    /// Creates the event.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn create_event(&self, event: &Event, budget: Budget) -> Result<(), ApiError> {
        let (namespace, name) = (&event.metadata.namespace, &event.metadata.name);
        let call = Call::on("create", &EVENTS, namespace, name);
        let body = Some(encoded(event, &call)?);
        EVENTS.object(namespace, name)?;
        let path = EVENTS.collection(namespace)?;
        self.send(&Outgoing { call, verb: Verb::Create, path, form: Form::Whole, body }, budget).map(drop)
    }

    /// Asks for the server's version, which every authenticated client may: proves address, trust and token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn ping(&self, budget: Budget) -> Result<(), ApiError> {
        let resource = "the API server's version".to_owned();
        let call = Box::new(Call { verb: "get", resource, namespace: String::new(), name: String::new() });
        let outgoing =
            Outgoing { call, verb: Verb::Get, path: "/version".to_owned(), form: Form::Whole, body: None };
        self.fetch::<Value>(&outgoing, budget).map(drop)
    }

    /// The pod of that name.
    ///
    /// # Errors
    /// [`ApiError`]; a missing pod is `is_not_found`.
    pub fn pod(&self, namespace: &str, name: &str, budget: Budget) -> Result<Pod, ApiError> {
        self.read(&Outgoing::get(&PODS, namespace, name)?, budget, || PhantomData::<Pod>)
    }

    /// The Secret of that name, with its content.
    ///
    /// # Errors
    /// [`ApiError`]; a missing Secret is `is_not_found`.
    pub fn secret(&self, key: &ObjectKey, budget: Budget) -> Result<Secret, ApiError> {
        self.fetch(&Outgoing::get(&SECRETS, &key.namespace, &key.name)?, budget)
    }

    /// Creates the Secret and returns its metadata as stored.
    ///
    /// # Errors
    /// [`ApiError`]; one that exists is `is_already_exists`.
    pub fn create_secret(&self, secret: &NewSecret<'_>, budget: Budget) -> Result<SecretMeta, ApiError> {
        let ObjectKey { namespace, name } = secret.key;
        let call = Call::on("create", &SECRETS, namespace, name);
        SECRETS.object(namespace, name)?;
        let path = format!("{}?fieldManager={FIELD_MANAGER}", SECRETS.collection(namespace)?);
        let body = Some(encoded_within(secret, secret.size_hint(), &call)?);
        self.fetch(&Outgoing { call, verb: Verb::Create, path, form: Form::Metadata, body }, budget)
    }

    /// Changes some fields of a Secret if it still has the version that `patch` names, and returns its metadata as
    /// stored.
    ///
    /// # Errors
    /// [`ApiError`]; a change by somebody else in between is `is_conflict`.
    pub fn patch_secret(&self, patch: &SecretPatch<'_>, budget: Budget) -> Result<SecretMeta, ApiError> {
        let ObjectKey { namespace, name } = patch.key;
        let call = Call::on("patch", &SECRETS, namespace, name);
        let path = format!("{}?fieldManager={FIELD_MANAGER}", SECRETS.object(namespace, name)?);
        let body = Some(encoded_within(patch, patch.size_hint(), &call)?);
        self.fetch(&Outgoing { call, verb: Verb::Patch, path, form: Form::Metadata, body }, budget)
    }
}

impl Outgoing {
    pub(super) fn get(resource: &Resource, namespace: &str, name: &str) -> Result<Outgoing, ApiError> {
        let path = resource.object(namespace, name)?;
        let call = Call::on("get", resource, namespace, name);
        Ok(Outgoing { call, verb: Verb::Get, path, form: Form::Whole, body: None })
    }

    fn pod_status(verb: Verb, status: &SecretProviderClassPodStatus) -> Result<Outgoing, ApiError> {
        let (namespace, name) = (&status.metadata.namespace, &status.metadata.name);
        let call = Call::on(verb.name(), &POD_STATUSES, namespace, name);
        let object = POD_STATUSES.object(namespace, name)?;
        let path = if verb == Verb::Update { object } else { POD_STATUSES.collection(namespace)? };
        let body = Some(encoded(status, &call)?);
        Ok(Outgoing { call, verb, path, form: Form::Whole, body })
    }
}

fn encoded(object: &impl Serialize, call: &Call) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    encoded_within(object, 0, call)
}

/// The object as JSON. A buffer that is large enough from the start leaves no copies of itself behind.
fn encoded_within(object: &impl Serialize, size: usize, call: &Call) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut body = Zeroizing::new(Vec::with_capacity(size));
    match serde_json::to_writer(&mut *body, object) {
        Ok(()) => Ok(body),
        Err(_) => Err(ApiError::Encode { call: Box::new(call.clone()) }),
    }
}
