//! The memory that the process's control group leaves it, for containers and batch systems.
//!
//! Source of the formats: `cgroups(7)`, and the kernel's `admin-guide/cgroup-v2` and `cgroup-v1/memory`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The limit on this process's memory in bytes; none where there is no control group, or one without a limit.
///
/// In version 1 "no limit" is a number larger than any memory.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit(&groups, Path::new("/sys/fs/cgroup"))
}

/// `groups`: lines of `hierarchy:controllers:path`, where version 2 has the hierarchy 0 and names no controllers.
fn limit(groups: &str, mount: &Path) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (hierarchy, controllers) = (fields.next()?, fields.next()?);
            let path = Path::new(fields.next()?);
            if (hierarchy, controllers) == ("0", "") {
                smallest(mount, path, "memory.max")
            } else if controllers.split(',').any(|name| name == "memory") {
                smallest(&mount.join("memory"), path, "memory.limit_in_bytes")
            } else {
                None
            }
        })
        .min()
}

/// The smallest limit of the group and those above it, which bind it too. A container may see the path that its host
/// knows, but only its own group, mounted as if it were the root: folders that are not there are passed over.
fn smallest(root: &Path, path: &Path, file: &str) -> Option<u64> {
    let inside: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    inside
        .ancestors()
        .filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok()) // `max` is no limit
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "9:name=systemd:/\n4:cpu,memory:/docker/a\n0::/\n";
    const V2: &str = "0::/user.slice/a:b.scope\n";

    /// A folder of control groups with these files.
    fn mount(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        mount
    }

    fn limit_of(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        limit(groups, mount(files).path())
    }

    #[test]
    fn the_limit_of_the_own_group_counts() {
        let files = [("user.slice/a:b.scope/memory.max", "1000\n")];
        assert_eq!(limit_of(V2, &files), Some(1000));
        let files = [("memory/docker/a/memory.limit_in_bytes", "2000\n")];
        assert_eq!(limit_of(V1, &files), Some(2000));
    }

    #[test]
    fn the_limits_above_it_bind_it_too_and_those_beside_it_do_not() {
        let files = [
            ("user.slice/a:b.scope/memory.max", "3000\n"),
            ("user.slice/memory.max", "2000\n"),
            ("user.slice/other.scope/memory.max", "1000\n"),
        ];
        assert_eq!(limit_of(V2, &files), Some(2000));
    }

    #[test]
    fn a_container_reads_the_group_that_it_sees_as_the_root() {
        assert_eq!(limit_of(V2, &[("memory.max", "1000\n")]), Some(1000));
        assert_eq!(limit_of("0::/../../b\n", &[("memory.max", "7\n")]), Some(7));
        let files = [("memory/memory.limit_in_bytes", "2000\n")];
        assert_eq!(limit_of(V1, &files), Some(2000));
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(limit_of(V2, &[]), None);
        let files = [
            ("user.slice/a:b.scope/memory.max", "max\n"),
            ("user.slice/memory.max", "max\n"),
        ];
        assert_eq!(limit_of(V2, &files), None);
        let only_others = "5:devices:/\n1:cpu:/\n";
        let files = [("memory/memory.limit_in_bytes", "1\n"), ("memory.max", "1")];
        assert_eq!(limit_of(only_others, &files), None);
        assert_eq!(limit_of("", &files), None);
        assert_eq!(limit_of("nonsense\n0:\n\n", &files), None);
    }

    #[test]
    fn a_group_never_reaches_beside_the_mount() {
        let mount = mount(&[("memory.max", "5\n"), ("inside/none", "")]);
        let inside = mount.path().join("inside");
        assert_eq!(limit("0::/../\n", &inside), None);
    }
}
