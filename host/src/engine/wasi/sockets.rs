//! Sockets: none can be created and no name is looked up, so nothing leaves the host, and no other operation has a
//! handle.

use super::{Virtual, WasiHost};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{DynPollable, IoError, SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

impl<T: WasiHost> tcp_create_socket::Host for Virtual<'_, T> {
    fn create_tcp_socket(&mut self, _family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl<T: WasiHost> udp_create_socket::Host for Virtual<'_, T> {
    async fn create_udp_socket(&mut self, _family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl<T: WasiHost> ip_name_lookup::Host for Virtual<'_, T> {
    fn resolve_addresses(
        &mut self,
        _network: Resource<Network>,
        _name: String,
    ) -> SocketResult<Resource<ip_name_lookup::ResolveAddressStream>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

/// For a handle that no lookup returns.
impl<T: WasiHost> ip_name_lookup::HostResolveAddressStream for Virtual<'_, T> {
    fn resolve_next_address(
        &mut self,
        _stream: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> SocketResult<Option<IpAddress>> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn subscribe(
        &mut self,
        stream: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi_io::poll::subscribe(&mut self.0.wasi().table, stream)
    }

    fn drop(&mut self, stream: Resource<ip_name_lookup::ResolveAddressStream>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(stream)?;
        Ok(())
    }
}

/// Delegated, because the other socket interfaces need it.
impl<T: WasiHost> network::Host for Virtual<'_, T> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.0.wasi().sockets().network_error_code(error)
    }
}

impl<T: WasiHost> network::HostNetwork for Virtual<'_, T> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(network)?;
        Ok(())
    }
}
