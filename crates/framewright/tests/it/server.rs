//! A small HTTP/1.1 server on 127.0.0.1 that behaves as badly as a test asks.
//!
//! A route is a function from a request to what is written on the connection. Every request is remembered, and a
//! connection serves one request. Nothing but loopback is used.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path with query
    pub path: String,
    /// How many came for this path before
    pub number: usize,
    headers: HashMap<String, String>,
    stopping: Arc<AtomicBool>,
}

impl Request {
    /// A header, by its name in lowercase.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// First byte that is asked for.
    fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.split_once('-')?.0.parse().ok()
    }

    /// Waits, but not for longer than the server lives; false when it ends.
    fn wait(&self, time: Duration) -> bool {
        let step = Duration::from_millis(10);
        let mut left = time;
        while !left.is_zero() && !self.stopping.load(Ordering::Relaxed) {
            thread::sleep(step.min(left));
            left = left.saturating_sub(step);
        }
        !self.stopping.load(Ordering::Relaxed)
    }
}

type Route = Arc<dyn Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync>;

#[derive(Default)]
struct State {
    routes: HashMap<String, Route>,
    requests: Vec<Request>,
}

/// The server; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            stopping: Arc::default(),
        };
        let (state, stopping) = (server.state.clone(), server.stopping.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let (state, stopping) = (state.clone(), stopping.clone());
                // A client that goes away is what some tests are about.
                thread::spawn(move || stream.and_then(|stream| serve(stream, &state, stopping)));
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `HOST:PORT`, for `allow_hosts`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Answers requests for `path`, a query apart.
    pub fn route(
        &self,
        path: &str,
        answer: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> String {
        let mut state = self.state.lock().unwrap();
        state.routes.insert(path.to_owned(), Arc::new(answer));
        drop(state);
        self.url(path)
    }

    /// The requests for a path so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        let requests = state.requests.iter();
        requests
            .filter(|request| request.path == path)
            .cloned()
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes whoever accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, stopping: Arc<AtomicBool>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let (route, request) = {
        let mut state = state.lock().unwrap();
        let number = state.requests.iter().filter(|before| before.path == path);
        let request = Request {
            number: number.count(),
            path,
            headers,
            stopping,
        };
        state.requests.push(request.clone());
        let name = request.path.split('?').next().unwrap_or_default();
        (state.routes.get(name).cloned(), request)
    };
    let mut stream = stream;
    match route {
        Some(route) => route(&request, &mut stream),
        None => status(404, &[])(&request, &mut stream),
    }
}

/// Writes a status line and headers; the connection ends after the answer.
pub fn head(stream: &mut TcpStream, status: u16, headers: &[(&str, String)]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text += "\r\n";
    stream.write_all(text.as_bytes())
}

/// A file as a good server serves it: with its version, and parts of it on request.
#[derive(Debug, Clone)]
pub struct File {
    pub bytes: Arc<Vec<u8>>,
    pub content_type: &'static str,
    pub etag: Option<String>,
    /// Whether parts are served
    pub ranges: bool,
}

impl File {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: Arc::new(bytes.to_vec()),
            content_type: "video/mp4",
            etag: Some("\"v1\"".into()),
            ranges: true,
        }
    }

    /// Writes the headers; gives the bytes that have to follow.
    fn begin<'a>(&'a self, request: &Request, stream: &mut TcpStream) -> io::Result<&'a [u8]> {
        let total = self.bytes.len();
        let mut headers = vec![("Content-Type", self.content_type.to_owned())];
        headers.extend(self.etag.iter().map(|etag| ("ETag", etag.clone())));
        let is_same = request
            .header("if-range")
            .is_none_or(|version| self.etag.as_deref() == Some(version));
        match request.range_start() {
            Some(first) if self.ranges && is_same => {
                if first >= total {
                    headers.push(("Content-Range", format!("bytes */{total}")));
                    head(stream, 416, &headers)?;
                    return Ok(&[]);
                }
                let range = format!("bytes {first}-{}/{total}", total - 1);
                headers.push(("Content-Range", range));
                headers.push(("Content-Length", (total - first).to_string()));
                head(stream, 206, &headers)?;
                Ok(&self.bytes[first..])
            }
            _ => {
                headers.push(("Content-Length", total.to_string()));
                head(stream, 200, &headers)?;
                Ok(&self.bytes)
            }
        }
    }
}

/// Serves a file.
pub fn file(file: File) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> {
    move |request, stream| {
        let body = file.begin(request, stream)?;
        stream.write_all(body)
    }
}

/// Serves a file, but closes the first `times` connections after `after` bytes.
pub fn cut(
    file: File,
    after: usize,
    times: usize,
) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> {
    move |request, stream| {
        let body = file.begin(request, stream)?;
        let end = match request.number {
            number if number < times => after.min(body.len()),
            _ => body.len(),
        };
        stream.write_all(&body[..end])
    }
}

/// Serves a file in pieces of `piece` bytes with a wait after each; a wait without end is a stall.
pub fn slow(
    file: File,
    piece: usize,
    wait: Duration,
) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> {
    move |request, stream| {
        for bytes in file.begin(request, stream)?.chunks(piece) {
            stream.write_all(bytes)?;
            if !request.wait(wait) {
                break;
            }
        }
        Ok(())
    }
}

/// Answers with a status and nothing else.
pub fn status(
    status: u16,
    headers: &[(&'static str, &str)],
) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> + use<> {
    let headers: Vec<(&'static str, String)> = headers
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect();
    move |_, stream| {
        let mut headers = headers.clone();
        headers.push(("Content-Length", "0".into()));
        head(stream, status, &headers)
    }
}

/// One answer for the first `times` requests, another one for those after them.
pub fn first(
    times: usize,
    one: impl Fn(&Request, &mut TcpStream) -> io::Result<()>,
    then: impl Fn(&Request, &mut TcpStream) -> io::Result<()>,
) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> {
    move |request, stream| {
        if request.number < times {
            one(request, stream)
        } else {
            then(request, stream)
        }
    }
}

/// Answers 200 with exactly these headers and this body.
pub fn answer(
    headers: &[(&'static str, &str)],
    body: &[u8],
) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> + use<> {
    let headers: Vec<(&'static str, String)> = headers
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect();
    let body = body.to_vec();
    move |_, stream| {
        head(stream, 200, &headers)?;
        stream.write_all(&body)
    }
}

/// Serves a body in chunks, without saying how long it is.
pub fn chunked(body: &[u8]) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> + use<> {
    let body = body.to_vec();
    move |_, stream| {
        head(stream, 200, &[("Transfer-Encoding", "chunked".into())])?;
        for chunk in body.chunks(1000) {
            write!(stream, "{:x}\r\n", chunk.len())?;
            stream.write_all(chunk)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")
    }
}

/// Begins like a video and never ends.
pub fn endless(begin: &[u8]) -> impl Fn(&Request, &mut TcpStream) -> io::Result<()> + use<> {
    let begin = begin.to_vec();
    move |request, stream| {
        head(stream, 200, &[("Content-Type", "video/mp4".into())])?;
        stream.write_all(&begin)?;
        let zeros = vec![0; 64 * 1024];
        while request.wait(Duration::from_millis(1)) {
            stream.write_all(&zeros)?;
        }
        Ok(())
    }
}
