//! Which addresses may be talked to: those of the public internet, and what the user names.
//!
//! A list of videos is written by strangers, and this machine may reach what they may not: its own services, the
//! machines beside it, the metadata service of a cloud. So a name is resolved once, its addresses are judged here, and
//! only to those that pass is a connection made. The forms of IPv6 that carry an IPv4 address inside are refused whole.
//! So are the public addresses of this machine itself: what listens on them may trust whoever comes from here.
//!
//! Invariant: [`Guard::filter`] stands between every name and every connection of ours (`connect.rs`) and of yt-dlp
//! (`proxy.rs`), those of redirects included.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What may be talked to.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// `host` or `host:port`, lowercase, as the user named them.
    allowed: Vec<String>,
}

/// Why a host is not talked to.
#[derive(Debug)]
pub enum Refused {
    /// It has only addresses that are not of the public internet.
    Private {
        /// The host as the address names it.
        host: String,
        /// One of its addresses.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
    },
    /// Its name could not be resolved.
    Unresolved(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private {
                host,
                address,
                kind,
            } if host.trim_matches(['[', ']']) == address.to_string() => write!(
                f,
                "{address} is a {kind} address, which is not fetched from; allow_hosts can name it"
            ),
            Self::Private {
                host,
                address,
                kind,
            } => write!(
                f,
                "{host} is {address}, a {kind} address, which is not fetched from; allow_hosts can name the host"
            ),
            Self::Unresolved(host) => write!(f, "the name {host} cannot be resolved"),
        }
    }
}

impl std::error::Error for Refused {}

impl Guard {
    /// A guard that lets these hosts pass as well: `HOST`, which stands for all its ports, or `HOST:PORT`.
    pub fn new(allow_hosts: &[String]) -> Self {
        let allowed = allow_hosts.iter().map(|host| host.to_ascii_lowercase());
        Self {
            allowed: allowed.collect(),
        }
    }

    /// The addresses of a host that may be talked to.
    ///
    /// # Errors
    /// There are none.
    pub fn filter(
        &self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let is_named = self.names(host, port);
        let mut private = None;
        let mut passed = Vec::new();
        for address in addresses {
            match refused_kind(address.ip()).or_else(|| own_kind(address)) {
                Some(kind) if !is_named => private = private.or(Some((address.ip(), kind))),
                _ => passed.push(address),
            }
        }
        match private {
            _ if !passed.is_empty() => Ok(passed),
            Some((address, kind)) => Err(Refused::Private {
                host: host.to_owned(),
                address,
                kind,
            }),
            None => Err(Refused::Unresolved(host.to_owned())),
        }
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let with_port = format!("{host}:{port}");
        self.allowed
            .iter()
            .any(|named| *named == host || *named == with_port)
    }
}

/// What is wrong with an address; none for one of the public internet. By IANA's registries of special addresses.
fn refused_kind(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => refused_v4(ip),
        IpAddr::V6(ip) => refused_v6(ip),
    }
}

/// Finds the addresses of this machine: those that the system would send from to reach themselves. Nothing is sent.
fn own_kind(address: SocketAddr) -> Option<&'static str> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(address).ok()?;
    let from = socket.local_addr().ok()?;
    (from.ip() == address.ip()).then_some("local")
}

fn refused_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [169, 254, ..] => Some("link-local"),
        [100, 64..=127, ..] => Some("carrier-grade NAT"),
        // The metadata service of Azure and the like, which lies among public addresses.
        [168, 63, 129, 16] => Some("metadata"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Some("reserved"),
        _ => None,
    }
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if ip.is_unspecified() {
        return Some("unspecified");
    }
    if ip.is_loopback() {
        return Some("loopback");
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some("mapped IPv4"),
        [0x64, 0xff9b, ..] => Some("NAT64"),
        [0x2002, ..] => Some("6to4"),
        [0x2001, 0, ..] => Some("Teredo"),
        // Protocol assignments, such as benchmarks and hashes of keys.
        [0x2001, ..=0x01ff, ..] => Some("reserved"),
        [0x2001, 0x0db8, ..] | [0x3fff, ..=0x0fff, ..] => Some("documentation"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_pass() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::1",
            "2001:0:1::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "100::1",
            "4000::1",
        ];
        for ip in refused {
            assert!(refused_kind(ip.parse().unwrap()).is_some(), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
        ] {
            assert!(refused_kind(ip.parse().unwrap()).is_none(), "{ip}");
        }
    }

    #[test]
    fn a_host_passes_only_by_its_exact_name_and_port() {
        let guard = Guard::new(&["127.0.0.1:8000".into(), "Media.Home".into(), "[::1]".into()]);
        let passes = |host: &str, port: u16, ip: &str| {
            let address = SocketAddr::new(ip.parse().unwrap(), port);
            guard.filter(host, port, [address]).is_ok()
        };
        assert!(passes("127.0.0.1", 8000, "127.0.0.1"));
        assert!(!passes("127.0.0.1", 8001, "127.0.0.1"));
        assert!(!passes("127.0.0.1", 80, "127.0.0.1"));
        assert!(!passes("127.0.0.2", 8000, "127.0.0.2"));
        assert!(!passes("localhost", 8000, "127.0.0.1"));
        assert!(passes("[::1]", 9, "::1"));
        assert!(passes("media.home", 80, "10.0.0.1"));
        assert!(!passes("media.home.evil", 80, "10.0.0.1"));
    }

    #[test]
    fn an_address_of_this_machine_is_known_as_such() {
        // All of 127/8 is; the source of what is sent to 127.0.0.1 is itself.
        assert!(own_kind("127.0.0.1:80".parse().unwrap()).is_some());
        assert!(own_kind("8.8.8.8:80".parse().unwrap()).is_none());
    }

    #[test]
    fn of_several_addresses_only_the_public_ones_are_used() {
        let addresses = ["10.0.0.1:80", "8.8.8.8:80"].map(|address| address.parse().unwrap());
        let passed = Guard::default().filter("x", 80, addresses).unwrap();
        assert_eq!(passed, [addresses[1]]);
    }
}
