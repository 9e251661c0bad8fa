//! JSON merge patch.

use serde_json::json;

use super::metadata::owner;
use super::objects::MODIFIED;
use super::{Case, class, holds, same, secret, version, with};

pub const CASES: &[Case] = &[
    ("a patch adds, replaces, and removes by null", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let object = with(secret("a", json!({"x": "1", "y": "1"})), "labels", json!({"k": "1", "l": "1"}));
        api.post(&api.core("secrets"), &object)?.expect(201)?;
        let patch = json!({
            "data": {"x": "Mg==", "y": null, "z": "Mw==", "none": null},
            "metadata": {"labels": {"k": null, "m": "2"}},
        });
        let patched = api.patch(&path, &patch)?.expect(200)?;
        same("data", &patched["data"], &json!({"x": "Mg==", "z": "Mw=="}))?;
        same("labels", &patched["metadata"]["labels"], &json!({"l": "1", "m": "2"}))?;
        let patched = api.patch(&path, &json!({"metadata": {"labels": null}}))?.expect(200)?;
        holds("no labels", patched["metadata"].get("labels").is_none(), &patched)
    }),
    ("a patch replaces a list as a whole", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let object = with(secret("a", json!({})), "ownerReferences", json!([owner("1"), owner("2")]));
        api.post(&api.core("secrets"), &object)?.expect(201)?;
        let patch = json!({"metadata": {"ownerReferences": [owner("3")]}});
        let patched = api.patch(&path, &patch)?.expect(200)?;
        same("owners", &patched["metadata"]["ownerReferences"], &json!([owner("3")]))
    }),
    ("a patch that changes nothing changes no version", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let made = with(secret("a", json!({"k": "v"})), "labels", json!({"x": "y"}));
        let made = api.post(&api.core("secrets"), &made)?.expect(201)?;
        for patch in [json!({}), json!({"metadata": {"labels": {"x": "y"}}, "data": {"k": "dg=="}})] {
            same("object", api.patch_as("another", &path, &patch)?.expect(200)?, made.clone())?;
        }
        Ok(())
    }),
    ("a patch that names an old version is a conflict, even if it changes nothing", |api| {
        for (collection, qualified, object) in [
            (api.core("secrets"), "secrets", secret("a", json!({}))),
            (
                api.custom("secretproviderclasses"),
                "secretproviderclasses.secrets-store.csi.x-k8s.io",
                class("a", "p"),
            ),
        ] {
            api.post(&collection, &object)?.expect(201)?;
            let path = format!("{collection}/a");
            let message = format!("Operation cannot be fulfilled on {qualified} \"a\": {MODIFIED}");
            for labels in [json!({"x": "y"}), json!({})] {
                let patch = json!({"metadata": {"resourceVersion": "3", "labels": labels}});
                api.patch(&path, &patch)?.fails(409, "Conflict", &message)?;
            }
        }
        Ok(())
    }),
    ("a patch that names the latest version is applied", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let made = api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let patch = json!({"metadata": {"resourceVersion": version(&made), "labels": {"x": "y"}}});
        let patched = api.patch(&path, &patch)?.expect(200)?;
        holds("another version", version(&patched) != version(&made), &patched)?;
        same("labels", &patched["metadata"]["labels"], &json!({"x": "y"}))
    }),
    ("a patch with an empty version or none is applied", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        for (name, version) in [("x", json!("")), ("y", json!(null))] {
            let patch = json!({"metadata": {"resourceVersion": version, "labels": {name: "1"}}});
            let patched = api.patch(&path, &patch)?.expect(200)?;
            same(name, &patched["metadata"]["labels"][name], &json!("1"))?;
        }
        Ok(())
    }),
    ("a version that is no number is the server's failure", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let message = "strconv.ParseUint: parsing \"abc\": invalid syntax";
        let patch = json!({"metadata": {"resourceVersion": "abc"}});
        api.patch(&path, &patch)?.fails(500, "", message).map(drop)
    }),
    ("a patch cannot change name, namespace or uid", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let message = "the name of the object (b) does not match the name on the URL (a)";
        api.patch(&path, &json!({"metadata": {"name": "b"}}))?.fails(400, "BadRequest", message)?;
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        api.patch(&path, &json!({"metadata": {"namespace": "b"}}))?.fails(400, "BadRequest", message)?;
        let message = "Secret \"a\" is invalid: metadata.uid: Invalid value: \"b\": field is immutable";
        api.patch(&path, &json!({"metadata": {"uid": "b"}}))?.fails(422, "Invalid", message).map(drop)
    }),
    ("a patched object passes the checks of any other", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "y"});
        let why = "metadata.ownerReferences[0].uid: Required value: must not be empty";
        let message = format!("Secret \"a\" is invalid: {why}");
        let patch = json!({"metadata": {"ownerReferences": [owner]}});
        api.patch(&path, &patch)?.fails(422, "Invalid", &message).map(drop)
    }),
    ("a patch to what the kind cannot hold is told with the whole object", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({"k": "v"})))?.expect(201)?;
        let reply = api.patch(&path, &json!({"data": {"bad": "!"}}))?;
        let message = reply.body["message"].as_str().unwrap_or("");
        same("code", reply.code, 422)?;
        // A client must not repeat this text anywhere: it holds the values.
        let is_so = message.starts_with(" \"\" is invalid: patch: Invalid value: \"{")
            && message.contains("dg==")
            && message.ends_with("illegal base64 data at input byte 0");
        holds("the message", is_so, &reply.body)
    }),
    ("plain text is patched into the data", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({"x": "1"})))?.expect(201)?;
        let patched = api.patch(&path, &json!({"stringData": {"y": "2"}}))?.expect(200)?;
        same("data", &patched["data"], &json!({"x": "MQ==", "y": "Mg=="}))
    }),
    ("a patch is a JSON object", |api| {
        let path = format!("{}/a", api.core("secrets"));
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let into = "Go value of type map[string]interface {}";
        for (body, why) in [
            ("{", "invalid JSON patch".to_owned()),
            ("[]", format!("error decoding patch: json: cannot unmarshal array into {into}")),
            ("\"x\"", format!("error decoding patch: json: cannot unmarshal string into {into}")),
        ] {
            let headers = [("Content-Type", "application/merge-patch+json")];
            let message = why;
            api.ask("PATCH", &path, &headers, body)?.fails(400, "BadRequest", &message)?;
        }
        Ok(())
    }),
    ("a custom object takes no strategic merge patch", |api| {
        let classes = api.custom("secretproviderclasses");
        api.post(&classes, &class("a", "p"))?.expect(201)?;
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        for kind in ["application/strategic-merge-patch+json", "application/json"] {
            let reply = api.ask("PATCH", &format!("{classes}/a"), &[("Content-Type", kind)], "{}")?;
            reply.fails(415, "UnsupportedMediaType", message)?;
        }
        Ok(())
    }),
];
