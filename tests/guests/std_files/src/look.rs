//! What the program does when it only reads. The test of it does the same on the system's files.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// All there is below a folder, with the sizes, contents and times of files.
pub(super) fn look(folder: &Path) -> Vec<String> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut told = Vec::new();
    for path in entries {
        let (name, found) = (path.file_name().unwrap().to_string_lossy().into_owned(), fs::metadata(&path).unwrap());
        if found.is_dir() {
            told.extend(look(&path).into_iter().map(|line| format!("{name}/{line}")));
            continue;
        }
        let content = fs::read(&path).unwrap();
        let sum = content.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let changed = found.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        told.push(format!("{name} {} {sum} {}", found.len(), changed.as_nanos()));
    }
    told
}
