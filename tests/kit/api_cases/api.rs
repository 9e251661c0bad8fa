//! Plain requests to an API server, one connection each, so that nothing stands between a case and the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// A server, who asks, and the namespace to work in.
#[derive(Clone)]
pub struct Api {
    /// Host and port.
    address: String,
    tls: Option<Arc<ClientConfig>>,
    token: Option<String>,
    namespace: String,
    /// Makes the garbage collector look, where it does not do so by itself.
    nudge: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// An answer.
pub struct Reply {
    pub code: u16,
    pub content_type: String,
    /// Null when the body is not JSON.
    pub body: Value,
    pub text: String,
}

/// A watch that has been granted: its events as they come.
pub struct Watch {
    stream: Box<dyn Stream>,
    /// What has come and is still in chunks.
    raw: Vec<u8>,
    /// What has come out of them.
    lines: Vec<u8>,
    has_ended: bool,
}

/// A connection, encrypted or not.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Api {
    /// A server at `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// When the authority holds no certificate.
    pub fn new(url: &str, ca_pem: Option<&str>, token: Option<&str>, namespace: &str) -> Result<Api, String> {
        let tls = match url.strip_prefix("https://") {
            Some(_) => Some(Arc::new(trust(ca_pem.unwrap_or(""))?)),
            None => None,
        };
        let address = url.split_once("://").map_or(url, |(_, address)| address);
        Ok(Api {
            address: address.trim_end_matches('/').to_owned(),
            tls,
            token: token.map(str::to_owned),
            namespace: namespace.to_owned(),
            nudge: None,
        })
    }

    /// The same server, whose garbage collector looks when `nudge` is called.
    pub fn nudged_by(self, nudge: impl Fn() + Send + Sync + 'static) -> Api {
        Api { nudge: Some(Arc::new(nudge)), ..self }
    }

