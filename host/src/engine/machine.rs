//! The memory that the machine has for this process: what is installed, or less if a control group limits it.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// In bytes; `None` if it is unknown.
pub(crate) fn memory() -> Option<u64> {
    memory_below(Path::new("/"))
}

fn memory_below(root: &Path) -> Option<u64> {
    let built_in = built_in(&fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default());
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits(root, line));
    built_in.into_iter().chain(limits).min()
}

fn built_in(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of a group and of its parents, for version 2 of control groups (`0::/path`) or version 1 (`5:memory:/path`).
fn limits(root: &Path, line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':');
    let (folder, file) = match (fields.next(), fields.next()) {
        (Some("0"), Some("")) => ("sys/fs/cgroup", "memory.max"),
        (Some(_), Some(kinds)) if kinds.split(',').any(|kind| kind == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group: PathBuf = Path::new(fields.next().unwrap_or_default())
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let folder = root.join(folder);
    // In a container the path may be that of the outside: then the limit is at the top.
    let groups = group.ancestors().map(|group| folder.join(group).join(file));
    groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cgroup: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemFree:  1 kB\nMemTotal:       16 kB\n");
        for (file, text) in files.iter().chain([&meminfo, &("proc/self/cgroup", cgroup)]) {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        memory_below(root.path())
    }

    #[test]
    fn the_smallest_of_what_is_built_in_and_what_the_groups_allow_counts() {
        assert_eq!(machine("0::/\n", &[]), Some(16 << 10));
        assert_eq!(machine("0::/a/b\n", &[("sys/fs/cgroup/a/memory.max", "4096\n")]), Some(4096));
        assert_eq!(machine("0::/a\n", &[("sys/fs/cgroup/a/memory.max", "max\n")]), Some(16 << 10));
        assert_eq!(machine("0::/../../out\n", &[("sys/fs/cgroup/memory.max", "512\n")]), Some(512));
        let first = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2048\n");
        assert_eq!(machine("5:cpu:/a\n4:memory,hugetlb:/a\n", &[first]), Some(2048));
        assert_eq!(machine("no group", &[]), Some(16 << 10));
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20), "this machine");
        assert_eq!(memory_below(Path::new("/nowhere")), None);
    }
}
