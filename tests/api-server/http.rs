//! HTTP/1.1 on one connection: reads requests, applies faults, writes answers, streams watches.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::access;
use super::clock;
use super::faults::{Close, Fault, Then};
use super::request::{Place, Request};
use super::review;
use super::routes;
use super::status::{self, Answer};
use super::watch::Watch;
use super::{Seen, Shared, locked};

/// The head of a request beyond what routing needs.
struct Head {
    request: Request,
    token: Option<String>,
    keeps_alive: bool,
}

/// What remains to be done for a request after its fault.
enum Next {
    /// Write this answer.
    Write(Answer),
    /// Write this answer, a byte at a time.
    Drip(Answer, Duration),
    /// Write these bytes, and what follows them while the faults were cleared that often.
    Raw(Vec<u8>, Then, u64),
    /// End the connection.
    Close,
    /// Stream changes.
    Watch(Watch),
}

/// Serves requests until the peer or the server ends the connection.
pub fn serve(shared: &Shared, mut stream: impl Read + Write) {
    let mut buffer = Vec::new();
    while let Ok(Some(head)) = read_head(&mut stream, &mut buffer) {
        let keeps_alive = head.keeps_alive;
        if !matches!(handle(shared, &mut stream, &head), Ok(true)) || !keeps_alive || shared.is_stopped() {
            return;
        }
    }
}

/// Answers one request; false when the connection must end.
fn handle(shared: &Shared, stream: &mut impl Write, head: &Head) -> io::Result<bool> {
    let request = &head.request;
    let (next, code) = match decide(shared, head) {
        Next::Write(answer) => {
            let code = answer.code;
            (Next::Write(answer), code)
        }
        Next::Drip(answer, pause) => {
            let code = answer.code;
            (Next::Drip(answer, pause), code)
        }
        Next::Raw(bytes, then, clearings) => (Next::Raw(bytes, then, clearings), 0),
        Next::Close => (Next::Close, 0),
        Next::Watch(watch) => (Next::Watch(watch), 200),
    };
    let record = || shared.record(seen(head, code));
    match next {
        Next::Write(answer) => {
            // Recorded first: whoever has the answer may look at the record.
            record();
            let mut bytes = head_of(shared, &answer, &format!("Content-Length: {}", answer.body.len()));
            if request.method != "HEAD" {
                bytes.extend_from_slice(&answer.body);
            }
            stream.write_all(&bytes)?;
            stream.flush()?;
            Ok(true)
        }
        Next::Drip(answer, pause) => {
            record();
            let head = head_of(shared, &answer, &format!("Content-Length: {}", answer.body.len()));
            stream.write_all(&head)?;
            for byte in &answer.body {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                std::thread::sleep(pause);
            }
            Ok(true)
        }
        Next::Raw(bytes, then, clearings) => {
            record();
            stream.write_all(&bytes)?;
            stream.flush()?;
            follow(shared, stream, &then, clearings)?;
            Ok(false)
        }
        Next::Close => {
            record();
            Ok(false)
        }
        Next::Watch(watch) => {
            record();
            let ok =
                Answer { code: 200, content_type: "application/json", body: Vec::new(), retry_after: None };
            stream.write_all(&head_of(shared, &ok, "Transfer-Encoding: chunked"))?;
            stream.flush()?;
            watch.run(shared, stream)?;
            Ok(true)
        }
    }
}

/// Applies latency, authentication and faults, and carries the request out.
fn decide(shared: &Shared, head: &Head) -> Next {
    let request = &head.request;
    let latency = locked(&shared.faults).latency;
    if !latency.is_zero() {
        std::thread::sleep(latency);
    }
    let (fault, clearings) = {
        let mut faults = locked(&shared.faults);
        (faults.meet(request.verb(), &request.path), faults.clearings)
    };
    match fault {
        Some(Fault::Close(Close::Before)) => return Next::Close,
        Some(Fault::Close(Close::After)) => {
            carry_out(shared, head);
            return Next::Close;
        }
        Some(Fault::Answer { code, body }) => {
            return Next::Write(Answer { code, content_type: "application/json", body, retry_after: None });
        }
        Some(Fault::Raw { bytes, then }) => return Next::Raw(bytes, then, clearings),
        Some(Fault::Fail { code, retry_after }) => return Next::Write(failure(request, code, retry_after)),
        Some(Fault::Hang) => {
            shared.record(seen(head, 0));
            if !wait_for_release(shared, clearings) {
                return Next::Close;
            }
        }
        Some(Fault::Drip(pause)) => return Next::Drip(carry_out(shared, head), pause),
        None => {}
    }
    let serves = || request.place.as_ref().is_some_and(|place| locked(&shared.store).serves(&place.plural));
    if request.verb() == "watch" && refusal(shared, head).is_none() && serves() {
        return Watch::of(request).map_or_else(Next::Write, Next::Watch);
    }
    Next::Write(carry_out(shared, head))
}

