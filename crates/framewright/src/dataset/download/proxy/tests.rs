//! The proxy, spoken to as a client would; servers are on loopback, so each test names them to the guard.

use std::io::{Read as _, Write as _};
use std::thread;

use super::*;

/// A server that sends one answer on every connection, and keeps what it was asked; ends with the test.
fn server(answer: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = std::sync::mpsc::sync_channel(10);
    #[expect(clippy::disallowed_methods, reason = "the other side of the test")]
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let _ = asked.try_send(String::from_utf8_lossy(&request[..n]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, requests)
}

/// All that the proxy answers to what a client says.
fn say(proxy: &Proxy, text: &str) -> String {
    let text = text.replace(
        "AUTH",
        &format!("Proxy-Authorization: {}", proxy.authorization),
    );
    proxy
        .serve_beside(|| {
            let mut stream = TcpStream::connect(proxy.listener.local_addr().unwrap()).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        })
        .unwrap()
}

fn open(guard: &Guard, most_bytes: u64) -> Proxy<'_> {
    Proxy::open(guard, Duration::from_secs(20), most_bytes).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody";

#[test]
fn nobody_without_the_secret_is_served() {
    let (port, requests) = server(OK);
    let guard = Guard::new(&["127.0.0.1".into()]);
    for login in [
        "",
        "Proxy-Authorization: Basic Zjpm\r\n",
        "Proxy-Authorization: \r\n",
    ] {
        let proxy = open(&guard, 1 << 20);
        let said = say(
            &proxy,
            &format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\n{login}\r\n"),
        );
        assert!(said.starts_with("HTTP/1.1 407 "), "{said}");
    }
    assert!(requests.try_recv().is_err());
    assert_ne!(open(&guard, 0).url(), open(&guard, 0).url());
}

#[test]
fn what_the_guard_refuses_is_not_connected_to_and_remembered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let guard = Guard::default();
    for host in [
        "127.0.0.1",
        "localhost",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "127.0.0.1.",
    ] {
        for start in [
            format!("CONNECT {host}:{port} HTTP/1.1"),
            format!("GET http://{host}:{port}/ HTTP/1.1"),
        ] {
            let proxy = open(&guard, 1 << 20);
            let said = say(&proxy, &format!("{start}\r\nAUTH\r\n\r\n"));
            assert!(said.starts_with("HTTP/1.1 403 "), "{start}: {said}");
            let refusals = proxy.refusals();
            assert!(
                refusals.len() == 1 && refusals[0].contains("allow_hosts"),
                "{refusals:?}"
            );
        }
    }
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
}

#[test]
fn a_plain_request_goes_to_its_own_host_and_ends_its_connection() {
    let (port, requests) = server(OK);
    let guard = Guard::new(&[format!("127.0.0.1:{port}")]);
    let proxy = open(&guard, 1 << 20);
    let head = format!(
        "GET http://127.0.0.1:{port}/a?b HTTP/1.1\r\nHost: elsewhere\r\nAUTH\r\nX: y\r\n\r\n"
    );
    let said = say(&proxy, &head);
    assert_eq!(
        said,
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    );
    let asked = requests.recv().unwrap();
    let expected =
        format!("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: y\r\nConnection: close\r\n\r\n");
    assert_eq!(asked, expected);
    assert!(proxy.received() > 4);
}

#[test]
fn a_second_request_on_a_connection_reaches_no_server() {
    let (port, requests) = server(OK);
    let guard = Guard::new(&[format!("127.0.0.1:{port}")]);
    let proxy = open(&guard, 1 << 20);
    let one = format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nAUTH\r\n\r\n");
    say(
        &proxy,
        &format!("{one}GET http://other/ HTTP/1.1\r\nCookie: secret\r\nAUTH\r\n\r\n"),
    );
    let asked: String = requests.try_iter().collect();
    assert!(
        !asked.contains("other") && !asked.contains("secret"),
        "{asked}"
    );
}

#[test]
fn a_tunnel_passes_bytes_both_ways() {
    let (port, requests) = server("hello");
    let guard = Guard::new(&[format!("127.0.0.1:{port}")]);
    let proxy = open(&guard, 1 << 20);
    let said = say(
        &proxy,
        &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nAUTH\r\n\r\nbytes"),
    );
    assert_eq!(said, "HTTP/1.1 200 Connection established\r\n\r\nhello");
    assert_eq!(requests.recv().unwrap(), "bytes");
    assert_eq!(proxy.received(), 5);
}

#[test]
fn other_requests_and_servers_out_of_reach_get_an_answer() {
    let guard = Guard::new(&["127.0.0.1".into()]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = closed.unwrap();
    for (request, status) in [
        ("GET ftp://127.0.0.1/ HTTP/1.1".to_owned(), "400"),
        ("GET / HTTP/1.1".to_owned(), "400"),
        (format!("CONNECT {closed} HTTP/1.1"), "502"),
        (format!("GET http://{closed}/ HTTP/1.1"), "502"),
    ] {
        let proxy = open(&guard, 1 << 20);
        let said = say(&proxy, &format!("{request}\r\nAUTH\r\n\r\n"));
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {said}"
        );
    }
}

#[test]
fn nothing_is_passed_on_beyond_the_bytes_that_may_come() {
    let (port, _requests) = server(OK);
    let guard = Guard::new(&[format!("127.0.0.1:{port}")]);
    let proxy = open(&guard, 10);
    let said = say(
        &proxy,
        &format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nAUTH\r\n\r\n"),
    );
    assert!(proxy.is_exhausted() && said.is_empty(), "{said}");
}

#[test]
fn all_connections_have_ended_when_the_work_is_done() {
    let guard = Guard::new(&["127.0.0.1".into()]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let proxy = open(&guard, 1 << 20);
    let begin = Instant::now();
    proxy
        .serve_beside(|| {
            let connect = || TcpStream::connect(proxy.listener.local_addr().unwrap()).unwrap();
            let (_idle, mut tunnel) = (connect(), connect());
            let auth = &proxy.authorization;
            write!(
                tunnel,
                "CONNECT {address} HTTP/1.1\r\nProxy-Authorization: {auth}\r\n\r\n"
            )
            .unwrap();
            silent.accept().unwrap()
        })
        .unwrap();
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 0);
    assert!(begin.elapsed() < HEAD_WITHIN);
}
