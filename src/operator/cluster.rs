//! The API server as the operator uses it: every call within a time, and no write without the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::events::Events;
use super::failure::Failure;
use super::identity::{CLUSTER_CSI_DRIVER, DRIVER, OPERATOR};
use super::leadership::Leadership;
use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::object::{ObjectRef, Preconditions};
use kube::resource::{CLUSTER_CSI_DRIVERS, Resource};
use metrics::OperatorMetrics;

/// Reads freely, writes while this process leads.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) leadership: Arc<Leadership>,
    pub(super) metrics: Arc<OperatorMetrics>,
    pub(super) events: Events,
}

/// The object that asks for the driver.
pub fn request() -> ObjectRef {
    ObjectRef::cluster(&CLUSTER_CSI_DRIVERS, DRIVER)
}

impl Cluster {
    /// The object, if it is there.
    pub fn find(&self, at: &ObjectRef) -> Result<Option<Value>, Failure> {
        Ok(self.client.find_object(at, budget())?)
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
        self.write(kind, "create", at, || self.client.create_object(at, object, budget()))
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
        self.write(kind, "update", at, || self.client.replace_object(at, object, budget()))
    }

    pub(super) fn delete(
        &self,
        kind: &'static str,
        at: &ObjectRef,
        preconditions: &Preconditions,
    ) -> Result<bool, Refusal> {
        self.write(kind, "delete", at, || self.client.delete_object(at, preconditions, budget()))
    }

    /// Changes some fields of the object that asks for the driver.
    pub(super) fn merge_request(&self, patch: &Value) -> Result<Value, Refusal> {
        self.permit()?;
        self.client.merge_object(&request(), patch, budget()).map_err(Refusal::Api)
    }

    /// Changes some fields of its status, whoever has set them.
    pub(super) fn merge_status(&self, patch: &Value) -> Result<Value, Refusal> {
        self.permit()?;
        self.client.merge_status(&request(), patch, budget()).map_err(Refusal::Api)
    }

    /// Writes the operator's part of its status.
    pub(super) fn report(&self, status: &Value) -> Result<Value, Refusal> {
        self.permit()?;
        let written = self.client.apply_status(&request(), CLUSTER_CSI_DRIVER, OPERATOR, status, budget());
        written.map_err(Refusal::Api)
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

/// For one call, its retries included: a server that restarts is away for less.
pub(super) fn budget() -> Budget {
    Budget::lasting(Duration::from_secs(10))
}
