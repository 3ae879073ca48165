//! Bytes between the two sides of the proxy. Every wait looks now and then whether it is still wanted.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::dataset::download::connect::{LOOK_EVERY, is_ready};

/// Largest head of a request or an answer.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Most answers of the kind "go on" before the real one.
const MOST_INTERIM: usize = 10;
const CHUNK_BYTES: usize = 64 * 1024;

/// Says whether to wait any longer.
pub struct Waiter<'a> {
    is_wanted: &'a dyn Fn() -> bool,
}

impl<'a> Waiter<'a> {
    pub fn new(is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { is_wanted }
    }

    fn check(&self) -> io::Result<()> {
        if (self.is_wanted)() {
            return Ok(());
        }
        Err(ErrorKind::ConnectionAborted.into())
    }
}

/// Sets what a connection needs so that no call on it blocks for long.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK_EVERY))?;
    stream.set_write_timeout(Some(LOOK_EVERY))
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Writes all of it.
///
/// # Errors
/// The other side is gone, or nobody wants it any more.
pub fn send(mut to: &TcpStream, mut bytes: &[u8], waiter: &Waiter) -> io::Result<()> {
    while !bytes.is_empty() {
        waiter.check()?;
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if is_for_now(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads up to the empty line, with `begun` before what is read; gives the head without it, and what came after it.
///
/// # Errors
/// It is too long, does not come to its end by `until`, or nobody wants it any more.
pub fn read_head(
    mut from: &TcpStream,
    begun: Vec<u8>,
    waiter: &Waiter,
    until: Instant,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut head, mut chunk, mut searched) = (begun, [0; 4096], 0);
    loop {
        if let Some((end, after)) = end_of_head(&head[searched..]) {
            let rest = head.split_off(searched + after);
            head.truncate(searched + end);
            return Ok((head, rest));
        }
        // The mark may have begun.
        searched = head.len().saturating_sub(3);
        if head.len() > MOST_HEAD_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a head too long"));
        }
        waiter.check()?;
        if Instant::now() >= until {
            return Err(ErrorKind::TimedOut.into());
        }
        match from.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => head.extend_from_slice(&chunk[..n]),
            Err(error) if is_for_now(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where a head ends and what follows it begins. Some servers write line feeds only.
fn end_of_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let find = |mark: &[u8]| {
        let at = bytes.windows(mark.len()).position(|window| window == mark);
        at.map(|at| (at, at + mark.len()))
    };
    let ends = [find(b"\r\n\r\n"), find(b"\n\n")];
    ends.into_iter().flatten().min()
}

/// Passes bytes on in both directions, at most `upload_bytes` of them to the server, until one side ends.
///
/// # Errors
/// A side breaks off, or nobody wants it any more.
pub fn relay(
    client: &TcpStream,
    server: &TcpStream,
    mut upload_bytes: u64,
    waiter: &Waiter,
    received: impl Fn(usize),
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        waiter.check()?;
        let mut sides = [server, client].map(|side| PollFd::new(side, PollFlags::IN));
        if !is_ready(&mut sides)? {
            continue;
        }
        let [from_server, from_client] = sides.map(|side| !side.revents().is_empty());
        if from_server {
            match read(server, &mut chunk)? {
                Some(0) => return Ok(()),
                Some(n) => {
                    received(n);
                    send(client, &chunk[..n], waiter)?;
                }
                None => {}
            }
        }
        if from_client {
            match read(client, &mut chunk)? {
                Some(0) => return Ok(()),
                Some(n) if n as u64 > upload_bytes => {
                    let message = "more than was announced";
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
                Some(n) => {
                    upload_bytes -= n as u64;
                    send(server, &chunk[..n], waiter)?;
                }
                None => {}
            }
        }
    }
}

fn read(mut from: &TcpStream, chunk: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(chunk) {
        Ok(n) => Ok(Some(n)),
        Err(error) if is_for_now(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Passes on the answer to a plain request. The client is told that the connection ends with it, since its next request
/// may be for another server.
///
/// # Errors
/// As [`relay`]; or no head comes within `stall`.
pub fn relay_response(
    client: &TcpStream,
    server: &TcpStream,
    upload_bytes: u64,
    stall: Duration,
    waiter: &Waiter,
    received: impl Fn(usize),
) -> io::Result<()> {
    let mut upload_bytes = upload_bytes;
    // A body that is still to come is sent before the answer is waited for.
    let mut chunk = vec![0; CHUNK_BYTES];
    while upload_bytes > 0 {
        waiter.check()?;
        let most = chunk
            .len()
            .min(usize::try_from(upload_bytes).unwrap_or(usize::MAX));
        match read(client, &mut chunk[..most])? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(n) => {
                upload_bytes -= n as u64;
                send(server, &chunk[..n], waiter)?;
            }
            None => {}
        }
    }
    let (mut begun, until) = (Vec::new(), Instant::now() + stall);
    for _ in 0..MOST_INTERIM {
        let had = begun.len();
        let (head, rest) = read_head(server, begun, waiter, until)?;
        received((head.len() + rest.len()).saturating_sub(had));
        if is_interim(&head) {
            // Nobody has asked for it.
            begun = rest;
            continue;
        }
        send(client, &closing(&head), waiter)?;
        send(client, &rest, waiter)?;
        return relay(client, server, 0, waiter, received);
    }
    Err(io::Error::new(ErrorKind::InvalidData, "no answer"))
}

/// True for the head of an answer such as "100 Continue", after which another one comes.
fn is_interim(head: &[u8]) -> bool {
    let status = head.split(|&byte| byte == b' ').nth(1);
    status.is_some_and(|status| status.len() >= 3 && status[0] == b'1')
}

/// A head that says that its connection is not used again.
fn closing(head: &[u8]) -> Vec<u8> {
    const NOT_PASSED_ON: [&[u8]; 4] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"upgrade",
    ];
    let mut passed_on = Vec::with_capacity(head.len() + 32);
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let name = name.trim_ascii().to_ascii_lowercase();
        if !NOT_PASSED_ON.contains(&name.as_slice()) {
            passed_on.extend_from_slice(line);
            passed_on.extend_from_slice(b"\r\n");
        }
    }
    passed_on.extend_from_slice(b"Connection: close\r\n\r\n");
    passed_on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_the_first_empty_line_of_either_kind() {
        assert_eq!(end_of_head(b"a\r\n\r\nb\n\n"), Some((1, 5)));
        assert_eq!(end_of_head(b"a\n\nb\r\n\r\n"), Some((1, 3)));
        assert_eq!(end_of_head(b"a\r\nb\r\n"), None);
    }

    #[test]
    fn an_answer_that_is_passed_on_ends_its_connection() {
        let head = b"HTTP/1.1 200 OK\r\nCONNECTION : keep-alive\nX: y\r\nkeep-alive: 5";
        let expected = b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\n";
        assert_eq!(closing(head), expected);
        assert!(is_interim(b"HTTP/1.1 103 Early Hints"));
        assert!(!is_interim(b"HTTP/1.1 200 OK"));
    }
}
