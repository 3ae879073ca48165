//! Which addresses may be talked to: those of the public internet, and what the user names.
//!
//! A list of videos is written by strangers, and this machine may reach what they may not: its own services, the
//! machines beside it, the metadata service of a cloud. So a name is resolved once, its addresses are judged here, and
//! only to those that pass is a connection made. The forms of IPv6 that carry an IPv4 address inside are refused whole.
//!
//! Invariant: [`Guard::check`] stands between every name and every connection of ours, those of redirects included. What
//! yt-dlp connects to later is its own affair; the address that it is given is checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use url::{Host, Url};

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

    /// Resolves the host of an address and judges what comes out.
    ///
    /// # Errors
    /// The name has no address, or none that may be talked to.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let unresolved = || Refused::Unresolved(host.to_owned());
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
            Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
            Some(Host::Domain(name)) => (name, port)
                .to_socket_addrs()
                .map_err(|_| unresolved())?
                .collect(),
            None => Vec::new(),
        };
        self.filter(host, port, addresses).map(|_| ())
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
            match refused_kind(address.ip()) {
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
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2001, second, ..] if second != 0x0db8 => None,
        [0x2000 | 0x2003..=0x3fff, ..] => None,
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
            "2606:4700::1111",
            "2a00:1450:4001::200e",
        ] {
            assert!(refused_kind(ip.parse().unwrap()).is_none(), "{ip}");
        }
    }

    #[test]
    fn a_host_passes_only_by_its_exact_name_and_port() {
        let guard = Guard::new(&["127.0.0.1:8000".into(), "Media.Home".into(), "[::1]".into()]);
        let check = |url: &str| guard.check(&Url::parse(url).unwrap()).is_ok();
        assert!(check("http://127.0.0.1:8000/a"));
        assert!(!check("http://127.0.0.1:8001/a"));
        assert!(!check("http://127.0.0.1/a"));
        assert!(!check("http://127.0.0.2:8000/a"));
        assert!(check("http://[::1]:9/a"));
        let private = || ["10.0.0.1:80".parse().unwrap()];
        assert!(guard.filter("media.home", 80, private()).is_ok());
        assert!(guard.filter("media.home.evil", 80, private()).is_err());
    }

    #[test]
    fn odd_spellings_of_an_address_are_the_address() {
        let guard = Guard::default();
        for url in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
        ] {
            let refused = guard.check(&Url::parse(url).unwrap()).unwrap_err();
            assert!(matches!(refused, Refused::Private { .. }), "{url}");
        }
    }

    #[test]
    fn of_several_addresses_only_the_public_ones_are_used() {
        let addresses = ["10.0.0.1:80", "8.8.8.8:80"].map(|address| address.parse().unwrap());
        let passed = Guard::default().filter("x", 80, addresses).unwrap();
        assert_eq!(passed, [addresses[1]]);
    }
}
