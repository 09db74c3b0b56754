//! Folders of the system itself: processes with their environment, kernel settings, devices. No rule grants them, nor a folder that
//! contains one: a host folder `/` would expose the environment with the host's secrets.

use super::read::real_path;
use std::path::{Path, PathBuf};

/// Their paths on every Linux.
const FOLDERS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// File systems that are such folders, wherever they are mounted.
const FILE_SYSTEMS: [&str; 14] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "debugfs",
    "tracefs",
    "securityfs",
    "selinuxfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "efivarfs",
    "pstore",
    "bpf",
];

/// Whether a folder is one of them, is inside one or contains one, under any name.
pub fn shows_itself_in(folder: &Path) -> bool {
    let named = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let real = real_path(folder);
    let touches = |system: &Path| real.starts_with(system) || system.starts_with(&real);
    let known = FOLDERS.iter().any(|system| named.starts_with(system) || touches(Path::new(system)));
    // Without that file such mounts cannot be found.
    known
        || mounts(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
            .iter()
            .any(|system| touches(system))
}

/// The mount points of such file systems, and of parts of `/dev`; `table` is in the format of proc(5).
fn mounts(table: &str) -> Vec<PathBuf> {
    let all: Vec<_> = table.lines().filter_map(mount).collect();
    let devices = all.iter().find(|mount| mount.place == Path::new("/dev")).map(|mount| mount.device);
    let is_system = |mount: &&Mount<'_>| FILE_SYSTEMS.contains(&mount.file_system) || devices == Some(mount.device);
    all.iter().filter(is_system).map(|mount| mount.place.clone()).collect()
}

/// A line of the table.
struct Mount<'t> {
    device: &'t str,
    place: PathBuf,
    file_system: &'t str,
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (about, source) = line.split_once(" - ")?;
    let mut fields = about.split(' ').skip(2);
    let (device, _root, place) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Mount { device, place: unescaped(place).into(), file_system: source.split(' ').next()? })
}

/// A path without the escapes of the table: space, tab, line break and backslash in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:5 / /dev rw - tmpfs tmpfs rw
25 24 0:22 / /dev/shm rw - tmpfs tmpfs rw
26 22 0:21 /sys /srv/with\\040space rw shared:7 - proc proc rw
27 22 0:5 /snd /opt/sound rw - tmpfs tmpfs rw
28 22 0:23 / /tmp rw - tmpfs tmpfs rw
29 22 0:24 / /srv/chroot/sys rw - sysfs sysfs rw
a line that is none
";

    #[test]
    fn mounts_of_the_system_are_found_wherever_they_are() {
        let expected = ["/proc", "/dev", "/srv/with space", "/opt/sound", "/srv/chroot/sys"];
        assert_eq!(mounts(TABLE), expected.map(PathBuf::from));
        assert_eq!(mounts(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn ordinary_folders_show_nothing() {
        for folder in ["/usr", "/usr/share", "/home", "/processes", "/nowhere/at/all"] {
            assert!(!shows_itself_in(Path::new(folder)), "{folder}");
        }
        for folder in ["/", "/proc", "/proc/self", "/sys/kernel", "/dev/shm", "/usr/../proc", "/proc/nothing"] {
            assert!(shows_itself_in(Path::new(folder)), "{folder}");
        }
    }
}