fn carry_out(shared: &Shared, head: &Head) -> Answer {
    if let Some(refusal) = refusal(shared, head) {
        return refusal;
    }
    if let Some(answer) = review::answer(&locked(&shared.access), &head.request) {
        return answer;
    }
    let answer = routes::answer(&mut locked(&shared.store), &head.request);
    shared.ring();
    answer
}

fn failure(request: &Request, code: u16, retry_after: Option<u64>) -> Answer {
    if code == 403 { access::forbidden(request, access::USER) } else { status::of_code(code, retry_after) }
}

/// 401 for a wrong token, 403 for what is not allowed.
fn refusal(shared: &Shared, head: &Head) -> Option<Answer> {
    let settings = locked(&shared.settings);
    if settings.token.is_some() && settings.token != head.token {
        return Some(status::of_code(401, None));
    }
    locked(&shared.access).refusal(&head.request)
}

/// What follows bytes that a test chose.
fn follow(shared: &Shared, stream: &mut impl Write, then: &Then, clearings: u64) -> io::Result<()> {
    match then {
        Then::Close => {}
        Then::Silence => {
            wait_for_release(shared, clearings);
        }
        Then::Again(bytes) => {
            while !shared.is_stopped() && locked(&shared.faults).clearings == clearings {
                stream.write_all(bytes)?;
                stream.flush()?;
            }
        }
    }
    Ok(())
}

/// Waits until the faults are cleared once more than `clearings`; false when the server stops first.
fn wait_for_release(shared: &Shared, clearings: u64) -> bool {
    loop {
        let news = *locked(&shared.change);
        if shared.is_stopped() {
            return false;
        }
        if locked(&shared.faults).clearings != clearings {
            return true;
        }
        shared.wait_for_news(news, Duration::from_secs(1));
    }
}

fn seen(head: &Head, code: u16) -> Seen {
    let request = &head.request;
    Seen {
        verb: request.verb(),
        path: request.path.clone(),
        query: request.query.clone(),
        code,
        user_agent: request.user_agent.clone(),
        accept: request.accept.clone(),
    }
}

fn head_of(shared: &Shared, answer: &Answer, length: &str) -> Vec<u8> {
    let date = clock::http_date(locked(&shared.faults).clock_offset);
    let mut head = format!(
        "HTTP/1.1 {} -\r\nContent-Type: {}\r\nDate: {date}\r\n{length}\r\n",
        answer.code, answer.content_type
    );
    if let Some(seconds) = answer.retry_after {
        head.push_str(&format!("Retry-After: {seconds}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The next request with its body; `None` at the end of the connection. `buffer` keeps what came too early.
fn read_head(stream: &mut (impl Read + Write), buffer: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let progress = parsed.parse(buffer).map_err(|_| broken("not HTTP"))?;
        let httparse::Status::Complete(length) = progress else {
            if buffer.len() > LARGEST_HEAD || fill(stream, buffer)? == 0 {
                return Ok(None);
            }
            continue;
        };
        let header = |name: &str| {
            let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map_or_else(String::new, |header| String::from_utf8_lossy(header.value).into_owned())
        };
        let target = parsed.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Head {
            request: Request {
                method: parsed.method.unwrap_or("").to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                content_type: header("content-type"),
                accept: header("accept"),
                user_agent: header("user-agent"),
                impersonated: Some(header("impersonate-user")).filter(|user| !user.is_empty()),
                body: Vec::new(),
                place: Place::parse(path),
            },
            token: header("authorization").strip_prefix("Bearer ").map(str::to_owned),
            keeps_alive: !header("connection").eq_ignore_ascii_case("close"),
        };
        let body_length = header("content-length").parse().unwrap_or(0);
        let is_chunked = header("transfer-encoding").eq_ignore_ascii_case("chunked");
        let is_waiting = header("expect").eq_ignore_ascii_case("100-continue");
        buffer.drain(..length);
        if is_waiting {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.flush()?;
        }
        head.request.body =
            if is_chunked { read_chunks(stream, buffer)? } else { take(stream, buffer, body_length)? };
        return Ok(Some(head));
    }
}

fn read_chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(buffer) {
            Ok(httparse::Status::Complete((line, length))) => {
                buffer.drain(..line);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let chunk = take(stream, buffer, length.saturating_add(2))?;
                if length == 0 {
                    return Ok(body);
                }
                body.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
            Ok(httparse::Status::Partial) if fill(stream, buffer)? > 0 => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Exactly `length` bytes, from the buffer first.
fn take(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if length > LARGEST_BODY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while buffer.len() < length {
        if fill(stream, buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = buffer.split_off(length);
    Ok(std::mem::replace(buffer, rest))
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 8192];
    let count = stream.read(&mut piece)?;
    buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(count)
}

/// Room for a large token and then some.
const LARGEST_HEAD: usize = 64 * 1024;
/// Larger than any object.
const LARGEST_BODY: usize = 8 * 1024 * 1024;
