//! What the administrator asks for: the spec of a ClusterCSIDriver, read into types.
//!
//! The API server has checked it against the CustomResourceDefinition. A value that this operator does not know is kept
//! as what it is, and a value of a type that cannot be is an error: nothing is guessed.

use std::fmt;

use serde_json::Value;

use super::rotation::RotationSetting;
use super::token_requests::TokenSetting;

/// The spec, as far as the operator acts on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// How much the driver logs.
    pub log_level: LogLevel,
    /// How much the operator logs.
    pub operator_log_level: LogLevel,
    /// Refreshing volumes.
    pub rotation: RotationSetting,
    /// Tokens for providers.
    pub tokens: TokenSetting,
}

/// `managementState`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ManagementState {
    /// The driver is installed and kept as it should be.
    Managed,
    /// Nothing is touched.
    Unmanaged,
    /// Everything that the operator made is removed.
    Removed,
    /// Not given.
    #[default]
    Absent,
    /// `Force`, or a value of a newer API.
    Other(String),
}

/// `logLevel` and `operatorLogLevel`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// The default.
    #[default]
    Normal,
    /// More.
    Debug,
    /// Much more.
    Trace,
    /// Everything.
    TraceAll,
    /// A value of a newer API.
    Other(String),
}

/// The spec holds something that the API server should have refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    path: String,
    must: &'static str,
}

impl Spec {
    /// Reads a ClusterCSIDriver.
    ///
    /// # Errors
    /// [`SpecError`] where a value has a type that the definition does not allow.
    pub fn read(object: &Value) -> Result<Spec, SpecError> {
        let Some(spec) = field(object, "spec", "the object")? else { return Ok(Spec::default()) };
        let store = secrets_store(spec)?;
        let part = |name| store.map_or(Ok(None), |store| field(store, name, STORE));
        Ok(Spec {
            log_level: LogLevel::of(text(spec, "logLevel", "spec")?),
            operator_log_level: LogLevel::of(text(spec, "operatorLogLevel", "spec")?),
            rotation: RotationSetting::read(part("secretRotation")?)?,
            tokens: TokenSetting::read(part("tokenRequests")?)?,
        })
    }
}

/// The branch of the union that is this driver's; none where the union is about another one.
fn secrets_store(spec: &Value) -> Result<Option<&Value>, SpecError> {
    let Some(config) = field(spec, "driverConfig", "spec")? else { return Ok(None) };
    match text(config, "driverType", "spec.driverConfig")? {
        Some("SecretsStore") => field(config, "secretsStore", "spec.driverConfig"),
        _ => Ok(None),
    }
}

impl ManagementState {
    /// Reads it from a ClusterCSIDriver, whatever else is wrong with that.
    ///
    /// # Errors
    /// [`SpecError`] where it is not text.
    pub fn read(object: &Value) -> Result<ManagementState, SpecError> {
        let Some(spec) = field(object, "spec", "the object")? else { return Ok(ManagementState::Absent) };
        Ok(ManagementState::of(text(spec, "managementState", "spec")?))
    }

    fn of(text: Option<&str>) -> ManagementState {
        match text {
            None | Some("") => ManagementState::Absent,
            Some("Managed") => ManagementState::Managed,
            Some("Unmanaged") => ManagementState::Unmanaged,
            Some("Removed") => ManagementState::Removed,
            Some(other) => ManagementState::Other(other.to_owned()),
        }
    }
}

impl LogLevel {
    fn of(text: Option<&str>) -> LogLevel {
        match text {
            None | Some("" | "Normal") => LogLevel::Normal,
            Some("Debug") => LogLevel::Debug,
            Some("Trace") => LogLevel::Trace,
            Some("TraceAll") => LogLevel::TraceAll,
            Some(other) => LogLevel::Other(other.to_owned()),
        }
    }

    /// As klog's `-v`.
    pub fn verbosity(&self) -> i32 {
        match self {
            LogLevel::Normal | LogLevel::Other(_) => 2,
            LogLevel::Debug => 4,
            LogLevel::Trace => 6,
            LogLevel::TraceAll => 8,
        }
    }
}

/// A field that is there and not null; `object` has to be an object.
pub(super) fn field<'a>(object: &'a Value, name: &str, path: &str) -> Result<Option<&'a Value>, SpecError> {
    match object {
        Value::Object(fields) => Ok(fields.get(name).filter(|value| !value.is_null())),
        _ => Err(SpecError { path: path.to_owned(), must: "be an object" }),
    }
}

