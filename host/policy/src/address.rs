//! Decides which addresses may be connected to: a pure rule over IP addresses, the same for literals and for the answers of a
//! resolver.
//!
//! The ranges are those of the IANA special-purpose registries for IPv4 and IPv6, and the addresses at which clouds serve
//! metadata. An address that carries another one (mapped, translated or tunnelled) is also judged by the carried one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses such as `10.0.0.0/8`, or one address.
///
/// A range of v4-mapped addresses is the range of the v4 addresses: both lead to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

/// The reason that a text is not a [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// The part before the slash.
    #[error("{text:?} is no IP address; write one like 10.0.0.0/8 or fd00::/8")]
    Address {
        /// The whole text.
        text: String,
    },
    /// The part after the slash.
    #[error("{text:?} has no prefix length between 0 and {longest} after the slash")]
    Prefix {
        /// The whole text.
        text: String,
        /// The number of bits of an address of its family.
        longest: u8,
    },
    /// The address is not the first one of the range.
    #[error("{text:?} names an address inside a range; write {meant} for the range")]
    HostBits {
        /// The whole text.
        text: String,
        /// The range that holds the address.
        meant: Cidr,
    },
}

/// Which addresses may be connected to: everything global, minus `block`, plus `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Refused in addition to everything that is not global; also if another address carries one of the range.
    pub block: Vec<Cidr>,
    /// Excepted from both. Only for the address that is connected to: `127.0.0.1/32` does not permit a tunnel to it.
    pub allow: Vec<Cidr>,
}

/// The reason that an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The host itself.
    Loopback,
    /// A private network (RFC 1918), or the site-local addresses that IPv6 once had.
    Private,
    /// The local link of the host.
    LinkLocal,
    /// The space shared by carrier-grade NAT (RFC 6598).
    Shared,
    /// The private networks of IPv6 (RFC 4193).
    UniqueLocal,
    /// A group of hosts.
    Multicast,
    /// Addresses at which clouds serve credentials and configuration to their machines.
    Metadata,
    /// The unspecified address, which systems take for the host itself.
    Unspecified,
    /// Every host of the link.
    Broadcast,
    /// Reserved for examples.
    Documentation,
    /// Reserved for protocols, benchmarks or the future.
    Reserved,
    /// A tunnel or a translation to a v4 address.
    Embedded,
    /// In a range that the policy blocks.
    Blocked,
}

/// The metadata addresses of clouds: AWS, Azure, Google and most others; AWS containers; Alibaba; Oracle; Azure's wire
/// server.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The same over IPv6: AWS, AWS containers, Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

impl Rules {
    /// Checks that a connection to `address` is permitted.
    pub fn check(&self, address: IpAddr) -> Result<(), Class> {
        if self.allow.iter().any(|range| range.contains(address)) {
            return Ok(());
        }
        let blocks = |address| self.block.iter().any(|range| range.contains(address));
        let carried = carried(address);
        if blocks(address) || carried.iter().flatten().any(|carried| blocks(IpAddr::V4(*carried))) {
            return Err(Class::Blocked);
        }
        class(address).map_or(Ok(()), Err)
    }
}

impl Cidr {
    /// Whether an address is in the range; a v4-mapped one is if its v4 form is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (first, other) = (bits(self.first), bits(address.to_canonical()));
        first.1 == other.1 && (first.0 ^ other.0) & mask(self.prefix, first.1) == 0
    }

    /// Whether every address of `other` is in the range.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    fn new(first: IpAddr, prefix: u8) -> Self {
        match (first, first.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) if prefix >= 96 => {
                Self { first: canonical, prefix: prefix - 96 }
            }
            _ => Self { first, prefix },
        }
    }
}

/// The bits of an address, and their number.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The leading `prefix` of `length` bits.
fn mask(prefix: u8, length: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(length));
    all & !all.checked_shr(u32::from(prefix)).unwrap_or(0)
}

/// The class of an address that is not globally reachable; `None` for one that is.
fn class(address: IpAddr) -> Option<Class> {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => class_v4(mapped),
            None => class_v6(address),
        },
    }
}

fn class_v4(address: Ipv4Addr) -> Option<Class> {
    if METADATA_V4.contains(&address) {
        return Some(Class::Metadata);
    }
    let class = match address.octets() {
        [0, 0, 0, 0] => Class::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Shared,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Documentation,
        [224..=239, ..] => Class::Multicast,
        [255, 255, 255, 255] => Class::Broadcast,
        // This network, protocol assignments, relays to 6to4, benchmarks, the future.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => Class::Reserved,
        _ => return None,
    };
    Some(class)
}

fn class_v6(address: Ipv6Addr) -> Option<Class> {
    if METADATA_V6.contains(&address) {
        return Some(Class::Metadata);
    }
    let class = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // NAT64 with the well-known prefix: as reachable as the address that it carries.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return carried_class(address),
        [0, 0, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [0x2001, 0, ..]
        | [0x2002, ..] => carried_class(address).unwrap_or(Class::Embedded),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Documentation,
        [0x2001, 0..=0x1ff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        [0xfc00..=0xfdff, ..] => Class::UniqueLocal,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xfec0..=0xfeff, ..] => Class::Private,
        [0xff00..=0xffff, ..] => Class::Multicast,
        _ => Class::Reserved,
    };
    Some(class)
}

fn carried_class(address: Ipv6Addr) -> Option<Class> {
    carried(IpAddr::V6(address)).into_iter().flatten().find_map(class_v4)
}

/// The v4 addresses that a v6 address carries: one, or for Teredo the client and its server.
fn carried(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(address) = address else { return [None; 2] };
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 2],
        // Mapped, compatible, translated (SIIT), and NAT64 with a prefix of 96 bits.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, 0, 0, 0, high, low] => [v4(high, low), None],
        // NAT64 with a prefix of 48 bits: bits 64 to 71 stay empty (RFC 6052).
        [0x64, 0xff9b, 1, high, middle, low, ..] => [v4(high, middle << 8 | low >> 8), None],
        [0x2001, 0, server_high, server_low, _, _, high, low] => [v4(!high, !low), v4(server_high, server_low)],
        [0x2002, high, low, ..] => [v4(high, low), None],
        _ => [None; 2],
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let first: IpAddr = address.parse().map_err(|_| CidrError::Address { text: text.to_owned() })?;
        let (bits, longest) = bits(first);
        let prefix = match prefix {
            None => longest,
            Some(digits) => {
                prefix_length(digits, longest).ok_or_else(|| CidrError::Prefix { text: text.to_owned(), longest })?
            }
        };
        let start = bits & mask(prefix, longest);
        if start == bits {
            return Ok(Self::new(first, prefix));
        }
        let start = match first {
            // The mask leaves 32 bits at most.
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(start).unwrap_or(0))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(start)),
        };
        Err(CidrError::HostBits { text: text.to_owned(), meant: Self::new(start, prefix) })
    }
}

fn prefix_length(digits: &str, longest: u8) -> Option<u8> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|prefix| canonical && *prefix <= longest)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Shared => "an address shared by carrier-grade NAT",
            Self::UniqueLocal => "a unique-local address",
            Self::Multicast => "a multicast address",
            Self::Metadata => "a metadata address",
            Self::Unspecified => "the unspecified address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Reserved => "a reserved address",
            Self::Embedded => "a tunnel to an IPv4 address",
            Self::Blocked => "an address that the policy blocks",
        })
    }
}

#[cfg(test)]
mod tests;
