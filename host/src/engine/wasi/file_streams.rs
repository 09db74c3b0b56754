//! Streams over files: what is written is in the file's pages at once, and leaves with the file.
//!
//! Reading and writing may take time, since a page may have to be loaded; the engine's own bindings have the calls that do not block as calls
//! that take none, so those are linked here.

use super::files::{code, failed, unhandled};
use super::io::PERMIT;
use super::{Virtual, WasiHost, linked};
use crate::vfs::{Fail, Handle};
use std::sync::Arc;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::pipe::{ClosedInputStream, SinkOutputStream};
use wasmtime_wasi_io::bindings::wasi::io::streams;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

/// Where a stream is in a file; its entry in the table is a placeholder.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileStream {
    handle: Handle,
    offset: u64,
    /// Whether it writes to the end of the file, wherever that is.
    appends: bool,
}

/// The interface of streams.
const INTERFACE: &str = "wasi:io/streams";

/// Links the calls that do not block, as calls that take time.
pub(super) fn may_wait<T: WasiHost>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut io = linker.instance(&linked(INTERFACE))?;
    io.func_wrap_async("[method]input-stream.read", |mut store, (stream, len): (Resource<DynInputStream>, u64)| {
        Box::new(async move {
            let mut wasi = Virtual(store.data_mut());
            let read = wasi.read_any(&stream, len, false).await;
            Ok((wasi.answer(read)?,))
        })
    })?;
    io.func_wrap_async("[method]input-stream.skip", |mut store, (stream, len): (Resource<DynInputStream>, u64)| {
        Box::new(async move {
            let mut wasi = Virtual(store.data_mut());
            let skipped = wasi.skip_any(&stream, len, false).await;
            Ok((wasi.answer(skipped)?,))
        })
    })?;
    io.func_wrap_async(
        "[method]output-stream.write",
        |mut store, (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            Box::new(async move {
                let mut wasi = Virtual(store.data_mut());
                let written = wasi.write_any(&stream, &bytes, PERMIT).await;
                Ok((wasi.answer(written)?,))
            })
        },
    )?;
    io.func_wrap_async(
        "[method]output-stream.write-zeroes",
        |mut store, (stream, len): (Resource<DynOutputStream>, u64)| {
            Box::new(async move {
                let mut wasi = Virtual(store.data_mut());
                let written = wasi.write_zeroes_any(&stream, len, PERMIT).await;
                Ok((wasi.answer(written)?,))
            })
        },
    )?;
    io.func_wrap_async(
        "[method]output-stream.splice",
        |mut store, (stream, from, len): (Resource<DynOutputStream>, Resource<DynInputStream>, u64)| {
            Box::new(async move {
                let mut wasi = Virtual(store.data_mut());
                let spliced = wasi.splice_any(&stream, &from, len, false).await;
                Ok((wasi.answer(spliced)?,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn lost(fail: Fail) -> StreamError {
    match fail.errno() {
        Ok(errno) => StreamError::LastOperationFailed(code(errno).into()),
        Err(error) => StreamError::Trap(error),
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    fn answer<R>(&mut self, done: StreamResult<R>) -> wasmtime::Result<Result<R, streams::StreamError>> {
        match done {
            Ok(done) => Ok(Ok(done)),
            Err(error) => Ok(Err(streams::Host::convert_stream_error(self, error)?)),
        }
    }

    /// A stream that reads an open file from an offset on.
    pub(super) fn input_from(&mut self, handle: Handle, offset: u64) -> FsResult<Resource<DynInputStream>> {
        if !handle.flags.read {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let files = Arc::clone(self.0.wasi().files());
        let mut files = files.try_lock().map_err(wasmtime_wasi::p2::FsError::trap)?;
        let handle = files.duplicate(handle).map_err(failed)?;
        let stream: DynInputStream = Box::new(ClosedInputStream);
        let wasi = self.0.wasi();
        let Ok(stream) = wasi.table.push(stream) else {
            files.release(handle);
            return Err(ErrorCode::InsufficientMemory.into());
        };
        wasi.file_streams.insert(stream.rep(), FileStream { handle, offset, appends: false });
        Ok(stream)
    }

    /// A stream that writes to an open file.
    pub(super) fn output_to(
        &mut self,
        handle: Handle,
        offset: u64,
        appends: bool,
    ) -> FsResult<Resource<DynOutputStream>> {
        if !handle.flags.write {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let files = Arc::clone(self.0.wasi().files());
        let mut files = files.try_lock().map_err(wasmtime_wasi::p2::FsError::trap)?;
        let handle = files.duplicate(handle).map_err(failed)?;
        let stream: DynOutputStream = Box::new(SinkOutputStream);
        let wasi = self.0.wasi();
        let Ok(stream) = wasi.table.push(stream) else {
            files.release(handle);
            return Err(ErrorCode::InsufficientMemory.into());
        };
        wasi.file_streams.insert(stream.rep(), FileStream { handle, offset, appends });
        Ok(stream)
    }

    /// Closes the file of a stream that is dropped.
    pub(super) async fn close_stream(&mut self, rep: u32) -> wasmtime::Result<()> {
        let Some(stream) = self.0.wasi().file_streams.remove(&rep) else { return Ok(()) };
        let closed = self.files().await.close(self.0, stream.handle).await;
        closed.map_err(unhandled::<T>)
    }

    fn file_stream(&mut self, rep: u32) -> Option<FileStream> {
        self.0.wasi().file_streams.get(&rep).copied()
    }

    fn advance(&mut self, rep: u32, by: u64) {
        let stream = self.0.wasi().file_streams.get_mut(&rep);
        stream.into_iter().for_each(|stream| stream.offset = stream.offset.saturating_add(by));
    }

    /// Reads from any stream; `waits` for standard input. What is neither that nor a file has its bytes in the table.
    pub(super) async fn read_any(
        &mut self,
        stream: &Resource<DynInputStream>,
        len: u64,
        waits: bool,
    ) -> StreamResult<Vec<u8>> {
        self.0.wasi().table.get(stream)?;
        self.0.wasi().fruitless_polls = 0;
        let Some(FileStream { handle, offset, .. }) = self.file_stream(stream.rep()) else {
            return match (self.is_stdin(stream), waits) {
                (true, true) => self.wait_and_read_stdin(len).await,
                (true, false) => self.read_stdin(len),
                // The body of a response.
                (false, _) => {
                    let len = usize::try_from(len).unwrap_or(usize::MAX);
                    Ok(self.0.wasi().table.get_mut(stream)?.read(len)?.into())
                }
            };
        };
        if len == 0 {
            return Ok(Vec::new());
        }
        let (bytes, _) = self.files().await.read(self.0, handle, offset, len).await.map_err(lost)?;
        self.advance(stream.rep(), bytes.len() as u64);
        if bytes.is_empty() { Err(StreamError::Closed) } else { Ok(bytes) }
    }

    /// Skips what any stream would read.
    pub(super) async fn skip_any(
        &mut self,
        stream: &Resource<DynInputStream>,
        len: u64,
        waits: bool,
    ) -> StreamResult<u64> {
        self.0.wasi().table.get(stream)?;
        let Some(FileStream { handle, offset, .. }) = self.file_stream(stream.rep()) else {
            return Ok(self.read_any(stream, len, waits).await?.len() as u64);
        };
        let size = self.files().await.stat(self.0, handle).await.map_err(lost)?.size;
        let skipped = len.min(size.saturating_sub(offset));
        self.advance(stream.rep(), skipped);
        if skipped == 0 && len > 0 { Err(StreamError::Closed) } else { Ok(skipped) }
    }

    /// Writes to a file, to the body of a request, or to the console.
    pub(super) async fn write_any(
        &mut self,
        stream: &Resource<DynOutputStream>,
        bytes: &[u8],
        permit: u64,
    ) -> StreamResult<()> {
        self.0.wasi().fruitless_polls = 0;
        let Some(FileStream { handle, offset, appends }) = self.file_stream(stream.rep()) else {
            return self.write_at_most(stream, bytes, permit);
        };
        if bytes.len() as u64 > permit {
            return Err(StreamError::trap("more was written to a stream than it had permitted"));
        }
        let mut files = self.files().await;
        let written = match appends {
            true => files.append(self.0, handle, bytes).await,
            false => files.write(self.0, handle, offset, bytes).await,
        };
        written.map_err(lost)?;
        self.advance(stream.rep(), bytes.len() as u64);
        Ok(())
    }

    /// Writes zeroes.
    pub(super) async fn write_zeroes_any(
        &mut self,
        stream: &Resource<DynOutputStream>,
        len: u64,
        permit: u64,
    ) -> StreamResult<()> {
        static ZEROES: [u8; PERMIT as usize] = [0; PERMIT as usize];
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let zeroes = ZEROES.get(..len).ok_or_else(|| StreamError::trap("more zeroes were asked for than permitted"))?;
        self.write_any(stream, zeroes, permit).await
    }

    /// Moves bytes from one stream to another.
    pub(super) async fn splice_any(
        &mut self,
        stream: &Resource<DynOutputStream>,
        from: &Resource<DynInputStream>,
        len: u64,
        waits: bool,
    ) -> StreamResult<u64> {
        self.0.wasi().table.get(stream)?;
        let bytes = self.read_any(from, len.min(PERMIT), waits).await?;
        self.write_any(stream, &bytes, PERMIT).await?;
        Ok(bytes.len() as u64)
    }
}
