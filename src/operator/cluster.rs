//! The API server as the operator uses it: every call within a time, and no write without the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::events::Events;
use super::failure::Failure;
use super::https::Terms;
use super::identity::{CLUSTER_CSI_DRIVER, DRIVER, OPERATOR};
use super::leadership::Leadership;
use super::view::View;
use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::object::{Applied, ObjectRef, Preconditions};
use kube::resource::{CLUSTER_CSI_DRIVERS, Resource};
use metrics::OperatorMetrics;

/// Reads freely, writes while this process leads.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) leadership: Arc<Leadership>,
    pub(super) metrics: Arc<OperatorMetrics>,
    pub(super) events: Events,
    /// How metrics are served, which follows the cluster's own settings.
    pub(super) terms: Arc<Terms>,
    /// What watches tell, once there are any.
    pub(super) view: View,
}

/// The object that asks for the driver.
pub fn request() -> ObjectRef {
    ObjectRef::cluster(&CLUSTER_CSI_DRIVERS, DRIVER)
}

impl Cluster {
    /// The object, if it is there, as far as an open watch tells; asked for where none is.
    pub fn find(&self, at: &ObjectRef) -> Result<Option<Value>, Failure> {
        match self.view.look(at) {
            Some(known) => Ok(known),
            None => self.look(at),
        }
    }

    /// The object as it is, for whoever has found that it is not as it was.
    pub fn look(&self, at: &ObjectRef) -> Result<Option<Value>, Failure> {
        let found = self.client.find_object(at, budget())?;
        self.view.learn(at, found.as_ref());
        Ok(found)
    }

    /// Whether the server serves that kind.
    pub fn serves(&self, resource: &Resource) -> Result<bool, Failure> {
        Ok(self.client.serves(resource, budget())?)
    }

    pub(super) fn create(
        &self,
        kind: &'static str,
        at: &ObjectRef,
        object: &Value,
    ) -> Result<Value, Refusal> {
        let stored = self.write(kind, "create", at, || self.client.create_object(at, object, budget()))?;
        self.view.wrote(at, &stored);
        Ok(stored)
    }

    /// Whether the object could be made, were it not there.
    pub(super) fn check_creation(&self, at: &ObjectRef, object: &Value) -> Result<(), Refusal> {
        self.permit()?;
        self.client.check_creation(at, object, budget()).map_err(Refusal::Api)
    }

    pub(super) fn replace(
        &self,
        kind: &'static str,
        at: &ObjectRef,
        object: &Value,
    ) -> Result<Value, Refusal> {
        let stored = self.write(kind, "update", at, || self.client.replace_object(at, object, budget()))?;
        self.view.wrote(at, &stored);
        Ok(stored)
    }

    pub(super) fn delete(
        &self,
        kind: &'static str,
        at: &ObjectRef,
        preconditions: &Preconditions,
    ) -> Result<bool, Refusal> {
        let was_there =
            self.write(kind, "delete", at, || self.client.delete_object(at, preconditions, budget()))?;
        self.view.learn(at, None);
        Ok(was_there)
    }

    /// Changes some fields of the object that asks for the driver, whatever others change meanwhile.
    pub(super) fn merge_request(&self, patch: &Value) -> Result<Value, Refusal> {
        self.permit()?;
        self.client.merge_object(&request(), patch, budget()).map_err(Refusal::Api)
    }

    /// Changes some fields of `object`, which asks for the driver, unless somebody else has changed it meanwhile.
    pub(super) fn change_request(&self, object: &Value, patch: Value) -> Result<Value, Refusal> {
        let stored = self.merge_request(&of_version(object, patch))?;
        self.view.wrote(&request(), &stored);
        Ok(stored)
    }

    /// Changes some fields of its status, whoever has set them, on the same condition.
    pub(super) fn change_status(&self, object: &Value, patch: Value) -> Result<Value, Refusal> {
        self.permit()?;
        let patch = of_version(object, patch);
        let stored = self.client.merge_status(&request(), &patch, budget()).map_err(Refusal::Api)?;
        self.view.wrote(&request(), &stored);
        Ok(stored)
    }

    /// Writes the operator's part of its status, on the same condition.
    pub(super) fn report(&self, object: &Value, status: &Value) -> Result<Value, Refusal> {
        self.permit()?;
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        let part = Applied { kind: CLUSTER_CSI_DRIVER, manager: OPERATOR, version, status };
        let stored = self.client.apply_status(&request(), part, budget()).map_err(Refusal::Api)?;
        self.view.wrote(&request(), &stored);
        Ok(stored)
    }

    fn write<T>(
        &self,
        kind: &'static str,
        verb: &'static str,
        at: &ObjectRef,
        call: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, Refusal> {
        self.permit()?;
        let result = call();
        self.metrics.wrote(kind, verb, result.is_ok());
        match &result {
            Ok(_) => log::info!(kind = kind, object:% = at, verb = verb; "wrote an object"),
            Err(error) => {
                log::warn!(kind = kind, object:% = at, verb = verb, error:% = error; "could not write an object")
            }
        }
        self.events.wrote(kind, verb, at, result.as_ref().err());
        result.map_err(Refusal::Api)
    }

    fn permit(&self) -> Result<(), Refusal> {
        if self.leadership.leads(Instant::now()) { Ok(()) } else { Err(Refusal::NotLeading) }
    }
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server's word, or none.
    Api(ApiError),
    /// The lease is gone.
    NotLeading,
}

impl Refusal {
    /// Somebody else was faster: look again.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(self, Refusal::Api(error) if error.is_conflict() || error.is_already_exists() || error.is_not_found())
    }

    /// The object cannot take this form, but another one of its name could.
    pub(super) fn is_about_immutable_field(&self) -> bool {
        matches!(self, Refusal::Api(error) if error.is_about_immutable_field())
    }

    /// There is no such object.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Refusal::Api(error) if error.is_not_found())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Api(error) => error.into(),
            Refusal::NotLeading => Failure::not_leading(),
        }
    }
}

/// The patch, for this version of the object alone.
fn of_version(object: &Value, mut patch: Value) -> Value {
    let version = object.pointer("/metadata/resourceVersion");
    if let (Some(fields), Some(version)) = (patch.as_object_mut(), version) {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("resourceVersion".to_owned(), version.clone());
        }
    }
    patch
}

/// For one call, its retries included: a server that restarts is away for less.
pub(super) fn budget() -> Budget {
    Budget::lasting(Duration::from_secs(10))
}
