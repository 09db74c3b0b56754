//! `wasi:filesystem` over [`crate::vfs`]: converts handles, flags, times and reasons, and nothing else.
//!
//! A descriptor of the engine's own type cannot be made without a file of the host, so the table holds a [`Handle`] under its number.

use super::{Virtual, WasiHost, linked};
use crate::guest_error::{ErrorCode as Code, GuestError};
use crate::vfs::{Errno, Fail, Flags, Handle, Kind, Open, Status, Times, Vfs};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error};

/// The files of one guest.
pub(crate) type Files = Arc<Mutex<Vfs>>;

const SECOND_NS: u64 = 1_000_000_000;
/// The interface whose descriptors are dropped by [`drop_waits`].
const INTERFACE: &str = "wasi:filesystem/types";

/// A list that the guest is reading.
struct List(u64);

/// Links the drop of a descriptor as a call that takes time: a file is saved with its last handle. The engine's own bindings have it
/// as a call that does not.
pub(super) fn drop_waits<T: WasiHost>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let ty = ResourceType::host::<Descriptor>();
    linker.instance(&linked(INTERFACE))?.resource_async("descriptor", ty, |mut store, rep| {
        Box::new(async move { Virtual(store.data_mut()).close(Resource::new_own(rep)).await })
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Saves what is open; for the end of an execution.
pub(super) async fn finish<T: WasiHost>(host: &mut T) -> wasmtime::Result<()> {
    let mut files = Arc::clone(host.wasi().files()).lock_owned().await;
    let finished = files.finish(host).await;
    finished.map_err(unhandled::<T>)
}

/// A failure that the interface has no way to report.
pub(super) fn unhandled<T: WasiHost>(fail: Fail) -> wasmtime::Error {
    match fail {
        Fail::End(error) => error,
        Fail::Refused(error) => T::unhandled(error),
        Fail::Errno(errno) => T::unhandled(GuestError::new(Code::Failed, format!("a file: {}", errno.told()))),
    }
}

pub(super) fn failed(fail: Fail) -> FsError {
    match fail.errno() {
        Ok(errno) => code(errno).into(),
        Err(error) => FsError::trap(error),
    }
}

pub(super) fn code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::Denied => ErrorCode::Access,
        Errno::BadDescriptor => ErrorCode::BadDescriptor,
        Errno::Busy => ErrorCode::Busy,
        Errno::CrossDevice => ErrorCode::CrossDevice,
        Errno::Exist => ErrorCode::Exist,
        Errno::FileTooLarge => ErrorCode::FileTooLarge,
        Errno::InsufficientMemory => ErrorCode::InsufficientMemory,
        Errno::InsufficientSpace => ErrorCode::InsufficientSpace,
        Errno::Invalid => ErrorCode::Invalid,
        Errno::Io => ErrorCode::Io,
        Errno::IsDirectory => ErrorCode::IsDirectory,
        Errno::NameTooLong => ErrorCode::NameTooLong,
        Errno::NoEntry => ErrorCode::NoEntry,
        Errno::NotDirectory => ErrorCode::NotDirectory,
        Errno::NotEmpty => ErrorCode::NotEmpty,
        Errno::NotPermitted => ErrorCode::NotPermitted,
        Errno::Overflow => ErrorCode::Overflow,
        Errno::Quota => ErrorCode::Quota,
        Errno::ReadOnly => ErrorCode::ReadOnly,
        Errno::Unsupported => ErrorCode::Unsupported,
    }
}

fn kind(kind: Kind) -> DescriptorType {
    match kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Folder => DescriptorType::Directory,
        Kind::Link => DescriptorType::SymbolicLink,
        Kind::Other => DescriptorType::Unknown,
    }
}

fn stat(status: Status) -> DescriptorStat {
    let time = |ns: Option<u64>| {
        ns.map(|ns| Datetime {
            seconds: ns / SECOND_NS,
            nanoseconds: u32::try_from(ns % SECOND_NS).unwrap_or_default(),
        })
    };
    DescriptorStat {
        type_: kind(status.kind),
        link_count: 1,
        size: status.size,
        data_access_timestamp: time(status.accessed),
        data_modification_timestamp: time(status.modified),
        status_change_timestamp: time(status.changed),
    }
}

