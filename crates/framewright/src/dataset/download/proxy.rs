//! A proxy for what yt-dlp fetches: it asks the guard as our own client does, whatever site, redirect or playlist an
//! address comes from.
//!
//! ```text
//! yt-dlp ─▶ 127.0.0.1:random ─▶ the run's secret? ─▶ resolve ─▶ guard ─▶ connect to the checked address ─▶ bytes, counted
//!              CONNECT host:port (https), or GET http://host/path      └▶ 403, remembered for what is said
//! ```
//! It lives beside one child, serves nobody else (the secret stands in the child's environment, which only its owner
//! may read), and has ended with all its threads when the child has. No proxy of the environment is behind it: nobody
//! could check where that one connects.
//!
//! Invariant: it connects only to addresses that [`Guard`] let pass, to the very ones that were judged.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use framewright_pipeline::{Helpers, with_helpers};
use rustix::event::{PollFd, PollFlags};
use rustix::rand::{GetRandomFlags, getrandom};

use super::connect::{LOOK_EVERY, MOST_WAIT, connect, is_ready, resolve};
use super::guard::{Guard, Refused};

use request::Request;
use transfer::{Waiter, prepare, read_head, relay, relay_response, send};

mod request;
mod transfer;

const USER: &str = "framewright";
/// Most connections at the same time; yt-dlp keeps some open that it does not use.
const MOST_CONNECTIONS: usize = 64;
/// Longest that a client on this machine may take for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Refusals that are remembered.
const MOST_REFUSALS: usize = 20;

/// The proxy of one child.
pub struct Proxy<'a> {
    guard: &'a Guard,
    listener: TcpListener,
    url: String,
    /// The login that every request has to carry.
    authorization: String,
    /// Longest wait for the head of an answer.
    stall: Duration,
    /// Most bytes that may come in all.
    most_bytes: u64,
    received: AtomicU64,
    connections: AtomicUsize,
    ended: AtomicBool,
    refusals: Mutex<Vec<String>>,
}

impl<'a> Proxy<'a> {
    /// Opens a port that nobody is served on before [`Proxy::serve_beside`]. A server may be silent for `stall` before it
    /// answers, and all of them together may send `most_bytes`.
    ///
    /// # Errors
    /// The system gives no port or no random numbers.
    pub fn open(guard: &'a Guard, stall: Duration, most_bytes: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let mut secret = [0; 16];
        // So few are never given in part.
        getrandom(&mut secret, GetRandomFlags::empty())?;
        let secret = super::hex(&secret);
        let credentials = format!("{USER}:{secret}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&credentials);
        Ok(Self {
            guard,
            url: format!("http://{credentials}@{}", listener.local_addr()?),
            authorization: format!("Basic {encoded}"),
            listener,
            stall,
            most_bytes,
            received: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            refusals: Mutex::default(),
        })
    }

    /// Its address, with the secret: not for a command line, which everybody may read.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on 127.0.0.1.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Bytes that came from servers so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// True when more came than may; nothing more is passed on then.
    pub fn is_exhausted(&self) -> bool {
        self.received() > self.most_bytes
    }

    /// The refusals of the guard in words, the first of them.
    pub fn refusals(&self) -> Vec<String> {
        let refusals = self.refusals.lock();
        refusals.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work` while it serves; all connections have ended afterwards.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve_beside<R>(&self, work: impl FnOnce() -> R) -> io::Result<R> {
        with_helpers(|helpers| {
            // Also when `work` panics: its helpers are waited for.
            let _ended = SetWhenDropped(&self.ended);
            helpers.start("proxy", move || self.accept(helpers))?;
            Ok(work())
        })
    }

    fn is_wanted(&self) -> bool {
        !self.ended.load(Ordering::Relaxed) && !self.is_exhausted()
    }

    fn accept<'scope>(&'scope self, helpers: Helpers<'scope, '_>) {
        while !self.ended.load(Ordering::Relaxed) {
            if !is_ready(&mut [PollFd::new(&self.listener, PollFlags::IN)]).unwrap_or(false) {
                continue;
            }
            let Ok((client, _)) = self.listener.accept() else {
                // No descriptors are left, or the client is gone.
                std::thread::sleep(LOOK_EVERY);
                continue;
            };
            // Only this thread adds to it.
            if self.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                self.connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let place = Place(&self.connections);
            let serve = move || {
                let _place = place;
                // Both sides see the end of the connection; yt-dlp says what it made of it.
                let _ = self.serve(&client);
            };
            // Without a thread the connection is closed, and its place given back.
            let _ = helpers.start("proxy", serve);
        }
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let wanted = || self.is_wanted();
        let waiter = Waiter::new(&wanted);
        prepare(client)?;
        let (head, rest) = read_head(client, Vec::new(), &waiter, Instant::now() + HEAD_WITHIN)?;
        let Some(request) = Request::parse(&head) else {
            return send(client, &answer("400 Bad Request", ""), &waiter);
        };
        if !is_same(&request.authorization, &self.authorization) {
            let login = "Proxy-Authenticate: Basic realm=\"framewright\"\r\n";
            let text = answer("407 Proxy Authentication Required", login);
            return send(client, &text, &waiter);
        }
        let server = match self.reach(&request) {
            Ok(server) => server,
            Err(status) => return send(client, &answer(status, ""), &waiter),
        };
        prepare(&server)?;
        let received = |n: usize| {
            self.received.fetch_add(n as u64, Ordering::Relaxed);
        };
        let Some(forwarded) = &request.forwarded else {
            send(
                client,
                b"HTTP/1.1 200 Connection established\r\n\r\n",
                &waiter,
            )?;
            send(&server, &rest, &waiter)?;
            return relay(client, &server, u64::MAX, &waiter, received);
        };
        send(&server, forwarded, &waiter)?;
        // Nothing but the body goes to this server: the next request may be for another one.
        let here = rest
            .len()
            .min(usize::try_from(request.body_bytes).unwrap_or(usize::MAX));
        send(&server, &rest[..here], &waiter)?;
        let left = request.body_bytes - here as u64;
        relay_response(client, &server, left, self.stall, &waiter, received)
    }

    /// A connection to where a request wants to go, else the status that says why there is none.
    fn reach(&self, request: &Request) -> Result<TcpStream, &'static str> {
        let wanted = || self.is_wanted();
        let addresses = resolve(self.guard, &request.host, request.port, wanted);
        let addresses = addresses.map_err(|refused| match refused {
            Refused::Private { .. } => {
                self.remember(&refused);
                "403 Forbidden by framewright"
            }
            Refused::Unresolved(_) => "502 Name not resolved",
        })?;
        connect(&addresses, MOST_WAIT, wanted).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => "504 Gateway Timeout",
            _ => "502 No connection",
        })
    }

    fn remember(&self, refused: &Refused) {
        let said = refused.to_string();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < MOST_REFUSALS && !refusals.contains(&said) {
            refusals.push(said);
        }
    }
}

fn answer(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// Compares in a time that does not tell how much of it is right.
fn is_same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    one.len() == other.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One of the connections at the same time; given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
