//! Names, labels, annotations and owners.

use serde_json::{Value, json};

use super::{Api, Case, class, holds, same, secret, with};

pub const CASES: &[Case] = &[
    ("a name is required", |api| {
        let why = "metadata.name: Required value: name or generateName is required";
        let message = format!("Secret \"\" is invalid: {why}");
        let body =
            api.post(&api.core("secrets"), &json!({"metadata": {}}))?.fails(422, "Invalid", &message)?;
        let cause = json!({
            "reason": "FieldValueRequired", "message": "Required value: name or generateName is required",
            "field": "metadata.name",
        });
        same("details", &body["details"], &json!({"kind": "Secret", "causes": [cause]}))
    }),
    ("a name is a DNS subdomain", |api| {
        for name in ["A", "a_b", "-a", "a.", "a..b", "a b"] {
            let why = format!("metadata.name: Invalid value: \"{name}\": {SUBDOMAIN_RULE}");
            refused(api, &secret(name, json!({})), name, &why)?;
        }
        api.post(&api.core("secrets"), &secret("a.b-c.1", json!({})))?.expect(201).map(drop)
    }),
    ("a name has at most 253 characters", |api| {
        let long = "a".repeat(254);
        let why = format!("metadata.name: Invalid value: \"{long}\": must be no more than 253 characters");
        refused(api, &secret(&long, json!({})), &long, &why)?;
        api.post(&api.core("secrets"), &secret(&long[1..], json!({})))?.expect(201).map(drop)
    }),
    ("a label's value has a form", |api| {
        for value in ["a b", "-", "_a", "a/b"] {
            let why = format!("metadata.labels: Invalid value: \"{value}\": {VALUE_RULE}");
            refused(api, &labelled("k", json!(value)), "a", &why)?;
        }
        let long = "a".repeat(64);
        let why = format!("metadata.labels: Invalid value: \"{long}\": must be no more than 63 bytes");
        refused(api, &labelled("k", json!(long)), "a", &why)?;
        for value in ["", &long[1..], "A.b_c-1"] {
            let path = format!("{}/a", api.core("secrets"));
            api.post(&api.core("secrets"), &labelled("k", json!(value)))?.expect(201)?;
            api.delete(&path)?.expect(200)?;
        }
        Ok(())
    }),
    ("a label's key has a form", |api| {
        let table = [
            ("a b", format!("name part must {NAME_RULE}")),
            ("UP/x", format!("prefix part {SUBDOMAIN_RULE}")),
            ("/x", "prefix part must be non-empty".to_owned()),
            (
                "a/b/c",
                format!(
                    "a valid label key must {NAME_RULE} with an optional DNS subdomain prefix and '/' \
                     (e.g. 'example.com/MyName')"
                ),
            ),
        ];
        for (key, why) in table {
            let why = format!("metadata.labels: Invalid value: \"{key}\": {why}");
            refused(api, &labelled(key, json!("v")), "a", &why)?;
        }
        Ok(())
    }),
    ("a label's value is a string", |api| {
        let why =
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string";
        let message = format!("Secret in version \"v1\" cannot be handled as a Secret: {why}");
        api.post(&api.core("secrets"), &labelled("k", json!(1)))?.fails(400, "BadRequest", &message).map(drop)
    }),
    ("an annotation's key has the form of a label's", |api| {
        let object = with(secret("a", json!({})), "annotations", json!({"a b": "any value at all"}));
        let why = format!("metadata.annotations: Invalid value: \"a b\": name part must {NAME_RULE}");
        refused(api, &object, "a", &why)
    }),
    ("annotations have 256 KiB", |api| {
        let of =
            |size: usize| with(secret("a", json!({})), "annotations", json!({"k": "a".repeat(size - 1)}));
        let why = "metadata.annotations: Too long: may not be more than 262144 bytes";
        refused(api, &of(256 * 1024 + 1), "a", why)?;
        api.post(&api.core("secrets"), &of(256 * 1024))?.expect(201).map(drop)
    }),
    ("several faults are told at once", |api| {
        let why = format!(
            "[metadata.name: Invalid value: \"B_\": {SUBDOMAIN_RULE}, \
             metadata.labels: Invalid value: \"-\": {VALUE_RULE}]"
        );
        refused(api, &with(labelled("k", json!("-")), "name", json!("B_")), "B_", &why)
    }),
    ("a custom object's metadata has the same rules", |api| {
        let classes = api.custom("secretproviderclasses");
        let why = format!("metadata.labels: Invalid value: \"-\": {VALUE_RULE}");
        let message = format!("SecretProviderClass.secrets-store.csi.x-k8s.io \"a\" is invalid: {why}");
        let object = with(class("a", "p"), "labels", json!({"k": "-"}));
        let body = api.post(&classes, &object)?.fails(422, "Invalid", &message)?;
        same("details' kind", &body["details"]["kind"], &json!("SecretProviderClass"))?;
        same("details' group", &body["details"]["group"], &json!("secrets-store.csi.x-k8s.io"))
    }),
    ("an owner says all that it is", |api| {
        let why = "[metadata.ownerReferences[0].apiVersion: Required value: must not be empty, \
                   metadata.ownerReferences[0].kind: Required value: must not be empty, \
                   metadata.ownerReferences[0].name: Required value: must not be empty, \
                   metadata.ownerReferences[0].uid: Required value: must not be empty]";
        refused(api, &with(secret("a", json!({})), "ownerReferences", json!([{}])), "a", why)
    }),
    ("an event owns nothing", |api| {
        let owner = json!({"apiVersion": "v1", "kind": "Event", "name": "y", "uid": "z"});
        let why = format!(
            "metadata.ownerReferences[0]: Invalid value: {owner}: /v1, Kind=Event is disallowed from being an owner"
        );
        refused(api, &with(secret("a", json!({})), "ownerReferences", json!([owner])), "a", &why)
    }),
    ("an owner that is named twice is kept once", |api| {
        let owners = json!([owner("z"), owner("z")]);
        let object = with(secret("a", json!({})), "ownerReferences", owners);
        let made = api.post(&api.core("secrets"), &object)?.expect(201)?;
        same("owners", &made["metadata"]["ownerReferences"], &json!([owner("z")]))
    }),
    ("empty metadata is not kept", |api| {
        let mut object = with(secret("a", json!({})), "labels", json!({}));
        object["metadata"]["annotations"] = json!({});
        object["metadata"]["ownerReferences"] = json!([]);
        let made = api.post(&api.core("secrets"), &object)?.expect(201)?;
        for field in ["labels", "annotations", "ownerReferences"] {
            holds(field, made["metadata"].get(field).is_none(), &made)?;
        }
        Ok(())
    }),
];

/// An error unless the server refuses the Secret for exactly that.
pub fn refused(api: &Api, object: &Value, name: &str, why: &str) -> Result<(), String> {
    let message = format!("Secret \"{name}\" is invalid: {why}");
    api.post(&api.core("secrets"), object)?.fails(422, "Invalid", &message).map(drop)
}

/// An owner of that uid, of a kind that no garbage collector knows, which therefore lets the object be.
pub fn owner(uid: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Nothing", "name": "y", "uid": uid})
}

fn labelled(key: &str, value: Value) -> Value {
    with(secret("a", json!({})), "labels", json!({key: value}))
}

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character \
     (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_RULE: &str = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// What a label's value must look like.
pub const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
     '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
