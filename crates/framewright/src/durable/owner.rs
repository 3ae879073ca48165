//! The process that a file belongs to, written so that another process, also on another day, can tell whether it lives.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process;
use std::sync::OnceLock;

use rustix::process::{Pid, test_kill_process};
use sha2::{Digest as _, Sha256};

/// What every tag begins with; another form would get another number.
pub const FORM: &str = "fw1";

/// A process, unmistakable on its machine also after its number has been given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Of the host's name and its process numbers: those of a container are its own.
    host: u32,
    /// Of this start of the machine.
    boot: u32,
    pid: u32,
    /// When the process started, in the system's clock ticks; 0 where the system does not tell.
    start: u64,
}

impl Owner {
    /// This process.
    pub fn this() -> Self {
        static THIS: OnceLock<Owner> = OnceLock::new();
        *THIS.get_or_init(|| {
            let numbers = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let pid = process::id();
            Self {
                host: short_hash(&[host().as_bytes(), numbers.as_os_str().as_bytes()].concat()),
                boot: short_hash(boot.as_bytes()),
                pid,
                start: Life::of(pid).map_or(0, |life| life.start),
            }
        })
    }

    /// The owner whose [`Display`](fmt::Display) form `tag` is, to the letter.
    pub fn parse(tag: &str) -> Option<Self> {
        let mut words = tag.strip_prefix(FORM)?.strip_prefix('-')?.split('-');
        let owner = Self {
            host: u32::from_str_radix(words.next()?, 16).ok()?,
            boot: u32::from_str_radix(words.next()?, 16).ok()?,
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
        };
        (owner.to_string() == tag).then_some(owner)
    }

    /// Whether the process still runs; none for one of another host or container.
    pub fn is_running(&self) -> Option<bool> {
        let here = Self::this();
        if self.host != here.host {
            return None;
        }
        if self.boot != here.boot {
            return Some(false);
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // Asked by signal first: a system may hide the processes of others from /proc.
        if pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
            return Some(false);
        }
        Some(Life::of(self.pid).is_none_or(|life| life.start == self.start && !life.has_ended))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            boot,
            pid,
            start,
        } = self;
        write!(f, "{FORM}-{host:08x}-{boot:08x}-{pid}-{start}")
    }
}

/// The name of this machine or container.
pub fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// What `/proc` tells of a process.
#[derive(Debug, PartialEq, Eq)]
struct Life {
    start: u64,
    /// It ran to its end, and nobody has asked for its exit code yet.
    has_ended: bool,
}

impl Life {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::read(&String::from_utf8_lossy(&stat))
    }

    /// The second field is the program's name in parentheses, and may hold blanks and more of them.
    fn read(stat: &str) -> Option<Self> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            has_ended: matches!(state, "Z" | "X"),
            start: fields.nth(18)?.parse().ok()?,
        })
    }
}

/// The first bytes of a SHA-256, enough to tell a few names apart.
pub fn short_hash(bytes: &[u8]) -> u32 {
    let hash = Sha256::digest(bytes);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_from_its_tag_and_from_nothing_else() {
        let this = Owner::this();
        let tag = this.to_string();
        assert_eq!(Owner::parse(&tag), Some(this));
        for other in [
            "",
            "fw1",
            "fw2-00000001-00000002-3-4",
            "fw1-1-00000002-3-4",
            "fw1-00000001-00000002-03-4",
            "fw1-00000001-00000002-3-4-5",
            "fw1-00000001-00000002-3-4 ",
        ] {
            assert_eq!(Owner::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_process_number_that_was_given_away_or_is_of_another_boot_is_dead() {
        let this = Owner::this();
        assert_eq!(this.is_running(), Some(true));
        let start = this.start + 1;
        assert_eq!(Owner { start, ..this }.is_running(), Some(false));
        let boot = !this.boot;
        assert_eq!(Owner { boot, ..this }.is_running(), Some(false));
        let pid = i32::MAX as u32;
        assert_eq!(Owner { pid, ..this }.is_running(), Some(false));
        let host = !this.host;
        assert_eq!(Owner { host, ..this }.is_running(), None);
    }

    #[test]
    fn the_start_and_the_end_are_found_behind_any_program_name() {
        let fields: Vec<String> = (4..=30).map(|n| n.to_string()).collect();
        for (state, has_ended) in [("S", false), ("Z", true)] {
            let stat = format!("7 (a) b (c)) {state} {}", fields.join(" "));
            let life = Life {
                start: 22,
                has_ended,
            };
            assert_eq!(Life::read(&stat), Some(life));
        }
    }
}
