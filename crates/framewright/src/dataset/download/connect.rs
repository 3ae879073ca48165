//! From a name to a connection, for all that is fetched: resolve, let the guard judge, and connect to the very address
//! that it let pass. Every wait ends soon after it is no longer wanted.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use framewright_pipeline::abandonable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as begin, socket_with, sockopt};
use url::Host;

use super::guard::{Guard, Refused};

/// Longest that finding a host's addresses may take, and so may connecting.
pub const MOST_WAIT: Duration = Duration::from_secs(10);
/// How often a wait looks whether it is still wanted.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The addresses of a host that may be talked to. `host` is as an address names it, an IPv6 address in brackets.
///
/// # Errors
/// The name has no address, or none that may be talked to, or is no longer wanted.
pub fn resolve(
    guard: &Guard,
    host: &str,
    port: u16,
    wanted: impl Fn() -> bool,
) -> Result<Vec<SocketAddr>, Refused> {
    let unresolved = || Refused::Unresolved(host.to_owned());
    // Also odd spellings of numeric addresses become what they mean.
    let addresses = match Host::parse(host).map_err(|_| unresolved())? {
        Host::Ipv4(ip) => vec![(IpAddr::V4(ip), port).into()],
        Host::Ipv6(ip) => vec![(IpAddr::V6(ip), port).into()],
        Host::Domain(name) => {
            let begin = Instant::now();
            let ask = move || Some((name, port).to_socket_addrs().ok()?.collect::<Vec<_>>());
            abandonable("resolve", ask, || wanted() && begin.elapsed() < MOST_WAIT)
                .ok()
                .flatten()
                .flatten()
                .ok_or_else(unresolved)?
        }
    };
    guard.filter(host, port, addresses)
}

/// A connection to the first of the addresses that answers, within `most` for all of them.
///
/// # Errors
/// None answers in time ([`io::ErrorKind::TimedOut`]), or nobody wants it any more.
pub fn connect(
    addresses: &[SocketAddr],
    most: Duration,
    wanted: impl Fn() -> bool,
) -> io::Result<TcpStream> {
    let start = Instant::now();
    let wanted = || wanted() && start.elapsed() < most;
    let mut last = io::ErrorKind::TimedOut.into();
    for address in addresses {
        if !wanted() {
            break;
        }
        match connect_one(address, &wanted) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_one(address: &SocketAddr, wanted: &impl Fn() -> bool) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match begin(&socket, address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS | Errno::INTR) => {
            while !is_ready(&mut [PollFd::new(&socket, PollFlags::OUT)])? {
                if !wanted() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            sockopt::socket_error(&socket)??;
        }
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Waits for one of them, but not for longer than [`LOOK_EVERY`].
pub fn is_ready(fds: &mut [PollFd<'_>]) -> io::Result<bool> {
    let timeout = Timespec::try_from(LOOK_EVERY).map_err(io::Error::other)?;
    match poll(fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_made_to_the_first_address_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let stream = connect(&[closed.unwrap(), open], MOST_WAIT, || true).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        assert!(connect(&[closed.unwrap()], MOST_WAIT, || true).is_err());
        assert!(connect(&[open], MOST_WAIT, || false).is_err());
    }

    #[test]
    fn odd_spellings_of_an_address_are_the_address() {
        let guard = Guard::default();
        for host in [
            "2130706433",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "0x7f000001.",
            "[::1]",
            "LOCALHOST",
        ] {
            let refused = resolve(&guard, host, 80, || true).unwrap_err();
            assert!(
                matches!(refused, Refused::Private { .. }),
                "{host}: {refused}"
            );
        }
        for host in [
            "",
            "a b",
            "[::1",
            "user@127.0.0.1",
            "127.0.0.1:80",
            "1.2.3.4.5",
        ] {
            let refused = resolve(&guard, host, 80, || true).unwrap_err();
            assert!(
                matches!(refused, Refused::Unresolved(_)),
                "{host}: {refused}"
            );
        }
    }
}
