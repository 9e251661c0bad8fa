//! Secrets: notation, keys, sizes, and what cannot be changed.

use serde_json::json;

use super::metadata::refused;
use super::{Case, holds, same, secret, with};

pub const CASES: &[Case] = &[
    ("a Secret is Opaque unless it says otherwise", |api| {
        let made = api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        same("type", &made["type"], &json!("Opaque"))?;
        let mut empty = secret("b", json!({}));
        empty["type"] = json!("");
        let made = api.post(&api.core("secrets"), &empty)?.expect(201)?;
        same("type", &made["type"], &json!("Opaque"))
    }),
    ("plain text goes into the data and wins there", |api| {
        let mut object = secret("a", json!({"x": "plain", "z": ""}));
        object["data"] = json!({"x": "b3RoZXI=", "y": "aGk="});
        let made = api.post(&api.core("secrets"), &object)?.expect(201)?;
        same("data", &made["data"], &json!({"x": "cGxhaW4=", "y": "aGk=", "z": ""}))?;
        holds("no plain text", made.get("stringData").is_none(), &made)
    }),
    ("an empty Secret has no data", |api| {
        let mut object = secret("a", json!({}));
        object["data"] = json!({});
        let made = api.post(&api.core("secrets"), &object)?.expect(201)?;
        holds("no data", made.get("data").is_none(), &made)
    }),
    ("a value that is null is empty", |api| {
        let mut object = secret("a", json!({}));
        object["data"] = json!({"k": null});
        let made = api.post(&api.core("secrets"), &object)?.expect(201)?;
        same("data", &made["data"], &json!({"k": ""}))
    }),
    ("values are base64", |api| {
        for (value, position) in
            [("a", 0), ("!!!!", 0), ("aGk", 0), ("aGkhaGk", 4), ("aG-h", 2), ("aGk=aGk=", 4)]
        {
            let mut object = secret("a", json!({}));
            object["data"] = json!({"k": value});
            let message = format!(
                "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte {position}"
            );
            let reply = api.post(&api.core("secrets"), &object)?;
            reply.fails(400, "BadRequest", &message).map_err(|error| format!("{value}: {error}"))?;
        }
        let mut object = secret("a", json!({}));
        object["data"] = json!({"k": 1});
        let why = "json: cannot unmarshal number into Go struct field Secret.data of type []uint8";
        let message = format!("Secret in version \"v1\" cannot be handled as a Secret: {why}");
        api.post(&api.core("secrets"), &object)?.fails(400, "BadRequest", &message).map(drop)
    }),
    ("keys have a form", |api| {
        let long = "a".repeat(254);
        let table = [
            ("a b", KEY_RULE),
            ("a/b", KEY_RULE),
            ("", KEY_RULE),
            ("é", KEY_RULE),
            (".", "must not be '.'"),
            ("..", "must not be '..'"),
            ("..a", "must not start with '..'"),
            (&long, "must be no more than 253 characters"),
        ];
        for (key, why) in table {
            let why = format!("data[{key}]: Invalid value: \"{key}\": {why}");
            refused(api, &secret("a", json!({key: "v"})), "a", &why)?;
        }
        let allowed = secret("a", json!({".a": "v", "-": "v", "A_b.c-1": "v", &long[1..]: "v"}));
        api.post(&api.core("secrets"), &allowed)?.expect(201).map(drop)
    }),
    ("all values together have 1 MiB", |api| {
        let of = |size: usize| secret("a", json!({"x": "a".repeat(size - 1), "y": "a"}));
        refused(api, &of(1024 * 1024 + 1), "a", "data: Too long: may not be more than 1048576 bytes")?;
        api.post(&api.core("secrets"), &of(1024 * 1024))?.expect(201).map(drop)
    }),
    ("the type does not change", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let message = "Secret \"a\" is invalid: type: Invalid value: \"x/y\": field is immutable";
        let mut other = secret("a", json!({}));
        other["type"] = json!("x/y");
        let body = api.put(&path, &other)?.fails(422, "Invalid", message)?;
        let cause = json!({
            "reason": "FieldValueInvalid", "message": "Invalid value: \"x/y\": field is immutable",
            "field": "type",
        });
        let details = json!({"name": "a", "kind": "Secret", "causes": [cause]});
        same("details", &body["details"], &details)?;
        api.patch(&path, &json!({"type": "x/y"}))?.fails(422, "Invalid", message).map(drop)
    }),
    ("a Secret that is replaced without a type has the usual one, which may be another", |api| {
        let mut typed = secret("a", json!({}));
        typed["type"] = json!("x/y");
        api.post(&api.core("secrets"), &typed)?.expect(201)?;
        let message = "Secret \"a\" is invalid: type: Invalid value: \"Opaque\": field is immutable";
        let path = format!("{}/a", api.core("secrets"));
        api.put(&path, &secret("a", json!({})))?.fails(422, "Invalid", message).map(drop)
    }),
    ("an immutable Secret keeps its data and stays immutable", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let immutable = |value: &str| {
            let mut object = secret("a", json!({"k": value}));
            object["immutable"] = json!(true);
            object
        };
        api.post(&api.core("secrets"), &immutable("1"))?.expect(201)?;
        let why = "Forbidden: field is immutable when `immutable` is set";
        let data = format!("Secret \"a\" is invalid: data: {why}");
        api.put(&path, &immutable("2"))?.fails(422, "Invalid", &data)?;
        api.patch(&path, &json!({"data": {"k": "Mg=="}}))?.fails(422, "Invalid", &data)?;
        let flag = format!("Secret \"a\" is invalid: immutable: {why}");
        api.put(&path, &secret("a", json!({"k": "1"})))?.fails(422, "Invalid", &flag)?;
        let both = format!("Secret \"a\" is invalid: [immutable: {why}, data: {why}]");
        api.put(&path, &secret("a", json!({"k": "2"})))?.fails(422, "Invalid", &both)?;
        api.put(&path, &with(immutable("1"), "labels", json!({"x": "y"})))?.expect(200)?;
        api.delete(&path)?.expect(200).map(drop)
    }),
];

const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
     (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
