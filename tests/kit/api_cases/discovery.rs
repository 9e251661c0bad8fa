//! What the server says of itself: its version and clock, what it serves, and what one may do.

use serde_json::{Value, json};

use super::{Case, same};

pub const CASES: &[Case] = &[
    ("the version is told in parts and as a whole, with the time", |api| {
        let reply = api.get("/version")?.expect(200)?;
        same("major", &reply["major"], &json!("1"))?;
        let minor = reply["minor"].as_str().unwrap_or_default().trim_end_matches('+');
        let begins =
            reply["gitVersion"].as_str().is_some_and(|text| text.starts_with(&format!("v1.{minor}.")));
        same("the whole version begins with the parts", &json!(begins), &json!(true))
    }),
    ("a group tells its versions, and a version its resources", |api| {
        let group = api.get(&format!("/apis/{GROUP}"))?.expect(200)?;
        same("kind", &group["kind"], &json!("APIGroup"))?;
        same("versions", &json!(sorted(&group["versions"], "version")), &json!(["v1", "v1alpha1"]))?;
        for version in ["v1", "v1alpha1"] {
            let list = api.get(&format!("/apis/{GROUP}/{version}"))?.expect(200)?;
            same("kind", &list["kind"], &json!("APIResourceList"))?;
            let expected = ["secretproviderclasses", "secretproviderclasspodstatuses"];
            same("resources", &json!(sorted(&list["resources"], "name")), &json!(expected))?;
        }
        Ok(())
    }),
    ("a group or version that is not served is no page", |api| {
        for path in ["/apis/nobody.example.com".to_owned(), format!("/apis/{GROUP}/v9")] {
            let reply = api.get(&path)?;
            same(&path, &json!([reply.code, reply.text.trim()]), &json!([404, "404 page not found"]))?;
        }
        Ok(())
    }),
    ("everybody may ask what they may do, and nothing is kept of it", |api| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}},
        });
        let answer =
            api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review)?.expect(201)?;
        same("kind", &answer["kind"], &json!("SelfSubjectAccessReview"))?;
        same("allowed", &answer["status"]["allowed"], &json!(true))
    }),
];

fn sorted(list: &Value, field: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    let mut names: Vec<String> =
        items.map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

const GROUP: &str = "secrets-store.csi.x-k8s.io";