/// The same, which has to be text.
pub(super) fn text<'a>(object: &'a Value, name: &str, path: &str) -> Result<Option<&'a str>, SpecError> {
    typed(object, name, path, "be text", Value::as_str)
}

/// The same, which has to be a whole number.
pub(super) fn number(object: &Value, name: &str, path: &str) -> Result<Option<i64>, SpecError> {
    typed(object, name, path, "be a whole number", Value::as_i64)
}

/// The same, which has to be a list.
pub(super) fn list<'a>(
    object: &'a Value,
    name: &str,
    path: &str,
) -> Result<Option<&'a Vec<Value>>, SpecError> {
    typed(object, name, path, "be a list", Value::as_array)
}

fn typed<'a, T>(
    object: &'a Value,
    name: &str,
    path: &str,
    must: &'static str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, SpecError> {
    let wrong = || SpecError { path: format!("{path}.{name}"), must };
    field(object, name, path)?.map(|value| read(value).ok_or_else(wrong)).transpose()
}

const STORE: &str = "spec.driverConfig.secretsStore";

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpecError { path, must } = self;
        write!(
            f,
            "could not read the ClusterCSIDriver: {path} must {must}; correct it, and install the \
             CustomResourceDefinition that belongs to this operator, which refuses such an object"
        )
    }
}

impl std::error::Error for SpecError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> Spec {
        Spec::read(&json!({"spec": spec})).unwrap()
    }

    #[test]
    fn an_empty_object_is_all_defaults() {
        for object in [json!({}), json!({"spec": null}), json!({"spec": {}})] {
            assert_eq!(Spec::read(&object), Ok(Spec::default()));
        }
        assert_eq!(read(&json!({"logLevel": ""})), Spec::default());
        assert_eq!(ManagementState::read(&json!({})), Ok(ManagementState::Absent));
    }

    #[test]
    fn each_management_state_is_told_apart() {
        let other = |text: &str| ManagementState::Other(text.into());
        let rows = [
            ("Managed", ManagementState::Managed),
            ("Unmanaged", ManagementState::Unmanaged),
            ("Removed", ManagementState::Removed),
            ("", ManagementState::Absent),
            ("Force", other("Force")),
            ("managed", other("managed")),
        ];
        for (text, expected) in rows {
            let object = json!({"spec": {"managementState": text, "driverConfig": "unreadable"}});
            assert_eq!(ManagementState::read(&object), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_log_level_has_its_verbosity() {
        let rows = [("", 2), ("Normal", 2), ("Debug", 4), ("Trace", 6), ("TraceAll", 8), ("Loud", 2)];
        for (text, verbosity) in rows {
            let spec = read(&json!({"logLevel": text, "operatorLogLevel": "Debug"}));
            assert_eq!(spec.log_level.verbosity(), verbosity, "{text}");
            assert_eq!(spec.operator_log_level, LogLevel::Debug);
        }
    }

    #[test]
    fn only_the_branch_of_this_driver_counts() {
        let store = json!({"secretRotation": {"type": "None"}, "tokenRequests": {"type": "Unmanaged"}});
        let config = |kind: &str| json!({"driverConfig": {"driverType": kind, "secretsStore": store}});
        let ours = read(&config("SecretsStore"));
        assert_eq!((ours.rotation, ours.tokens), (RotationSetting::None, TokenSetting::Unmanaged));
        for kind in ["", "AWS", "secretsstore"] {
            assert_eq!(read(&config(kind)), Spec::default(), "{kind}");
        }
        let empty = json!({"driverConfig": {"driverType": "SecretsStore", "secretsStore": {}}});
        assert_eq!(read(&empty), Spec::default());
        let absent = json!({"driverConfig": {"driverType": "SecretsStore"}});
        assert_eq!(read(&absent), Spec::default());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_that_names_its_place() {
        let rows = [
            (json!({"spec": 1}), "spec must"),
            (json!({"spec": {"logLevel": 1}}), "spec.logLevel must"),
            (json!({"spec": {"driverConfig": "x"}}), "spec.driverConfig must"),
        ];
        for (object, expected) in rows {
            let error = Spec::read(&object).map(drop);
            let text = error.map_or_else(|error| error.to_string(), |()| "accepted".to_owned());
            assert!(text.contains(expected), "{text}");
        }
    }
}
