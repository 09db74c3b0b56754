//! Files below the guest paths that the policy grants. Paths are absolute and canonical, such as `/in/a.txt`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bindings::everstep::host::files;
use crate::{Context, Error};

/// What stands in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The last component of the path.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes; 0 for anything but a file.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symlink or a special file: it can be neither read nor written.
    Other,
}

impl Context {
    /// The whole content of a file.
    pub fn read_file(&self, path: impl AsRef<str>) -> Result<Vec<u8>, Error> {
        Ok(files::read(path.as_ref())?)
    }

    /// The whole content of a file as text; `invalid` when it is not UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<str>) -> Result<String, Error> {
        let path = path.as_ref();
        String::from_utf8(self.read_file(path)?)
            .map_err(|cause| Error::invalid(format!("{path} is not UTF-8: {cause}")))
    }

    /// Replaces or creates a file in one step. Missing parent folders are created.
    pub fn write_file(&self, path: impl AsRef<str>, content: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(files::write(path.as_ref(), content.as_ref())?)
    }

    /// Replaces a file like [`write_file`](Self::write_file), but only if its content is still `before` (`None`: there is no file);
    /// returns whether it was. Two executions that add to one file lose nothing if each reads it again after `false`.
    pub fn replace_file(
        &self,
        path: impl AsRef<str>,
        before: Option<&[u8]>,
        content: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        Ok(files::replace(path.as_ref(), before, content.as_ref())?)
    }

    /// The entries of a folder, ordered by name (byte order).
    pub fn list(&self, path: impl AsRef<str>) -> Result<Vec<Entry>, Error> {
        Ok(files::list(path.as_ref())?.into_iter().map(Into::into).collect())
    }

    /// One entry.
    pub fn stat(&self, path: impl AsRef<str>) -> Result<Entry, Error> {
        Ok(files::stat(path.as_ref())?.into())
    }

    /// Removes a file or an empty folder.
    pub fn remove(&self, path: impl AsRef<str>) -> Result<(), Error> {
        Ok(files::remove(path.as_ref())?)
    }
}

impl From<files::Entry> for Entry {
    fn from(entry: files::Entry) -> Self {
        let kind = match entry.kind {
            files::FileKind::File => FileKind::File,
            files::FileKind::Directory => FileKind::Directory,
            files::FileKind::Other => FileKind::Other,
        };
        Self { name: entry.name, kind, size: entry.size }
    }
}
