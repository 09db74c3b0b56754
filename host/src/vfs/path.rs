//! Paths relative to a folder, confined to it.

use super::errno::Errno;

/// The longest name and the longest path, in bytes.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4096;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The canonical path.
    pub(super) path: String,
    /// Whether it ends with a slash, or names the folder itself, so that it can only be a folder.
    pub(super) is_folder: bool,
}

/// The place of `path` relative to the folder `base`, which is canonical.
///
/// # Errors
/// [`Errno::NotPermitted`] for an absolute path and one that leads out of the folder.
pub(super) fn below(base: &str, path: &str) -> Result<Place, Errno> {
    if path.is_empty() {
        return Err(Errno::NoEntry);
    }
    if path.starts_with('/') {
        return Err(Errno::NotPermitted);
    }
    if path.len() > LONGEST_PATH {
        return Err(Errno::NameTooLong);
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop().ok_or(Errno::NotPermitted)?),
            name if name.len() > LONGEST_NAME => return Err(Errno::NameTooLong),
            name if crate::policy::path::is_name(name) => names.push(name),
            _ => return Err(Errno::Invalid),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_folder = matches!(last, "" | "." | "..");
    let place = names.iter().fold(base.trim_end_matches('/').to_owned(), |place, name| place + "/" + name);
    let place = if place.is_empty() { "/".to_owned() } else { place };
    if place.len() > LONGEST_PATH {
        return Err(Errno::NameTooLong);
    }
    if crate::policy::path::check(&place).is_err() {
        return Err(Errno::Invalid);
    }
    Ok(Place { path: place, is_folder })
}

/// Whether a path ends in a name that is none, so that it does not say how its place is called.
pub(super) fn ends_in_dots(path: &str) -> bool {
    matches!(path.trim_end_matches('/').rsplit('/').next(), Some("." | ".."))
}

/// The folder of a path.
pub(super) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// The path of everything below a folder begins with this.
pub(super) fn lead(folder: &str) -> String {
    format!("{}/", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_place_or_nowhere() {
        for (path, place, is_folder) in [
            ("a", "/data/a", false),
            ("./a//b/", "/data/a/b", true),
            ("a/../b", "/data/b", false),
            (".", "/data", true),
            ("a/..", "/data", true),
            ("...x", "/data/...x", false),
        ] {
            assert_eq!(below("/data", path), Ok(Place { path: place.to_owned(), is_folder }), "{path}");
        }
        assert_eq!(below("/", "tmp/x").unwrap().path, "/tmp/x");
        assert_eq!(below("/", ".").unwrap().path, "/");
        let long = "x".repeat(256);
        for (path, errno) in [
            ("", Errno::NoEntry),
            ("/etc/passwd", Errno::NotPermitted),
            ("..", Errno::NotPermitted),
            ("a/../../etc", Errno::NotPermitted),
            ("a\0b", Errno::Invalid),
            ("dot.", Errno::Invalid),
            (&long, Errno::NameTooLong),
            (&"x/".repeat(3000), Errno::NameTooLong),
            (&"x/".repeat(200), Errno::Invalid),
        ] {
            assert_eq!(below("/data", path), Err(errno), "{path:?}");
        }
    }
}