/// The value that tells one object from another.
fn hash(identity: &str) -> MetadataHashValue {
    let hash = blake3::hash(identity.as_bytes());
    let half = |at: usize| hash.as_bytes()[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    MetadataHashValue { lower: half(0), upper: half(8) }
}

impl<T: WasiHost> Virtual<'_, T> {
    pub(super) async fn files(&mut self) -> OwnedMutexGuard<Vfs> {
        Arc::clone(self.0.wasi().files()).lock_owned().await
    }

    fn handle(&mut self, fd: &Resource<Descriptor>) -> FsResult<Handle> {
        Ok(*self.0.wasi().table.get(&Resource::<Handle>::new_borrow(fd.rep()))?)
    }

    /// Gives the guest a handle, or closes it again: the table has no room.
    async fn push(&mut self, handle: Handle) -> FsResult<Resource<Descriptor>> {
        match self.0.wasi().table.push(handle) {
            Ok(pushed) => Ok(Resource::new_own(pushed.rep())),
            Err(_) => {
                let closed = self.files().await.close(self.0, handle).await;
                closed.map_err(failed)?;
                Err(ErrorCode::InsufficientMemory.into())
            }
        }
    }

    async fn close(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        let handle = self.0.wasi().table.delete(Resource::<Handle>::new_own(fd.rep()))?;
        let closed = self.files().await.close(self.0, handle).await;
        closed.map_err(unhandled::<T>)
    }

    /// The times to set; `now` is the latest recorded time.
    async fn times(&mut self, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<Times> {
        let now = self.files().await.time(self.0);
        let time = |new: NewTimestamp| match new {
            NewTimestamp::NoChange => Ok(None),
            NewTimestamp::Now => now.map(Some).ok_or(ErrorCode::NotPermitted),
            NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
                let ns = seconds.checked_mul(SECOND_NS).and_then(|ns| ns.checked_add(u64::from(nanoseconds)));
                ns.filter(|_| u64::from(nanoseconds) < SECOND_NS).map(Some).ok_or(ErrorCode::Invalid)
            }
        };
        Ok(Times { accessed: time(accessed)?, modified: time(modified)? })
    }
}

impl<T: WasiHost> preopens::Host for Virtual<'_, T> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let files = Arc::clone(self.0.wasi().files());
        let opened = files.try_lock()?.preopens();
        let table = &mut self.0.wasi().table;
        let push = |(handle, path)| Ok((Resource::new_own(table.push(handle)?.rep()), path));
        opened.into_iter().map(push).collect()
    }
}

impl<T: WasiHost> types::Host for Virtual<'_, T> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.0.wasi().table.get(&error)?.downcast_ref::<ErrorCode>().copied())
    }
}

