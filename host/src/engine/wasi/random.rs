//! Randomness: every interface draws from the execution's recorded seed.

use super::{Virtual, WasiHost};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

impl<T: WasiHost> Virtual<'_, T> {
    fn array<const N: usize>(&mut self) -> wasmtime::Result<[u8; N]> {
        let bytes = self.0.random(N as u64)?;
        let len = bytes.len();
        bytes.try_into().map_err(|_| wasmtime::format_err!("{N} random bytes were asked for and {len} came"))
    }
}

impl<T: WasiHost> random::Host for Virtual<'_, T> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.random(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

impl<T: WasiHost> insecure::Host for Virtual<'_, T> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.random(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

impl<T: WasiHost> insecure_seed::Host for Virtual<'_, T> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((u64::from_le_bytes(self.array()?), u64::from_le_bytes(self.array()?)))
    }
}
