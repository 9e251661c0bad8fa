//! Create, read, update, delete: what holds for every kind.

use serde_json::json;

use super::{Case, class, holds, pod, same, secret, version, with};

pub const CASES: &[Case] = &[
    ("a created object gets an identity, a version and a time", |api| {
        let made = api.post(&api.core("secrets"), &secret("a", json!({"k": "v"})))?.expect(201)?;
        let metadata = &made["metadata"];
        same("namespace", &metadata["namespace"], &json!(api.namespace()))?;
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            holds(field, metadata[field].as_str().is_some_and(|text| !text.is_empty()), &made)?;
        }
        same("get", api.get(&format!("{}/a", api.core("secrets")))?.expect(200)?, made)
    }),
    ("an object that exists cannot be created", |api| {
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let reply = api.post(&api.core("secrets"), &secret("a", json!({})))?;
        let body = reply.fails(409, "AlreadyExists", "secrets \"a\" already exists")?;
        same("details", &body["details"], &json!({"name": "a", "kind": "secrets"}))
    }),
    ("a custom object that exists cannot be created", |api| {
        let classes = api.custom("secretproviderclasses");
        api.post(&classes, &class("a", "p"))?.expect(201)?;
        let message = format!("{CLASSES} \"a\" already exists");
        let body = api.post(&classes, &class("a", "p"))?.fails(409, "AlreadyExists", &message)?;
        let details = json!({"name": "a", "group": GROUP, "kind": "secretproviderclasses"});
        same("details", &body["details"], &details)
    }),
    ("a missing object is not found, by any verb", |api| {
        let path = format!("{}/zz", api.core("secrets"));
        let message = "secrets \"zz\" not found";
        let body = api.get(&path)?.fails(404, "NotFound", message)?;
        same("details", &body["details"], &json!({"name": "zz", "kind": "secrets"}))?;
        api.put(&path, &secret("zz", json!({})))?.fails(404, "NotFound", message)?;
        let stale = with(secret("zz", json!({})), "resourceVersion", json!("5"));
        api.put(&path, &stale)?.fails(404, "NotFound", message)?;
        api.patch(&path, &json!({"data": {}}))?.fails(404, "NotFound", message)?;
        api.delete(&path)?.fails(404, "NotFound", message)?;
        let path = format!("{}/zz", api.custom("secretproviderclasses"));
        let message = format!("{CLASSES} \"zz\" not found");
        api.get(&path)?.fails(404, "NotFound", &message)?;
        api.put(&path, &class("zz", "p"))?.fails(404, "NotFound", &message)?;
        api.patch(&path, &json!({"spec": {}}))?.fails(404, "NotFound", &message)?;
        api.delete(&path)?.fails(404, "NotFound", &message).map(drop)
    }),
    ("an unknown core resource could not be found", |api| {
        let message = "the server could not find the requested resource";
        let body = api.get(&api.core("things"))?.fails(404, "NotFound", message)?;
        same("details", &body["details"], &json!({}))
    }),
    ("an unknown custom resource, and its group, are pages that are not found", |api| {
        let paths = [
            api.custom("things"),
            format!("{}/x", api.custom("things")),
            format!("/apis/none.x-k8s.io/v1/namespaces/{}/things", api.namespace()),
            "/nothing".to_owned(),
        ];
        for path in paths {
            let reply = api.get(&path)?;
            same(&path, (reply.code, reply.text.as_str()), (404, "404 page not found\n"))?;
            same("type", reply.content_type.as_str(), "text/plain; charset=utf-8")?;
        }
        Ok(())
    }),
    ("a method that a path does not take is not allowed", |api| {
        let secrets = api.core("secrets");
        let message = "the server does not allow this method on the requested resource";
        for (method, path) in [
            ("BREW", secrets.clone()),
            ("POST", format!("{secrets}/a")),
            ("PUT", secrets.clone()),
            ("POST", "/api/v1/secrets".to_owned()),
        ] {
            let body = secret("a", json!({})).to_string();
            api.ask(method, &path, &[], &body)?.fails(405, "MethodNotAllowed", message)?;
        }
        Ok(())
    }),
    ("a Secret is replaced without a version", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let first = with(secret("a", json!({"k": "1", "l": "1"})), "labels", json!({"x": "y"}));
        let first = api.post(&api.core("secrets"), &first)?.expect(201)?;
        let second = api.put(&path, &secret("a", json!({"k": "2"})))?.expect(200)?;
        same("data", &second["data"], &json!({"k": "Mg=="}))?;
        same("labels", &second["metadata"]["labels"], &json!(null))?;
        for field in ["uid", "creationTimestamp"] {
            same(field, &second["metadata"][field], &first["metadata"][field])?;
        }
        holds("the version is another", version(&second) != version(&first), &second)
    }),
    ("a custom object is not replaced without a version", |api| {
        let classes = api.custom("secretproviderclasses");
        api.post(&classes, &class("a", "p"))?.expect(201)?;
        let problem = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        let message = format!("{CLASSES} \"a\" is invalid: {problem}");
        let body = api.put(&format!("{classes}/a"), &class("a", "q"))?.fails(422, "Invalid", &message)?;
        same("details' kind", &body["details"]["kind"], &json!("secretproviderclasses"))?;
        same("cause", &body["details"]["causes"][0]["field"], &json!("metadata.resourceVersion"))
    }),
    ("an update of an old version is a conflict", |api| {
        let stale = |object| with(object, "resourceVersion", json!("5"));
        for (collection, qualified, object) in [
            (api.core("secrets"), "secrets", secret("a", json!({}))),
            (api.custom("secretproviderclasses"), CLASSES, class("a", "p")),
        ] {
            api.post(&collection, &object)?.expect(201)?;
            let message = format!("Operation cannot be fulfilled on {qualified} \"a\": {MODIFIED}");
            api.put(&format!("{collection}/a"), &stale(object))?.fails(409, "Conflict", &message)?;
        }
        Ok(())
    }),
    ("an update of another uid is a conflict", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let made = api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let uid = made["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let other = with(secret("a", json!({})), "uid", json!("other"));
        let message = format!(
            "Operation cannot be fulfilled on secrets \"a\": StorageError: invalid object, Code: 4, Key: \
             /registry/secrets/{}/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
             precondition: other, UID in object meta: {uid}",
            api.namespace()
        );
        api.put(&path, &other)?.fails(409, "Conflict", &message).map(drop)
    }),
    ("an update that changes nothing changes no version", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let made = api.post(&api.core("secrets"), &secret("a", json!({"k": "v"})))?.expect(201)?;
        let again = api.put(&path, &secret("a", json!({"k": "v"})))?.expect(200)?;
        same("object", again, made)?;
        let path = format!("{}/a", api.custom("secretproviderclasses"));
        let made = api.post(&api.custom("secretproviderclasses"), &class("a", "p"))?.expect(201)?;
        same("custom object", api.put(&path, &made)?.expect(200)?, made)
    }),
    ("the generation of a custom object counts its contents, not its metadata", |api| {
        let path = format!("{}/a", api.custom("secretproviderclasses"));
        let made = api.post(&api.custom("secretproviderclasses"), &class("a", "p"))?.expect(201)?;
        same("at first", &made["metadata"]["generation"], &json!(1))?;
        let labelled = with(made, "labels", json!({"x": "y"}));
        let labelled = api.put(&path, &labelled)?.expect(200)?;
        same("after a label", &labelled["metadata"]["generation"], &json!(1))?;
        let mut changed = labelled;
        changed["spec"]["provider"] = json!("q");
        let changed = api.put(&path, &changed)?.expect(200)?;
        same("after a change", &changed["metadata"]["generation"], &json!(2))
    }),
    ("a Secret has no generation", |api| {
        let made = api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        same("generation", &made["metadata"]["generation"], &json!(null))
    }),
    ("a recreated object has another uid", |api| {
        let (secrets, path) = (api.core("secrets"), format!("{}/a", api.core("secrets")));
        let first = api.post(&secrets, &secret("a", json!({})))?.expect(201)?;
        let gone = api.delete(&path)?.expect(200)?;
        same("status", &gone["status"], &json!("Success"))?;
        let uid = &first["metadata"]["uid"];
        same("details", &gone["details"], &json!({"name": "a", "kind": "secrets", "uid": uid}))?;
        let second = api.post(&secrets, &secret("a", json!({})))?.expect(201)?;
        holds("the uid is another", second["metadata"]["uid"] != *uid, &second)
    }),
    ("a delete of another uid or version is a conflict", |api| {
        let classes = api.custom("secretproviderclasses");
        let made = api.post(&classes, &class("a", "p"))?.expect(201)?;
        let (uid, version) = (made["metadata"]["uid"].as_str().unwrap_or(""), version(&made));
        for (field, why) in [
            (
                "uid",
                format!(
                    "the UID in the precondition (x) does not match the UID in record ({uid}). The object might \
                     have been deleted and then recreated"
                ),
            ),
            (
                "resourceVersion",
                format!(
                    "the ResourceVersion in the precondition (x) does not match the ResourceVersion in record \
                     ({version}). The object might have been modified"
                ),
            ),
        ] {
            let options = json!({"preconditions": {field: "x"}}).to_string();
            let kind = format!("SecretProviderClass.{GROUP}");
            let message = format!("Operation cannot be fulfilled on {kind} \"a\": {why}");
            let reply = api.ask("DELETE", &format!("{classes}/a"), &[], &options)?;
            reply.fails(409, "Conflict", &message)?;
        }
        Ok(())
    }),
    ("an object with finalizers goes when the last of them does", |api| {
        let path = format!("{}/a", api.core("secrets"));
        let held = with(secret("a", json!({})), "finalizers", json!(["example.com/held"]));
        api.post(&api.core("secrets"), &held)?.expect(201)?;
        let going = api.delete(&path)?.expect(200)?;
        holds("it says so", going["metadata"]["deletionTimestamp"].is_string(), &going)?;
        api.get(&path)?.expect(200)?;
        api.patch(&path, &json!({"metadata": {"finalizers": null}}))?.expect(200)?;
        api.get(&path)?.fails(404, "NotFound", "secrets \"a\" not found").map(drop)
    }),
    ("a name may be left to the server", |api| {
        let made =
            api.post(&api.core("secrets"), &json!({"metadata": {"generateName": "gen-"}}))?.expect(201)?;
        let name = made["metadata"]["name"].as_str().unwrap_or("");
        holds("the name is longer", name.starts_with("gen-") && name.len() > 4, &made)
    }),
    ("the name in the object must be that in the path", |api| {
        api.post(&api.core("secrets"), &secret("a", json!({})))?.expect(201)?;
        let message = "the name of the object (b) does not match the name on the URL (a)";
        let path = format!("{}/a", api.core("secrets"));
        api.put(&path, &secret("b", json!({})))?.fails(400, "BadRequest", message).map(drop)
    }),
    ("the namespace in the object must be that in the path", |api| {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        let other = with(secret("a", json!({})), "namespace", json!("other"));
        let body = api.post(&api.core("secrets"), &other)?.fails(400, "BadRequest", message)?;
        same("details", &body["details"], &json!(null))
    }),
    ("an object to be created has no version", |api| {
        let message = "resourceVersion should not be set on objects to be created";
        let object = with(secret("a", json!({})), "resourceVersion", json!("5"));
        api.post(&api.core("secrets"), &object)?.fails(500, "", message)?;
        let object = with(class("a", "p"), "resourceVersion", json!("5"));
        api.post(&api.custom("secretproviderclasses"), &object)?.fails(500, "", message).map(drop)
    }),
    ("an object of another kind or version is refused", |api| {
        let secrets = api.core("secrets");
        let other = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        let why = "converting (v1.Pod) to (core.Secret): unknown conversion";
        let message = format!("Pod in version \"v1\" cannot be handled as a Secret: {why}");
        api.post(&secrets, &other)?.fails(400, "BadRequest", &message)?;
        let classes = api.custom("secretproviderclasses");
        let mut other = class("a", "p");
        other["kind"] = json!("Foo");
        let why = "kind: Invalid value: \"Foo\": must be SecretProviderClass";
        let message = format!("Foo.{GROUP} \"a\" is invalid: {why}");
        api.post(&classes, &other)?.fails(422, "Invalid", &message)?;
        let mut other = class("a", "p");
        other["apiVersion"] = json!("v1");
        let message =
            format!("the API version in the data (v1) does not match the expected API version ({GROUP}/v1)");
        api.post(&classes, &other)?.fails(400, "BadRequest", &message).map(drop)
    }),
    ("a core object need not say what it is, a custom one must", |api| {
        let bare = json!({"metadata": {"name": "a"}});
        let made = api.post(&api.core("secrets"), &bare)?.expect(201)?;
        same("kind", (&made["kind"], &made["apiVersion"]), (&json!("Secret"), &json!("v1")))?;
        let reply = api.post(&api.custom("secretproviderclasses"), &bare)?;
        let text = reply.body["message"].as_str().unwrap_or("").to_owned();
        same("code", reply.code, 400)?;
        holds("it says so", text.contains("Object 'Kind' is missing"), &reply.body)
    }),
    ("what is not JSON is not recognized", |api| {
        let why = "couldn't get version/kind; json parse error: unexpected end of JSON input";
        for (collection, kind) in
            [(api.core("secrets"), "Secret"), (api.custom("secretproviderclasses"), "SecretProviderClass")]
        {
            let message = format!("the object provided is unrecognized (must be of type {kind}): {why} ({{)");
            api.ask("POST", &collection, &[], "{")?.fails(400, "BadRequest", &message)?;
        }
        Ok(())
    }),
    ("an event is posted into the namespace of what it is about", |api| {
        let event = |name: &str, namespace: &str| {
            json!({
                "metadata": {"name": name}, "reason": "R", "message": "m", "type": "Warning", "count": 1,
                "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
                "source": {"component": "c"},
            })
        };
        let events = api.core("events");
        let made = api.post(&events, &event("p.1", api.namespace()))?.expect(201)?;
        same("kind", &made["kind"], &json!("Event"))?;
        let why = "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace";
        let message = format!("Event \"p.2\" is invalid: {why}");
        api.post(&events, &event("p.2", "other"))?.fails(422, "Invalid", &message)?;
        let counted = api.patch(&format!("{events}/p.1"), &json!({"count": 2}))?.expect(200)?;
        same("count", &counted["count"], &json!(2))
    }),
    ("a pod's phase begins with Pending, and changes by its own path alone", |api| {
        let path = format!("{}/a", api.core("pods"));
        let made = api.post(&api.core("pods"), &pod("a", ""))?.expect(201)?;
        same("at first", &made["status"]["phase"], &json!("Pending"))?;
        let patch = json!({"status": {"phase": "Running"}});
        let same_pod = api.patch(&path, &patch)?.expect(200)?;
        same("by the pod's path", &same_pod["status"]["phase"], &json!("Pending"))?;
        same("version", version(&same_pod), version(&made))?;
        let running = api.patch(&format!("{path}/status"), &patch)?.expect(200)?;
        same("by the status' path", &running["status"]["phase"], &json!("Running"))
    }),
];

const GROUP: &str = "secrets-store.csi.x-k8s.io";
const CLASSES: &str = "secretproviderclasses.secrets-store.csi.x-k8s.io";
/// Why an update of an old version is refused.
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";
