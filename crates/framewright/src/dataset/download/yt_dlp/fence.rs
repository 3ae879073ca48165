//! A second wall around yt-dlp, by the kernel, for code in it or started by it that does not keep to the proxy.
//!
//! | | may |
//! |---|---|
//! | connect | by TCP to the proxy, where the kernel is 6.7 or newer; by nothing else |
//! | write | its two folders, and files up to a size |
//! | read | all that you may |
//! | memory | 4 GiB of data |
//!
//! Made before the child is, so that between fork and exec only system calls are left.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
    path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule, apply_filter,
};

use crate::process::BeforeExec;

const DATA_BYTES: u64 = 4 << 30;

/// Lets a child write to some folders, connect to one port, and write files of so many bytes; as far as the system can,
/// which [`holds_network`] tells.
pub fn around(writable: &[&Path], port: u16, file_bytes: u64) -> BeforeExec {
    let ruleset = ruleset(writable, port).ok();
    let sockets = sockets().ok();
    Arc::new(move || {
        for (resource, limit) in [
            (Resource::Core, 0),
            (Resource::Fsize, file_bytes),
            (Resource::Data, DATA_BYTES),
        ] {
            let both = Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            };
            setrlimit(resource, both)?;
        }
        if let Some(ruleset) = &ruleset {
            let entered = ruleset.try_clone()?.restrict_self();
            entered.map_err(|_| io::ErrorKind::PermissionDenied)?;
        }
        if let Some(sockets) = &sockets {
            apply_filter(sockets).map_err(|_| io::ErrorKind::PermissionDenied)?;
        }
        Ok(())
    })
}

/// True where this system keeps a child that is fenced in from all of the network but the proxy.
pub fn holds_network() -> bool {
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::ConnectTcp)
        .and_then(Ruleset::create);
    landlock.is_ok() && sockets().is_ok()
}

fn ruleset(writable: &[&Path], port: u16) -> Result<RulesetCreated, RulesetError> {
    let writing = AccessFs::from_write(ABI::V5);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(writable, writing))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::WriteFile))?
        .add_rule(NetPort::new(port, AccessNet::ConnectTcp))
}

/// Refuses every socket but those of plain TCP, which is all that Landlock knows, and the ways around its `connect`.
fn sockets() -> Result<BpfProgram, BackendError> {
    let is = |argument, op, value| Condition::new(argument, Len::Dword, op, value);
    let rule = |conditions: Vec<Condition>| Rule::new(conditions);
    let not_both = |argument, one: i32, other: i32| -> Result<Rule, BackendError> {
        rule(vec![
            is(argument, Op::Ne, one as u64)?,
            is(argument, Op::Ne, other as u64)?,
        ])
    };
    let mut socket = vec![
        not_both(0, libc::AF_INET, libc::AF_INET6)?,
        not_both(2, 0, libc::IPPROTO_TCP)?,
    ];
    for kind in (0..16).filter(|&kind| kind != libc::SOCK_STREAM as u64) {
        socket.push(rule(vec![is(1, Op::MaskedEq(0xf), kind)?])?);
    }
    let opens = libc::MSG_FASTOPEN as u64;
    let opening = |argument| -> Result<Vec<Rule>, BackendError> {
        Ok(vec![rule(vec![is(argument, Op::MaskedEq(opens), opens)?])?])
    };
    let rules = BTreeMap::from([
        (libc::SYS_socket, socket),
        (libc::SYS_sendto, opening(3)?),
        (libc::SYS_sendmsg, opening(2)?),
        (libc::SYS_sendmmsg, opening(3)?),
        (libc::SYS_io_uring_setup, Vec::new()),
    ]);
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EACCES as u32),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::process::{KEPT, Limits, Tool};

    const TRIES: &str = r#"
import os, socket, sys
def tried(name, what):
    try:
        what()
        print(name, "done", flush=True)
    except OSError as error:
        print(name, "refused", flush=True)
def connect(port):
    socket.create_connection(("127.0.0.1", int(port)), 5)
def fast_open():
    s = socket.socket()
    s.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", int(sys.argv[2])))
tried("proxy", lambda: connect(sys.argv[1]))
tried("other", lambda: connect(sys.argv[2]))
tried("fast open", fast_open)
tried("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
tried("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
tried("unix", lambda: socket.socket(socket.AF_UNIX))
tried("pair", socket.socketpair)
tried("listen", lambda: socket.socket().bind(("127.0.0.1", 0)))
tried("inside", lambda: open(sys.argv[3] + "/a", "w"))
tried("outside", lambda: open(sys.argv[3] + "/../b", "w"))
tried("null", lambda: open("/dev/null", "w"))
tried("large", lambda: open(sys.argv[3] + "/c", "wb").write(bytes(200000)))
"#;

    #[test]
    fn what_is_fenced_in_reaches_the_proxy_and_its_folder_only() {
        let [proxy, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        other.set_nonblocking(true).unwrap();
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("inside");
        std::fs::create_dir(&folder).unwrap();
        if !holds_network() {
            return println!("skipped: this kernel has no fence for the network");
        }
        let tool = Tool {
            program: OsStr::new("python3"),
            missing: "",
            inherits: &KEPT,
            env: &[],
            folder: None,
            before_exec: Some(around(&[&folder], port(&proxy), 100_000)),
        };
        let (one, two) = (port(&proxy).to_string(), port(&other).to_string());
        let args = ["-I", "-c", TRIES, &one, &two].map(OsStr::new);
        let args: Vec<&OsStr> = args.into_iter().chain([folder.as_os_str()]).collect();
        let mut lines = Vec::new();
        let on_line = |line: &str| {
            lines.push(line.to_owned());
            true
        };
        let limits = Limits {
            stall: Duration::from_mins(1),
            total: Duration::MAX,
            lines_bytes: 1 << 20,
            check: &|_| None,
        };
        let watched = tool.watch(&args, &limits, on_line, || false);
        let expected = [
            "proxy done",
            "other refused",
            "fast open refused",
            "udp refused",
            "raw refused",
            "mptcp refused",
            "unix refused",
            "pair done",
            "listen refused",
            "inside done",
            "outside refused",
            "null done",
            "large refused",
        ];
        assert_eq!(lines, expected, "{watched:?}");
        assert!(other.accept().is_err());
    }
}
