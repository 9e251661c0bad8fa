//! Lists: their form, their pages, their versions; metadata alone.

use serde_json::{Value, json};

use super::{Api, Case, class, holds, names, same, secret, version, with};

pub const CASES: &[Case] = &[
    ("a list of a core resource leaves out what its items are", |api| {
        fill(api, &["a"])?;
        let list = api.get(&api.core("secrets"))?.expect(200)?;
        let what = (&list["kind"], &list["apiVersion"]);
        same("list", what, (&json!("SecretList"), &json!("v1")))?;
        let item = &list["items"][0];
        holds("no kind", item.get("kind").is_none() && item.get("apiVersion").is_none(), item)
    }),
    ("a list of a custom resource says what its items are", |api| {
        let classes = api.custom("secretproviderclasses");
        let empty = api.get(&classes)?.expect(200)?;
        same("empty", &empty["items"], &json!([]))?;
        same("continue", &empty["metadata"]["continue"], &json!(""))?;
        let made = api.post(&classes, &class("a", "p"))?.expect(201)?;
        let list = api.get(&classes)?.expect(200)?;
        same("kind", &list["kind"], &json!("SecretProviderClassList"))?;
        same("items", &list["items"], &json!([made]))
    }),
    ("a list has a version no older than its items", |api| {
        fill(api, &["a"])?;
        let list = api.get(&api.core("secrets"))?.expect(200)?;
        let number = |value: &Value| version(value).parse::<u64>().unwrap_or(0);
        holds("not older", number(&list) >= number(&list["items"][0]), &list)
    }),
    ("an empty list is a list", |api| {
        let list = api.get(&api.core("secrets"))?.expect(200)?;
        same("items", &list["items"], &json!([]))
    }),
    ("a list comes in pages of one version", |api| {
        fill(api, &["a", "b", "c", "d", "e"])?;
        let secrets = api.core("secrets");
        let first = api.get(&format!("{secrets}?limit=2"))?.expect(200)?;
        same("first", names(&first), owned(&["a", "b"]))?;
        same("left", &first["metadata"]["remainingItemCount"], &json!(3))?;
        // What happens in between is not seen.
        api.post(&secrets, &secret("bb", json!({})))?.expect(201)?;
        api.delete(&format!("{secrets}/c"))?.expect(200)?;
        api.patch(&format!("{secrets}/d"), &json!({"data": {"new": ""}}))?.expect(200)?;
        let second = api.get(&format!("{secrets}?limit=2&continue={}", token(&first)?))?.expect(200)?;
        same("second", names(&second), owned(&["c", "d"]))?;
        same("its version", version(&second), version(&first))?;
        same("left", &second["metadata"]["remainingItemCount"], &json!(1))?;
        same("the old content", &second["items"][1]["data"]["new"], &json!(null))?;
        let third = api.get(&format!("{secrets}?limit=2&continue={}", token(&second)?))?.expect(200)?;
        same("third", names(&third), owned(&["e"]))?;
        same("its version", version(&third), version(&first))?;
        for field in ["continue", "remainingItemCount"] {
            holds(field, third["metadata"].get(field).is_none(), &third)?;
        }
        Ok(())
    }),
    ("a continued list may come without a limit", |api| {
        fill(api, &["a", "b", "c", "d"])?;
        let first = api.get(&format!("{}?limit=1", api.core("secrets")))?.expect(200)?;
        let rest = api.get(&format!("{}?continue={}", api.core("secrets"), token(&first)?))?.expect(200)?;
        same("rest", names(&rest), owned(&["b", "c", "d"]))
    }),
    ("a limit that is not reached makes one page", |api| {
        fill(api, &["a", "b"])?;
        for limit in ["2", "500", "0", "-1"] {
            let list = api.get(&format!("{}?limit={limit}", api.core("secrets")))?.expect(200)?;
            same(limit, names(&list), owned(&["a", "b"]))?;
            holds("no more", list["metadata"].get("continue").is_none(), &list)?;
        }
        Ok(())
    }),
    ("pages of what is selected do not count what is left", |api| {
        for name in ["a", "b", "c", "d"] {
            let label = if name == "b" { "no" } else { "yes" };
            let object = with(secret(name, json!({})), "labels", json!({"in": label}));
            api.post(&api.core("secrets"), &object)?.expect(201)?;
        }
        let target = format!("{}?labelSelector=in%3Dyes&limit=2", api.core("secrets"));
        let first = api.get(&target)?.expect(200)?;
        same("first", names(&first), owned(&["a", "c"]))?;
        holds("no count", first["metadata"].get("remainingItemCount").is_none(), &first)?;
        let second = api.get(&format!("{target}&continue={}", token(&first)?))?.expect(200)?;
        same("second", names(&second), owned(&["d"]))
    }),
    ("a custom resource comes in pages as well", |api| {
        let classes = api.custom("secretproviderclasses");
        for name in ["a", "b", "c"] {
            api.post(&classes, &class(name, "p"))?.expect(201)?;
        }
        let first = api.get(&format!("{classes}?limit=2"))?.expect(200)?;
        same("left", &first["metadata"]["remainingItemCount"], &json!(1))?;
        let second = api.get(&format!("{classes}?limit=2&continue={}", token(&first)?))?.expect(200)?;
        same("second", names(&second), owned(&["c"]))?;
        same("continue", &second["metadata"]["continue"], &json!(""))
    }),
    ("a continue token that is none is refused", |api| {
        let target = format!("{}?limit=1&continue=!!!", api.core("secrets"));
        let why = "illegal base64 data at input byte 0";
        let message = format!("invalid continue token: continue key is not valid: {why}");
        api.get(&target)?.fails(400, "BadRequest", &message)?;
        let reply = api.get(&format!("{}?limit=1&continue=abcd", api.core("secrets")))?;
        same("code", reply.code, 400)
    }),
    ("a continue token goes with no other version", |api| {
        fill(api, &["a", "b"])?;
        let first = api.get(&format!("{}?limit=1", api.core("secrets")))?.expect(200)?;
        let rest = format!("continue={}", token(&first)?);
        let target = format!("{}?limit=1&resourceVersion=5&{rest}", api.core("secrets"));
        let message = "specifying resource version is not allowed when using continue";
        api.get(&target)?.fails(400, "BadRequest", message).map(drop)
    }),
    ("version 0 is whatever the server has at hand, in one page", |api| {
        fill(api, &["a", "b", "c"])?;
        let target = format!("{}?limit=2&resourceVersion=0", api.core("secrets"));
        // What is at hand may lag behind for a moment.
        let is_there = api.eventually(|| Ok(names(&api.get(&target)?.expect(200)?).len() == 3))?;
        holds("all in one page", is_there, &json!(null))
    }),
    ("a list may be of one version exactly", |api| {
        fill(api, &["a", "b", "c"])?;
        let then = api.get(&api.core("secrets"))?.expect(200)?;
        api.delete(&format!("{}/a", api.core("secrets")))?.expect(200)?;
        for how in ["resourceVersionMatch=Exact", "limit=5"] {
            let target = format!("{}?resourceVersion={}&{how}", api.core("secrets"), version(&then));
            let list = api.get(&target)?.expect(200)?;
            same(how, names(&list), owned(&["a", "b", "c"]))?;
            same("its version", version(&list), version(&then))?;
        }
        for how in ["", "&resourceVersionMatch=NotOlderThan"] {
            let target = format!("{}?resourceVersion={}{how}", api.core("secrets"), version(&then));
            let newer =
                api.eventually(|| Ok(names(&api.get(&target)?.expect(200)?) == owned(&["b", "c"])))?;
            holds("not older", newer, &json!(how))?;
        }
        Ok(())
    }),
    ("a version of the future is too large", |api| {
        let body = api.get(&format!("{}?resourceVersion=99999999", api.core("secrets")))?;
        same("code", body.code, 504)?;
        let cause = &body.body["details"]["causes"][0]["reason"];
        same("cause", cause, &json!("ResourceVersionTooLarge"))?;
        let message = body.body["message"].as_str().unwrap_or("");
        let text = "Timeout: Too large resource version: 99999999, current: ";
        holds("the message", message.starts_with(text), &body.body)
    }),
    ("list options that contradict each other are refused", |api| {
        let field = "resourceVersionMatch";
        let table = [
            (
                "resourceVersionMatch=Exact",
                format!("Forbidden: {field} is forbidden unless resourceVersion is provided"),
            ),
            (
                "resourceVersion=0&resourceVersionMatch=Exact",
                format!("Forbidden: {field} \"exact\" is forbidden for resourceVersion \"0\""),
            ),
            (
                "resourceVersion=3&resourceVersionMatch=Foo",
                "Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"".to_owned(),
            ),
        ];
        for (query, why) in table {
            let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {why}");
            api.get(&format!("{}?{query}", api.core("secrets")))?.fails(422, "Invalid", &message)?;
        }
        let parse = |function: &str| format!("strconv.{function}: parsing \"abc\": invalid syntax");
        let target = format!("{}?limit=abc", api.core("secrets"));
        api.get(&target)?.fails(400, "BadRequest", &parse("ParseInt"))?;
        let target = format!("{}?resourceVersion=abc", api.core("secrets"));
        let why = format!("resourceVersion: Invalid value: \"abc\": {}", parse("ParseUint"));
        let message = format!("invalid resource version: {why}");
        api.get(&target)?.fails(400, "BadRequest", &message).map(drop)
    }),
    ("a list of metadata has nothing else", |api| {
        fill(api, &["a", "b", "c"])?;
        let whole = api.get(&format!("{}/a", api.core("secrets")))?.expect(200)?;
        let list = ask(api, &format!("{}?limit=2", api.core("secrets")), METADATA_LIST)?.expect(200)?;
        let what = (&list["kind"], &list["apiVersion"]);
        same("list", what, (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1")))?;
        let item = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": whole["metadata"],
        });
        same("item", &list["items"][0], &item)?;
        let target = format!("{}?limit=2&continue={}", api.core("secrets"), token(&list)?);
        same("next page", names(&ask(api, &target, METADATA_LIST)?.expect(200)?), owned(&["c"]))
    }),
    ("a list of no metadata has null for items", |api| {
        let list = ask(api, &api.core("secrets"), METADATA_LIST)?.expect(200)?;
        same("items", &list["items"], &json!(null))
    }),
    ("metadata may be asked for with something to fall back on", |api| {
        fill(api, &["a"])?;
        let path = format!("{}/a", api.core("secrets"));
        for (accept, kind) in [
            (METADATA.to_owned(), "PartialObjectMetadata"),
            (format!("{METADATA},application/json"), "PartialObjectMetadata"),
            (format!("{METADATA}, */*"), "PartialObjectMetadata"),
            (METADATA.replace("v=v1", "v=v9") + ",application/json", "Secret"),
            (METADATA.replace("v=v1", "v=v1beta1"), "PartialObjectMetadata"),
            ("application/json".to_owned(), "Secret"),
            ("*/*".to_owned(), "Secret"),
        ] {
            let object = ask(api, &path, &accept)?.expect(200)?;
            same(&accept, &object["kind"], &json!(kind))?;
            holds("data", object.get("data").is_some() == (kind == "Secret"), &object)?;
        }
        let missing = format!("{}/zz", api.core("secrets"));
        ask(api, &missing, METADATA)?.fails(404, "NotFound", "secrets \"zz\" not found").map(drop)
    }),
    ("a form that the server does not write is not acceptable", |api| {
        fill(api, &["a"])?;
        let path = format!("{}/a", api.core("secrets"));
        for (target, accept) in [
            (&path, METADATA.replace("v=v1", "v=v9").as_str()),
            (&path, "text/plain"),
            (&path, METADATA_LIST),
            (&api.core("secrets"), METADATA),
        ] {
            let reply = ask(api, target, accept)?;
            let found = (reply.code, &reply.body["reason"]);
            same(accept, found, (406, &json!("NotAcceptable")))?;
        }
        Ok(())
    }),
    ("a write may be answered with metadata", |api| {
        let body = secret("a", json!({"k": "v"})).to_string();
        let made = api.ask("POST", &api.core("secrets"), &[("Accept", METADATA)], &body)?.expect(201)?;
        same("kind", &made["kind"], &json!("PartialObjectMetadata"))?;
        holds("no data", made.get("data").is_none(), &made)?;
        let headers = [("Accept", METADATA), ("Content-Type", "application/merge-patch+json")];
        let path = format!("{}/a", api.core("secrets"));
        let patched = api.ask("PATCH", &path, &headers, "{\"data\": {\"l\": \"\"}}")?.expect(200)?;
        same("kind", &patched["kind"], &json!("PartialObjectMetadata"))
    }),
];

fn fill(api: &Api, names: &[&str]) -> Result<(), String> {
    for name in names {
        api.post(&api.core("secrets"), &secret(name, json!({"k": "v"})))?.expect(201)?;
    }
    Ok(())
}

fn ask(api: &Api, target: &str, accept: &str) -> Result<super::Reply, String> {
    api.ask("GET", target, &[("Accept", accept)], "")
}

fn token(list: &Value) -> Result<String, String> {
    let token = list["metadata"]["continue"].as_str().filter(|token| !token.is_empty());
    token.map(str::to_owned).ok_or_else(|| format!("no continue token: {}", list["metadata"]))
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Asks for the metadata of one object, or of those in a watch.
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
