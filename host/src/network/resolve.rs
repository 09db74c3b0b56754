//! From a host name to addresses, once and without search domains.

use super::failure::Cause;
use crate::guest_error::Reason;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// The most addresses of a name that are considered; the rest of an answer is ignored.
const MOST_ADDRESSES: usize = 16;

/// Queries name servers. Nothing is cached: the system's name server does that, and the time that one guest waits must not
/// reveal another one's queries.
#[derive(Clone, Default)]
pub(super) struct Resolver {
    /// The given name servers; `None`: the system's.
    servers: Option<Arc<[SocketAddr]>>,
    /// Built on first use, so that a host which resolves nothing needs no configuration. `None` inside if the system has no
    /// usable one.
    built: Arc<OnceLock<Option<TokioResolver>>>,
}

impl Resolver {
    /// A resolver that queries only these servers.
    pub(super) fn with_servers(servers: &[SocketAddr]) -> Self {
        Self { servers: Some(servers.into()), built: Arc::default() }
    }

    /// The addresses of a name, at least one, IPv4 first: a host without a route to IPv6 is more common than one without
    /// IPv4.
    pub(super) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Cause> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let Some(resolver) = self.built.get_or_init(|| self.build()) else {
            return Err(failed(Reason::NameServer, "the host system has no usable resolver configuration"));
        };
        let found = resolver.lookup_ip(absolute(name)?).await.map_err(|error| cause(&error))?;
        let mut addresses: Vec<_> = found.iter().take(MOST_ADDRESSES).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        if addresses.is_empty() { Err(Cause::NotFound) } else { Ok(addresses) }
    }

    fn build(&self) -> Option<TokioResolver> {
        let mut builder = match &self.servers {
            Some(servers) => given(servers),
            None => TokioResolver::builder_tokio().ok()?,
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = 0;
        options.num_concurrent_reqs = 1;
        options.preserve_intermediates = false;
        builder.build().ok()
    }
}

fn given(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let server = |server: &SocketAddr| {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
        NameServerConfig::new(server.ip(), true, connections)
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    builder
}

/// Names that mean the local host without a query (RFC 6761).
fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').find(|label| !label.is_empty());
    last.is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
}

/// The name as given: no search domain is added, and underscores are kept.
fn absolute(name: &str) -> Result<Name, Cause> {
    let labels = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    // A name that is made of labels is absolute.
    Name::from_labels(labels).map_err(|_| Cause::NotFound)
}

fn cause(error: &NetError) -> Cause {
    match error {
        error if error.is_no_records_found() => Cause::NotFound,
        NetError::Timeout => failed(Reason::NameServerSilent, "the name server does not answer"),
        NetError::Proto(_) => failed(Reason::NameServer, "the name server's answer cannot be read"),
        _ => failed(Reason::NameServer, "the name server failed"),
    }
}

fn failed(reason: Reason, why: &str) -> Cause {
    Cause::Connect(reason, why.to_owned())
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("servers", &self.servers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_absolute_and_keep_their_characters() {
        for name in ["single", "a.b", "a.b.", "a_b.c", "xn--bcher-kva.example"] {
            let absolute = absolute(name).unwrap();
            assert!(absolute.is_fqdn(), "{name}");
            assert_eq!(absolute.to_ascii(), format!("{}.", name.trim_end_matches('.')));
        }
        assert_eq!(absolute(&"a".repeat(64)), Err(Cause::NotFound));
        assert_eq!(absolute(&"a.".repeat(200)), Err(Cause::NotFound));
    }

    #[test]
    fn only_the_last_label_makes_a_name_mean_the_host_itself() {
        for name in ["localhost", "LocalHost.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["localhost.test", "notlocalhost", "a.b", "", "."] {
            assert!(!is_localhost(name), "{name}");
        }
    }
}
