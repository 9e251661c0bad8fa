//! What the types of Secrets ask for.

use serde_json::{Value, json};

use super::metadata::refused;
use super::{Api, Case, secret, with};

pub const CASES: &[Case] = &[
    ("a TLS Secret has a certificate and a key, of whatever content", |api| {
        let of = |values| typed("kubernetes.io/tls", values);
        let why = "[data[tls.crt]: Required value, data[tls.key]: Required value]";
        refused(api, &of(json!({})), "a", why)?;
        refused(api, &of(json!({"tls.crt": ""})), "a", "data[tls.key]: Required value")?;
        refused(api, &of(json!({"tls.key": ""})), "a", "data[tls.crt]: Required value")?;
        accepted(api, &of(json!({"tls.crt": "", "tls.key": "none", "more": ""})))
    }),
    ("a registry's configuration is a JSON object", |api| {
        for (kind, key) in [
            ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
            ("kubernetes.io/dockercfg", ".dockercfg"),
        ] {
            let of = |text: &str| typed(kind, json!({key: text}));
            let field = format!("data[{key}]");
            refused(api, &typed(kind, json!({})), "a", &format!("{field}: Required value"))?;
            for (text, why) in [
                ("", "unexpected end of JSON input"),
                ("{\"a\":", "unexpected end of JSON input"),
                ("hello", "invalid character 'h' looking for beginning of value"),
                ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
                ("1", "json: cannot unmarshal number into Go value of type map[string]interface {}"),
            ] {
                let why = format!("{field}: Invalid value: \"<secret contents redacted>\": {why}");
                refused(api, &of(text), "a", &why)?;
            }
            accepted(api, &of("{}"))?;
            api.delete(&format!("{}/a", api.core("secrets")))?.expect(200)?;
        }
        Ok(())
    }),
    ("a basic-auth Secret has a user or a password", |api| {
        let of = |values| typed("kubernetes.io/basic-auth", values);
        let why = "[data[username]: Required value, data[password]: Required value]";
        refused(api, &of(json!({"user": "u"})), "a", why)?;
        accepted(api, &of(json!({"password": "p"})))
    }),
    ("an SSH Secret has a key that is not empty", |api| {
        let of = |values| typed("kubernetes.io/ssh-auth", values);
        refused(api, &of(json!({})), "a", "data[ssh-privatekey]: Required value")?;
        refused(api, &of(json!({"ssh-privatekey": ""})), "a", "data[ssh-privatekey]: Required value")?;
        accepted(api, &of(json!({"ssh-privatekey": "k"})))
    }),
    ("a service account's token names the account", |api| {
        let object = typed("kubernetes.io/service-account-token", json!({}));
        let why = "metadata.annotations[kubernetes.io/service-account.name]: Required value";
        refused(api, &object, "a", why)?;
        refused(api, &with(object, "annotations", json!({"a": "b"})), "a", why)
    }),
    ("any other type asks for nothing", |api| {
        accepted(api, &typed("bootstrap.kubernetes.io/token", json!({})))?;
        api.delete(&format!("{}/a", api.core("secrets")))?.expect(200)?;
        accepted(api, &typed("any thing at all", json!({})))
    }),
    ("the rules hold for updates as well", |api| {
        let object = typed("kubernetes.io/tls", json!({"tls.crt": "", "tls.key": ""}));
        accepted(api, &object)?;
        let message = "Secret \"a\" is invalid: data[tls.key]: Required value";
        let path = format!("{}/a", api.core("secrets"));
        let half = typed("kubernetes.io/tls", json!({"tls.crt": ""}));
        api.put(&path, &half)?.fails(422, "Invalid", message)?;
        api.patch(&path, &json!({"data": {"tls.key": null}}))?.fails(422, "Invalid", message).map(drop)
    }),
];

fn typed(kind: &str, values: Value) -> Value {
    let mut object = secret("a", values);
    object["type"] = json!(kind);
    object
}

fn accepted(api: &Api, object: &Value) -> Result<(), String> {
    api.post(&api.core("secrets"), object)?.expect(201).map(drop)
}
