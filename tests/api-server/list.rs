//! Lists: the version they show, and the pages they come in.

use serde_json::{Value, json};

use super::base64;
use super::kinds::{is_custom, kind};
use super::media::Form;
use super::request::{Key, Place, Request};
use super::selector::Selector;
use super::status::{self, Answer, Problem};
use super::store::Store;

/// What a request asks for, understood.
struct Options {
    limit: usize,
    /// List exactly this version; `None` is the latest.
    version: Option<u64>,
    /// List what comes after this key.
    after: Option<String>,
}

/// Answers a list.
pub fn answer(store: &Store, place: &Place, request: &Request) -> Answer {
    let form = match Form::negotiated(&request.accept, true) {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let selector = match Selector::of(request, place) {
        Ok(selector) => selector,
        Err(why) => return status::bad_request(&why),
    };
    match options(store, request) {
        Ok(options) => page(store, place, form, &selector, &options),
        Err(answer) => answer,
    }
}

fn page(store: &Store, place: &Place, form: Form, selector: &Selector, options: &Options) -> Answer {
    let version = options.version.unwrap_or(store.version());
    let Some(all) = store.list_at(version, &place.group, &place.plural, &place.namespace) else {
        // The token goes on from the same place at whatever version is the latest.
        return match &options.after {
            Some(after) => status::expired_token(&token(-1, after)),
            None => status::expired("The resourceVersion for the provided list is too old."),
        };
    };
    let path = |(key, object): (Key, Value)| (format!("/{}/{}", key.2, key.3), object);
    let mut all: Vec<(String, Value)> = all.into_iter().map(path).collect();
    // As the paths in the server's storage are ordered, where a slash ends the namespace.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let is_after = |path: &String| options.after.as_ref().is_none_or(|after| path > after);
    let is_listed = |(path, object): &(String, Value)| is_after(path) && selector.selects(object);
    let mut rest = all.into_iter().filter(is_listed).peekable();
    let mut items = Vec::new();
    let mut last = None;
    while options.limit == 0 || items.len() < options.limit {
        let Some((path, object)) = rest.next() else { break };
        items.push(item(&object, place, form));
        last = Some(path);
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if is_custom(&place.group) && form == Form::Full {
        metadata["continue"] = json!("");
    }
    if let Some(last) = last.filter(|_| rest.peek().is_some()) {
        metadata["continue"] = json!(token(i64::try_from(version).expect("a small version"), &last));
        // Counting what is selected would cost the server too much.
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(rest.count());
        }
    }
    Answer::json(200, &list(place, form, &metadata, items))
}

fn list(place: &Place, form: Form, metadata: &Value, items: Vec<Value>) -> Value {
    let (kind, version) = match form {
        Form::Full => (format!("{}List", kind(&place.plural)), place.api_version()),
        Form::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let is_null = form == Form::Metadata && items.is_empty();
    let items = if is_null { Value::Null } else { Value::Array(items) };
    json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})
}

/// The items of built-in resources do not say what they are.
fn item(object: &Value, place: &Place, form: Form) -> Value {
    let mut item = form.object(object);
    if form == Form::Full
        && !is_custom(&place.group)
        && let Some(fields) = item.as_object_mut()
    {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

fn options(store: &Store, request: &Request) -> Result<Options, Answer> {
    let limit = request.parameter("limit");
    let limit: i64 = match limit.as_str() {
        "" => 0,
        text => text.parse().map_err(|_| {
            status::bad_request(&format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })?,
    };
    let limit = usize::try_from(limit).unwrap_or(0);
    let asked = request.parameter("resourceVersion");
    let (matching, token) = (request.parameter("resourceVersionMatch"), request.parameter("continue"));
    check(&asked, &matching, &token)?;
    if !token.is_empty() {
        if !matches!(asked.as_str(), "" | "0") {
            let message = "specifying resource version is not allowed when using continue";
            return Err(status::bad_request(message));
        }
        let (version, after) = read_token(&token)?;
        let version = u64::try_from(version).ok().map(|version| not_future(store, version)).transpose()?;
        return Ok(Options { limit, version, after: Some(after) });
    }
    let number: u64 = match asked.as_str() {
        "" => 0,
        text => text
            .parse()
            .map_err(|_| status::bad_request(&format!("invalid resource version: {}", unparsed(text))))?,
    };
    not_future(store, number)?;
    // Without a word on how to match, a limit asks for exactly that version.
    let is_exact = number > 0 && (matching == "Exact" || matching.is_empty() && limit > 0);
    // What comes from the server's cache comes as one page.
    let limit = if asked == "0" { 0 } else { limit };
    Ok(Options { limit, version: is_exact.then_some(number), after: None })
}

/// How the server says that a version is no number.
pub fn unparsed(text: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
}

fn check(version: &str, matching: &str, token: &str) -> Result<(), Answer> {
    const FIELD: &str = "resourceVersionMatch";
    let problem = match matching {
        "" => return Ok(()),
        _ if !token.is_empty() => {
            Problem::forbidden(FIELD, "resourceVersionMatch is forbidden when continue is provided")
        }
        _ if version.is_empty() => {
            Problem::forbidden(FIELD, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        "Exact" if version == "0" => {
            Problem::forbidden(FIELD, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        "Exact" | "NotOlderThan" => return Ok(()),
        other => Problem::unsupported(FIELD, other, "\"Exact\", \"NotOlderThan\", \"\""),
    };
    Err(status::invalid_options(&[problem]))
}

fn not_future(store: &Store, version: u64) -> Result<u64, Answer> {
    if version > store.version() {
        return Err(status::too_large_version(version, store.version()));
    }
    Ok(version)
}

fn token(version: i64, after: &str) -> String {
    let content = json!({"v": "meta.k8s.io/v1", "rv": version, "start": format!("{after}\0")});
    base64::encode_for_url(content.to_string().as_bytes())
}

fn read_token(token: &str) -> Result<(i64, String), Answer> {
    let refused = |why: String| {
        status::bad_request(&format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = base64::decode_from_url(token)
        .map_err(|position| refused(format!("illegal base64 data at input byte {position}")))?;
    let content: Value = serde_json::from_slice(&bytes)
        .map_err(|_| refused("invalid character looking for beginning of value".to_owned()))?;
    match (content["rv"].as_i64(), content["start"].as_str()) {
        (Some(version), Some(start)) => Ok((version, start.trim_end_matches('\0').to_owned())),
        _ => Err(refused("incorrect encoded start resourceVersion".to_owned())),
    }
}
