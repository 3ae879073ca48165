//! Connections: made only to addresses that were checked, and given up as soon as the run stops.
//!
//! ureq speaks HTTP and rustls TLS; what is ours is the resolver, which asks the [`Guard`], and the socket, which wakes up
//! now and then while it waits. No proxy is used, whatever the environment says: behind one, nobody could check where a
//! connection really goes.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, RustlsConnector, Transport,
};
use ureq::{Agent, Error, Timeout};

use super::connect::{self, LOOK_EVERY, MOST_WAIT};
use super::guard::{Guard, Refused};
use super::pause::Stopped;

const BUFFER_BYTES: usize = 128 * 1024;
/// Room of ureq's list of addresses.
const MOST_ADDRESSES: usize = 16;

/// What speaks HTTP. Redirects are answers like others, and so are all statuses.
pub fn agent(guard: Guard, stall: Duration, total: Duration, stopped: Stopped) -> Agent {
    let connect = stall.min(MOST_WAIT);
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // One file takes longer than a handshake, and a connection is never used for what it was not checked for.
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        // A server that drips its handshake or its headers is as bad as a silent one.
        .timeout_connect(Some(connect + stall))
        .timeout_recv_response(Some(2 * stall))
        .timeout_global(Some(total))
        .user_agent(concat!("framewright/", env!("CARGO_PKG_VERSION")))
        .accept("*/*")
        .accept_encoding("identity")
        .input_buffer_size(BUFFER_BYTES)
        .build();
    let sockets = Sockets {
        stall,
        connect,
        stopped: stopped.clone(),
    };
    let connector = ().chain(sockets).chain(RustlsConnector::default());
    Agent::with_parts(config, connector, Checked { guard, stopped })
}

/// Resolves names and lets pass only what may be talked to.
struct Checked {
    guard: Guard,
    stopped: Stopped,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checked").field(&self.guard).finish()
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let port = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let port = uri.port_u16().unwrap_or(port);
        let passed = connect::resolve(&self.guard, host, port, || !(self.stopped)());
        let mut addresses = self.empty();
        for address in passed.map_err(refused)?.into_iter().take(MOST_ADDRESSES) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

fn refused(why: Refused) -> Error {
    Error::Other(Box::new(why))
}

/// Makes plain connections to the addresses that the resolver gave.
struct Sockets {
    stall: Duration,
    connect: Duration,
    stopped: Stopped,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

impl Connector for Sockets {
    type Out = Socket;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _chained: Option<()>,
    ) -> Result<Option<Socket>, Error> {
        let stream = connect::connect(&details.addrs, self.connect, || !(self.stopped)());
        let socket = stream.and_then(|stream| self.socket(stream));
        socket.map(Some).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::Timeout(Timeout::Connect),
            _ => Error::Io(error),
        })
    }
}

impl Sockets {
    fn socket(&self, stream: TcpStream) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        stream.set_write_timeout(Some(self.stall))?;
        Ok(Socket {
            stream,
            buffers: LazyBuffers::new(BUFFER_BYTES, BUFFER_BYTES),
            stall: self.stall,
            stopped: self.stopped.clone(),
        })
    }
}

/// A plain connection.
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    stall: Duration,
    stopped: Stopped,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _timeout: NextTimeout) -> Result<(), Error> {
        // Requests are a few hundred bytes: they fit into the socket's own buffer.
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output).map_err(Error::Io)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let begin = Instant::now();
        loop {
            if (self.stopped)() {
                return Err(Error::Io(io::Error::other("the run is stopping")));
            }
            let input = self.buffers.input_append_buf();
            match self.stream.read(input) {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    return Ok(n > 0);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut => {}
                    _ => return Err(Error::Io(error)),
                },
            }
            if begin.elapsed() >= self.stall {
                return Err(Error::Timeout(Timeout::PerRead));
            }
            if begin.elapsed() >= *timeout.after {
                return Err(Error::Timeout(timeout.reason));
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Connections are not used twice.
        false
    }
}