    /// The same server, to work in another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Api {
        Api { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// The namespace to work in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace's collection of a core resource.
    pub fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// The namespace's collection of a custom resource.
    pub fn custom(&self, plural: &str) -> String {
        format!("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// Reads what is at that path.
    pub fn get(&self, target: &str) -> Result<Reply, String> {
        self.ask("GET", target, &[], "")
    }

    /// Creates an object in that collection.
    pub fn post(&self, target: &str, body: &Value) -> Result<Reply, String> {
        self.ask("POST", target, &[], &body.to_string())
    }

    /// Replaces the object at that path.
    pub fn put(&self, target: &str, body: &Value) -> Result<Reply, String> {
        self.ask("PUT", target, &[], &body.to_string())
    }

    /// Deletes what is at that path.
    pub fn delete(&self, target: &str) -> Result<Reply, String> {
        self.ask("DELETE", target, &[], "")
    }

    /// A JSON merge patch.
    pub fn patch(&self, target: &str, body: &Value) -> Result<Reply, String> {
        self.patch_as("cases", target, body)
    }

    /// A JSON merge patch by a program of that name.
    pub fn patch_as(&self, program: &str, target: &str, body: &Value) -> Result<Reply, String> {
        let agent = format!("{program}/v1 (linux/amd64)");
        let headers = [("Content-Type", "application/merge-patch+json"), ("User-Agent", agent.as_str())];
        self.ask("PATCH", target, &headers, &body.to_string())
    }

    /// Any request; the headers replace those that are sent otherwise.
    pub fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, String> {
        let failed = |error: std::io::Error| format!("could not {method} {target}: {error}");
        let mut stream = self.send(method, target, headers, body).map_err(failed)?;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let (code, head, body) =
            split(&bytes).ok_or_else(|| format!("{method} {target}: no HTTP: {read:?}"))?;
        let header = |name: &str| {
            let found = head.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map_or_else(String::new, |(_, value)| value.clone())
        };
        let is_chunked = header("transfer-encoding") == "chunked";
        let body = if is_chunked { dechunked(&mut body.to_vec()).0 } else { body.to_vec() };
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply { code, content_type: header("content-type"), body, text })
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// When it is refused, the code and what the server says.
    pub fn watch(&self, target: &str, headers: &[(&str, &str)]) -> Result<Watch, String> {
        let failed = |error: std::io::Error| format!("could not watch {target}: {error}");
        let mut stream = self.send("GET", target, headers, "").map_err(failed)?;
        let mut raw = Vec::new();
        loop {
            if let Some((code, _, rest)) = split(&raw) {
                let rest = rest.to_vec();
                if code != 200 {
                    return Err(format!("{code} {}", String::from_utf8_lossy(&rest)));
                }
                return Ok(Watch { stream, raw: rest, lines: Vec::new(), has_ended: false });
            }
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).map_err(failed)?;
            if count == 0 {
                return Err(format!("{target}: no HTTP"));
            }
            raw.extend_from_slice(&piece[..count]);
        }
    }

    /// Waits until `condition` holds, with the garbage collector at work; false when it does not in time.
    pub fn eventually(&self, mut condition: impl FnMut() -> Result<bool, String>) -> Result<bool, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(nudge) = &self.nudge {
                nudge();
            }
            if condition()? {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Box<dyn Stream>> {
        let connection = TcpStream::connect(&self.address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(connection),
            Some(config) => {
                let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
                let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
                let session =
                    ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
                Box::new(StreamOwned::new(session, connection))
            }
        };
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let usual = [
            ("Authorization", token.as_deref()),
            ("User-Agent", Some("cases/v1 (linux/amd64)")),
            ("Content-Type", Some("application/json").filter(|_| !body.is_empty())),
        ];
        let usual = usual.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let usual = usual.filter(|(name, _)| !headers.iter().any(|(given, _)| given == name));
        for (name, value) in usual.chain(headers.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all((head + body).as_bytes())?;
        stream.flush()?;
        Ok(stream)
    }
}

impl Watch {
    /// The next event; `None` when the server has ended the watch.
    pub fn event(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.lines.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return serde_json::from_str(&text).map(Some).map_err(|error| format!("{error}: {text}"));
            }
            let (came, is_end) = dechunked(&mut self.raw);
            self.lines.extend(came);
            self.has_ended |= is_end;
            if self.lines.contains(&b'\n') {
                continue;
            }
            if self.has_ended {
                return Ok(None);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.raw.extend_from_slice(&piece[..count]),
                Err(error) => return Err(format!("the watch broke: {error}")),
            }
        }
    }

    /// All events until the server ends the watch.
    pub fn rest(mut self) -> Result<Vec<Value>, String> {
        let mut events = Vec::new();
        while let Some(event) = self.event()? {
            events.push(event);
        }
        Ok(events)
    }
}

/// Names and values.
type Headers = Vec<(String, String)>;

fn trust(ca_pem: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("could not read the authority: {error:?}"))?;
        // What is no authority is no root; a server's own certificate may stand beside it.
        roots.add(certificate).ok();
    }
    if roots.is_empty() {
        return Err("could not read the authority: it holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("could not use TLS: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Status, headers and what follows the head; `None` when the head is not complete.
fn split(bytes: &[u8]) -> Option<(u16, Headers, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).ok()? else { return None };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let head = parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    Some((parsed.code?, head, bytes.get(length..)?))
}

/// What complete chunks hold, which are taken away, and whether the last one was among them.
fn dechunked(raw: &mut Vec<u8>) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((line, length))) = httparse::parse_chunk_size(raw) else {
            return (content, false);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 {
            return (content, true);
        }
        if raw.len() < line.saturating_add(length).saturating_add(2) {
            return (content, false);
        }
        content.extend_from_slice(&raw[line..line + length]);
        raw.drain(..line + length + 2);
    }
}

/// For what happens at once, on a machine that may be slow.
const PATIENCE: Duration = Duration::from_secs(60);
