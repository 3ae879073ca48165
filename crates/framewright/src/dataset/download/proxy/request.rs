//! The head of a request to the proxy: where it wants to go, and what of it is passed on.
//!
//! Invariant: what is passed on names the host that was checked, and nothing of the proxy's secret.

use std::fmt::Write as _;

/// Headers that are between a client and its proxy, or that we write ourselves.
const NOT_PASSED_ON: [&str; 9] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// A request of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Host to connect to; an IPv6 address in brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// The login as the client sent it; empty without one.
    pub authorization: String,
    /// The head for the server; `None` asks for a tunnel.
    pub forwarded: Option<Vec<u8>>,
    /// Size of the body that follows the head.
    pub body_bytes: u64,
}

impl Request {
    /// Reads a whole head, without the empty line at its end; `None` for what is not served, such as an address of
    /// another scheme than http, or a head that two readers could take for different things.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() || !is_token(method) || !version.starts_with("HTTP/1.") {
            return None;
        }
        let mut passed_on = String::new();
        let (mut authorization, mut body_bytes) = (String::new(), None);
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let value = value.trim_matches([' ', '\t']);
            if !is_token(name) || value.contains(|c: char| c.is_control() && c != '\t') {
                return None;
            }
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "proxy-authorization" => value.clone_into(&mut authorization),
                "content-length" if body_bytes.is_some() => return None,
                "content-length" => body_bytes = Some(value.parse().ok()?),
                // yt-dlp knows how long its requests are.
                "transfer-encoding" => return None,
                _ => {}
            }
            if !NOT_PASSED_ON.contains(&lower.as_str()) {
                let _ = write!(passed_on, "{name}: {value}\r\n");
            }
        }
        let body_bytes = body_bytes.unwrap_or(0);
        if method == "CONNECT" {
            let (host, port) = host_and_port(target)?;
            return Some(Self {
                host,
                port: port?,
                authorization,
                forwarded: None,
                body_bytes,
            });
        }
        let rest = target.get(..7)?.eq_ignore_ascii_case("http://");
        let rest = rest.then(|| &target[7..])?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let (host, port) = host_and_port(authority)?;
        let forwarded = format!(
            "{method} {slash}{path} HTTP/1.1\r\nHost: {authority}\r\n{passed_on}Connection: close\r\n\r\n"
        );
        Some(Self {
            host,
            port: port.unwrap_or(80),
            authorization,
            forwarded: Some(forwarded.into_bytes()),
            body_bytes,
        })
    }
}

/// Parts of `host`, `host:port`, `[ipv6]` and `[ipv6]:port`; the port is `None` where there is none.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let host_len = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_len);
    let port = match port.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    let is_plain = !host.is_empty() && !host.contains(['@', '\\', '%', '/']);
    is_plain.then(|| (host.to_owned(), port))
}

fn is_token(word: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !word.is_empty() && word.bytes().all(is_of_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Option<Request> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn a_tunnel_names_its_host_and_port() {
        let request =
            parse("CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic x").unwrap();
        assert_eq!((request.host.as_str(), request.port), ("a.example", 443));
        assert_eq!(
            (request.authorization.as_str(), request.forwarded),
            ("Basic x", None)
        );
        let request = parse("CONNECT [::1]:8443 HTTP/1.1").unwrap();
        assert_eq!((request.host.as_str(), request.port), ("[::1]", 8443));
    }

    #[test]
    fn what_is_passed_on_is_for_the_checked_host_and_keeps_the_secret() {
        let head = "GET HTTP://a.example:81?q='|x#f HTTP/1.1\r\nHost: other\r\nproxy-authorization: Basic x\r\n\
                    Connection: keep-alive\r\nContent-Length: 3\r\nX: y";
        let request = parse(head).unwrap();
        assert_eq!((request.host.as_str(), request.port), ("a.example", 81));
        assert_eq!(
            (request.authorization.as_str(), request.body_bytes),
            ("Basic x", 3)
        );
        let forwarded = String::from_utf8(request.forwarded.unwrap()).unwrap();
        let expected = "GET /?q='|x HTTP/1.1\r\nHost: a.example:81\r\nContent-Length: 3\r\nX: y\r\nConnection: close\r\n\r\n";
        assert_eq!(forwarded, expected);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_served() {
        for head in [
            "",
            "GET",
            "GET /path HTTP/1.1",
            "GET https://a/ HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET file:///etc/passwd HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET http:///x HTTP/1.1",
            "GET http://user@a/ HTTP/1.1",
            "GET http://a\\@b/ HTTP/1.1",
            "GET http://a:b/ HTTP/1.1",
            "GET http://a:99999/ HTTP/1.1",
            "GET http://a:+80/ HTTP/1.1",
            "GET http://[::1/ HTTP/1.1",
            "GET http://[::1]x/ HTTP/1.1",
            "GET http://[fe80::1%25eth0]/ HTTP/1.1",
            "GET http://a/ b HTTP/1.1",
            "GET http://a/ HTTP/2",
            "CONNECT a HTTP/1.1",
            "CONNECT a:b:1 HTTP/1.1",
            "GET http://a/ HTTP/1.1\r\nX y",
            "GET http://a/ HTTP/1.1\r\nX : y",
            "GET http://a/ HTTP/1.1\r\nX: y\r\n folded",
            "GET http://a/ HTTP/1.1\r\nX: y\nHost: b",
            "GET http://a/ HTTP/1.1\r\nX: \0",
            "GET http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
            "GET http://a/ HTTP/1.1\r\nContent-Length: x",
            "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(parse(head), None, "{head:?}");
        }
    }
}
