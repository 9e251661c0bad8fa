//! Which service account tokens kubelet hands to the driver, as the administrator wants it.
//!
//! The list on the CSIDriver may be the operator's or the administrator's own. Only a list that is written down here
//! replaces what is there; an empty one clears it, and one that is left out says nothing.

use serde_json::{Map, Value, json};

use super::spec::{SpecError, field, list, number, text};

/// `tokenRequests`, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenSetting {
    /// Left out, or for another driver.
    #[default]
    Absent,
    /// The CSIDriver's list is the administrator's own.
    Unmanaged,
    /// The CSIDriver's list is this one.
    Managed(Audiences),
    /// A type that this operator does not know.
    Other(String),
}

/// `audiences`, where what is left out and what is empty are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// Left out: says nothing.
    Absent,
    /// Empty: no token at all.
    Empty,
    /// These, in this order; never empty.
    These(Vec<TokenRequest>),
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// For whom; empty for the API server's own audience.
    pub audience: String,
    /// How long it is good for in seconds; `None` for the API server's default.
    pub expiration_seconds: Option<i64>,
}

impl TokenSetting {
    /// Reads the part of the object.
    pub(super) fn read(setting: Option<&Value>) -> Result<TokenSetting, SpecError> {
        let Some(setting) = setting else { return Ok(TokenSetting::Absent) };
        Ok(match text(setting, "type", PATH)? {
            None | Some("") => TokenSetting::Absent,
            Some("Unmanaged") => TokenSetting::Unmanaged,
            Some("Managed") => TokenSetting::Managed(Audiences::read(field(setting, "managed", PATH)?)?),
            Some(other) => TokenSetting::Other(other.to_owned()),
        })
    }

    /// The list that a CSIDriver with the list `live` should have, each entry as the API has it.
    pub fn effective(&self, live: &[Value]) -> Vec<Value> {
        match self {
            TokenSetting::Absent
            | TokenSetting::Unmanaged
            | TokenSetting::Other(_)
            | TokenSetting::Managed(Audiences::Absent) => live.to_vec(),
            TokenSetting::Managed(Audiences::Empty) => Vec::new(),
            TokenSetting::Managed(Audiences::These(requests)) => {
                requests.iter().map(TokenRequest::json).collect()
            }
        }
    }

    /// Whether the list is not the operator's, and so can be lost with the CSIDriver that has it.
    pub fn leaves_live_list(&self) -> bool {
        !matches!(self, TokenSetting::Managed(Audiences::Empty | Audiences::These(_)))
    }
}

impl Audiences {
    fn read(managed: Option<&Value>) -> Result<Audiences, SpecError> {
        let Some(audiences) = managed.map(|managed| list(managed, "audiences", PATH)).transpose()?.flatten()
        else {
            return Ok(Audiences::Absent);
        };
        let requests = audiences.iter().map(TokenRequest::read).collect::<Result<Vec<_>, _>>()?;
        Ok(if requests.is_empty() { Audiences::Empty } else { Audiences::These(requests) })
    }
}

impl TokenRequest {
    fn read(entry: &Value) -> Result<TokenRequest, SpecError> {
        Ok(TokenRequest {
            audience: text(entry, "audience", PATH)?.unwrap_or_default().to_owned(),
            expiration_seconds: number(entry, "expirationSeconds", PATH)?.filter(|seconds| *seconds != 0),
        })
    }

    fn json(&self) -> Value {
        let mut entry = Map::from_iter([("audience".to_owned(), json!(self.audience))]);
        if let Some(seconds) = self.expiration_seconds {
            entry.insert("expirationSeconds".to_owned(), json!(seconds));
        }
        Value::Object(entry)
    }
}

const PATH: &str = "spec.driverConfig.secretsStore.tokenRequests";

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(audiences: &Value) -> Value {
        json!({"type": "Managed", "managed": {"audiences": audiences}})
    }

    #[test]
    fn each_form_of_the_setting_has_its_effect_on_the_live_list() {
        let live = vec![json!({"audience": "hand-made", "expirationSeconds": 700})];
        let one = json!([{"audience": "vault", "expirationSeconds": 3600}]);
        let two = json!([{"audience": "b"}, {"audience": "a", "expirationSeconds": 7200}]);
        let rows = [
            ("absent", None, json!(live)),
            ("no type", Some(json!({})), json!(live)),
            ("Unmanaged", Some(json!({"type": "Unmanaged"})), json!(live)),
            ("unknown", Some(json!({"type": "Shared"})), json!(live)),
            ("Managed without managed", Some(json!({"type": "Managed"})), json!(live)),
            ("Managed without audiences", Some(json!({"type": "Managed", "managed": {}})), json!(live)),
            ("Managed, null", Some(managed(&Value::Null)), json!(live)),
            ("Managed, empty", Some(managed(&json!([]))), json!([])),
            ("Managed, one", Some(managed(&one)), one.clone()),
            ("Managed, two in order", Some(managed(&two)), two.clone()),
            (
                "the API server's audience",
                Some(managed(&json!([{"audience": ""}]))),
                json!([{"audience": ""}]),
            ),
            (
                "an expiration of zero",
                Some(managed(&json!([{"audience": "a", "expirationSeconds": 0}]))),
                json!([{"audience": "a"}]),
            ),
        ];
        for (name, setting, expected) in rows {
            let setting = TokenSetting::read(setting.as_ref()).unwrap();
            assert_eq!(json!(setting.effective(&live)), expected, "{name}");
            assert_eq!(setting.leaves_live_list(), expected == json!(live), "{name}");
        }
    }

    #[test]
    fn what_is_left_out_what_is_empty_and_what_is_there_are_three_things() {
        let read = |setting: Value| TokenSetting::read(Some(&setting)).unwrap();
        let vault = TokenRequest { audience: "vault".into(), expiration_seconds: None };
        let absent = read(json!({"type": "Managed", "managed": {}}));
        assert_eq!(absent, TokenSetting::Managed(Audiences::Absent));
        assert_eq!(read(managed(&json!([]))), TokenSetting::Managed(Audiences::Empty));
        let these = read(managed(&json!([{"audience": "vault"}])));
        assert_eq!(these, TokenSetting::Managed(Audiences::These(vec![vault])));
        assert_eq!(read(json!({"type": "Shared"})), TokenSetting::Other("Shared".into()));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_and_never_an_empty_list() {
        for audiences in [json!("x"), json!({}), json!(["x"]), json!([{"audience": 7}])] {
            let error = TokenSetting::read(Some(&managed(&audiences))).unwrap_err().to_string();
            assert!(error.contains("spec.driverConfig.secretsStore.tokenRequests"), "{error}");
        }
    }
}
