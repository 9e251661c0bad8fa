//! Label and field selectors.

use serde_json::json;

use super::metadata::VALUE_RULE;
use super::{Api, Case, class, names, pod, same, secret, with};

pub const CASES: &[Case] = &[
    ("labels select by equality, presence and sets", |api| {
        let labels = [json!({"app": "x"}), json!({"app": "y", "beta": ""}), json!({})];
        for (name, labels) in ["a", "b", "c"].into_iter().zip(labels) {
            api.post(&api.core("secrets"), &with(secret(name, json!({})), "labels", labels))?.expect(201)?;
        }
        let table: [(&str, &[&str]); 14] = [
            ("app%3Dx", &["a"]),
            ("app==x", &["a"]),
            ("app!=x", &["b", "c"]),
            ("app", &["a", "b"]),
            ("!app", &["c"]),
            ("app,beta", &["b"]),
            ("app=y,beta=", &["b"]),
            ("app=", &[]),
            ("app%20in%20(x,y)", &["a", "b"]),
            ("app+in+(x,z)", &["a"]),
            ("app+notin+(x)", &["b", "c"]),
            ("app+in+(x,y),!beta", &["a"]),
            ("example.com/none", &[]),
            ("", &["a", "b", "c"]),
        ];
        for (selector, expected) in table {
            let list = api.get(&format!("{}?labelSelector={selector}", api.core("secrets")))?.expect(200)?;
            same(selector, names(&list), expected.iter().map(ToString::to_string).collect())?;
        }
        Ok(())
    }),
    ("a label selector that makes no sense is refused", |api| {
        let table = [
            (
                "a%20b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".to_owned(),
            ),
            ("a=b%20c", "found 'c', expected: ',' or 'end of string'".to_owned()),
            (
                "a=_x",
                format!("unable to parse requirement: values[0][a]: Invalid value: \"_x\": {VALUE_RULE}"),
            ),
            ("a%20in%20x", "unable to parse requirement: found 'x' expected: '('".to_owned()),
            ("a,,b", "found ',', expected: identifier after ','".to_owned()),
            (",a", "found ',', expected: !, identifier, or 'end of string'".to_owned()),
        ];
        for (selector, message) in table {
            let reply = api.get(&format!("{}?labelSelector={selector}", api.core("secrets")))?;
            reply.fails(400, "BadRequest", &message).map_err(|error| format!("{selector}: {error}"))?;
        }
        Ok(())
    }),
    ("pods are selected by name, namespace, node and phase", |api| {
        for (name, node) in [("a", "n1"), ("b", "n2"), ("c", "")] {
            api.post(&api.core("pods"), &pod(name, node))?.expect(201)?;
        }
        let running = json!({"status": {"phase": "Running"}});
        api.patch(&format!("{}/b/status", api.core("pods")), &running)?.expect(200)?;
        let namespace = format!("metadata.namespace={}", api.namespace());
        let table: [(&str, &[&str]); 10] = [
            ("metadata.name=a", &["a"]),
            ("metadata.name%3D%3Da", &["a"]),
            ("metadata.name!=a", &["b", "c"]),
            (&namespace, &["a", "b", "c"]),
            ("spec.nodeName=n1", &["a"]),
            ("spec.nodeName!=n1", &["b", "c"]),
            ("spec.nodeName=", &["c"]),
            ("status.phase!=Running", &["a", "c"]),
            ("status.phase=Pending,spec.nodeName=n1", &["a"]),
            ("spec.nodeName=n1,spec.nodeName=n2", &[]),
        ];
        for (selector, expected) in table {
            let list = api.get(&format!("{}?fieldSelector={selector}", api.core("pods")))?.expect(200)?;
            same(selector, names(&list), expected.iter().map(ToString::to_string).collect())?;
        }
        Ok(())
    }),
    ("Secrets are selected by name and type", |api| {
        let mut typed = secret("a", json!({}));
        typed["type"] = json!("x/y");
        api.post(&api.core("secrets"), &typed)?.expect(201)?;
        api.post(&api.core("secrets"), &secret("b", json!({})))?.expect(201)?;
        for (selector, expected) in [("metadata.name=a", "a"), ("type=x/y", "a"), ("type=Opaque", "b")] {
            let list = api.get(&format!("{}?fieldSelector={selector}", api.core("secrets")))?.expect(200)?;
            same(selector, names(&list), vec![expected.to_owned()])?;
        }
        Ok(())
    }),
    ("custom objects are selected by name and namespace", |api| {
        for name in ["a", "b"] {
            api.post(&api.custom("secretproviderclasses"), &class(name, "p"))?.expect(201)?;
        }
        let classes = api.custom("secretproviderclasses");
        let list = api.get(&format!("{classes}?fieldSelector=metadata.name=b"))?.expect(200)?;
        same("by name", names(&list), vec!["b".to_owned()])?;
        let other = "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses";
        let target = format!("{other}?fieldSelector=metadata.namespace={}", api.namespace());
        let list = api.get(&target)?.expect(200)?;
        same("by namespace", names(&list), vec!["a".to_owned(), "b".to_owned()])
    }),
    ("a field that the resource does not offer is refused", |api| {
        let table = [
            (api.core("pods"), "spec.bogus"),
            (api.core("pods"), "metadata.uid"),
            (api.core("pods"), "metadata.labels"),
            (api.core("secrets"), "spec.nodeName"),
            (api.core("secrets"), "status.phase"),
            (api.core("events"), "bogus"),
            (api.custom("secretproviderclasses"), "spec.provider"),
            (api.custom("secretproviderclasspodstatuses"), "spec.nodeName"),
        ];
        for (collection, field) in table {
            let message = format!("field label not supported: {field}");
            for target in [
                format!("{collection}?fieldSelector={field}=x"),
                format!("{collection}?watch=1&timeoutSeconds=1&fieldSelector={field}=x"),
            ] {
                let body = api.get(&target)?.fails(400, "BadRequest", &message)?;
                same("details", &body["details"], &json!(null))?;
            }
        }
        Ok(())
    }),
    ("a field selector that makes no sense is refused", |api| {
        let message = "invalid selector: 'spec.nodeName'; can't understand 'spec.nodeName'";
        refused(api, "spec.nodeName", message)?;
        refused(api, "spec.nodeName=a=b", "invalid field selector: unescaped character in value: 61")
    }),
];

fn refused(api: &Api, selector: &str, message: &str) -> Result<(), String> {
    let target = format!("{}?fieldSelector={selector}", api.core("pods"));
    api.get(&target)?.fails(400, "BadRequest", message).map(drop)
}
