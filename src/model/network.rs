//! What counts as one client where clients are told apart by their addresses.

use std::net::{IpAddr, Ipv4Addr};

/// What counts as one address: with IPv6 a whole network, because everyone has one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClientNetwork {
    /// An address.
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            // The shift leaves 64 bits.
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(0)),
        }
    }
}