impl<T: WasiHost> types::HostDescriptor for Virtual<'_, T> {
    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let handle = self.handle(&fd)?;
        self.input_from(handle, offset)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let handle = self.handle(&fd)?;
        self.output_to(handle, offset, false)
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let handle = self.handle(&fd)?;
        self.output_to(handle, 0, true)
    }

    /// Accepted: what is read ahead does not depend on it.
    async fn advise(&mut self, fd: Resource<Descriptor>, _offset: u64, _len: u64, _advice: Advice) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        match self.files().await.kind(handle).map_err(failed)? {
            Kind::File => Ok(()),
            _ => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.sync_data(self.0, handle).await.map_err(failed)
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.sync(self.0, handle).await.map_err(failed)
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let Flags { read, write, mutate } = self.handle(&fd)?.flags;
        let flag = |is_set: bool, flag| if is_set { flag } else { DescriptorFlags::empty() };
        Ok(flag(read, DescriptorFlags::READ)
            | flag(write, DescriptorFlags::WRITE)
            | flag(mutate, DescriptorFlags::MUTATE_DIRECTORY))
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let handle = self.handle(&fd)?;
        self.files().await.kind(handle).map(kind).map_err(failed)
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: u64) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.set_size(self.0, handle, size).await.map_err(failed)
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let (handle, times) = (self.handle(&fd)?, self.times(accessed, modified).await?);
        self.files().await.set_times(self.0, handle, times).await.map_err(failed)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        _flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let (handle, times) = (self.handle(&fd)?, self.times(accessed, modified).await?);
        self.files().await.set_times_at(self.0, handle, &path, times).await.map_err(failed)
    }

    async fn read(&mut self, fd: Resource<Descriptor>, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let handle = self.handle(&fd)?;
        self.files().await.read(self.0, handle, offset, len).await.map_err(failed)
    }

    async fn write(&mut self, fd: Resource<Descriptor>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let handle = self.handle(&fd)?;
        self.files().await.write(self.0, handle, offset, &bytes).await.map_err(failed)?;
        Ok(bytes.len() as u64)
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let handle = self.handle(&fd)?;
        let list = self.files().await.list(self.0, handle).await.map_err(failed)?;
        match self.0.wasi().table.push(List(list)) {
            Ok(pushed) => Ok(Resource::new_own(pushed.rep())),
            Err(_) => {
                self.files().await.close_list(list);
                Err(ErrorCode::InsufficientMemory.into())
            }
        }
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.make_folder(self.0, handle, &path).await.map_err(failed)
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let handle = self.handle(&fd)?;
        self.files().await.stat(self.0, handle).await.map(stat).map_err(failed)
    }

    async fn stat_at(&mut self, fd: Resource<Descriptor>, _flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        let handle = self.handle(&fd)?;
        self.files().await.stat_at(self.0, handle, &path).await.map(stat).map_err(failed)
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        _flags: PathFlags,
        _path: String,
        _new: Resource<Descriptor>,
        _new_path: String,
    ) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.link(handle).map_err(failed)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        _flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let base = self.handle(&fd)?;
        let how = Open {
            create: how.contains(OpenFlags::CREATE),
            directory: how.contains(OpenFlags::DIRECTORY),
            exclusive: how.contains(OpenFlags::EXCLUSIVE),
            truncate: how.contains(OpenFlags::TRUNCATE),
        };
        let flags = Flags {
            read: flags.contains(DescriptorFlags::READ),
            write: flags.contains(DescriptorFlags::WRITE),
            mutate: flags.contains(DescriptorFlags::MUTATE_DIRECTORY),
        };
        let opened = self.files().await.open(self.0, base, &path, how, flags).await.map_err(failed)?;
        self.push(opened).await
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let handle = self.handle(&fd)?;
        self.files().await.stat_at(self.0, handle, &path).await.map_err(failed)?;
        // There are no links.
        Err(ErrorCode::Invalid.into())
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.remove(self.0, handle, &path, Kind::Folder).await.map_err(failed)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.handle(&fd)?, self.handle(&new)?);
        self.files().await.rename(self.0, (from, &path), (to, &new_path)).await.map_err(failed)
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, _target: String, _path: String) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.link(handle).map_err(failed)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let handle = self.handle(&fd)?;
        self.files().await.remove(self.0, handle, &path, Kind::File).await.map_err(failed)
    }

    async fn is_same_object(
        &mut self,
        fd: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let table = &self.0.wasi().table;
        let one = *table.get(&Resource::<Handle>::new_borrow(fd.rep()))?;
        let other = *table.get(&Resource::<Handle>::new_borrow(other.rep()))?;
        Ok(self.files().await.is_same(one, other))
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let handle = self.handle(&fd)?;
        self.files().await.identity(handle).map(|identity| hash(&identity)).map_err(failed)
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        _flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let handle = self.handle(&fd)?;
        let identity = self.files().await.identity_at(self.0, handle, &path).await;
        identity.map(|identity| hash(&identity)).map_err(failed)
    }

    /// Never called: see [`drop_waits`].
    fn drop(&mut self, _fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        Err(wasmtime::format_err!("a descriptor was dropped past the files of the guest"))
    }
}

impl<T: WasiHost> types::HostDirectoryEntryStream for Virtual<'_, T> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let list = self.0.wasi().table.get(&Resource::<List>::new_borrow(stream.rep()))?.0;
        let entry = self.files().await.next_entry(list).map_err(failed)?;
        Ok(entry.map(|(name, of)| DirectoryEntry { type_: kind(of), name }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let List(list) = self.0.wasi().table.delete(Resource::<List>::new_own(stream.rep()))?;
        Arc::clone(self.0.wasi().files()).try_lock()?.close_list(list);
        Ok(())
    }
}
