//! Connections by client address, so that one address does not take everybody's places.
//!
//! Invariant: an address stands in the table while a connection of its own is open, and no longer. So there
//! are never more addresses than connections, whoever attacks.
//!
//! Choice: who has too many is closed without an answer. To answer, a request would have to be read,
//! which costs what the limit is to spare, and a close ahead of what a client is sending takes the answer from
//! it all the same.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{chain::origin, gateway::Gateway, model::ClientNetwork};

/// The open connections of all addresses. They are counted whether or not there is a limit, so that
/// one that is set by a reload holds for those that are open by then.
#[derive(Debug, Default)]
pub struct Addresses {
    counts: Mutex<HashMap<ClientNetwork, usize>>,
}

/// A connection that is counted; no longer when it is dropped.
#[derive(Debug)]
pub struct Place {
    addresses: Arc<Addresses>,
    network: ClientNetwork,
}

/// An address has as many connections as it may.
#[derive(Debug, thiserror::Error)]
#[error("the address has as many connections as it may")]
pub struct TooMany;

/// Takes a place for a connection of a client. Trusted proxies need none: theirs are many clients'.
pub fn admit(gateway: &Gateway, client: IpAddr) -> Result<Option<Place>, TooMany> {
    let max = gateway.look(|snapshot| {
        let server = &snapshot.server;
        let is_trusted = origin::is_trusted(&server.trusted_proxies, client);
        (!is_trusted).then(|| server.limits.connections_per_address.unwrap_or(usize::MAX))
    });
    let Some(max) = max else { return Ok(None) };
    let place = Addresses::enter(gateway.addresses(), client, max);
    if place.is_err() {
        gateway.metrics().count_refused_connection();
    }
    place.map(Some)
}

impl Addresses {
    /// Takes a place for a connection of an address that may have so many.
    fn enter(addresses: &Arc<Self>, address: IpAddr, max: usize) -> Result<Place, TooMany> {
        let network = ClientNetwork::from(address);
        let mut counts = addresses.lock();
        let count = counts.entry(network).or_default();
        if *count >= max {
            return Err(TooMany);
        }
        *count += 1;
        Ok(Place { addresses: Arc::clone(addresses), network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientNetwork, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.addresses.lock().entry(self.network) {
            match count.get().checked_sub(1) {
                None | Some(0) => drop(count.remove()),
                Some(left) => *count.get_mut() = left,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn enter(addresses: &Arc<Addresses>, address: &str, max: usize) -> Option<Place> {
        Addresses::enter(addresses, address.parse().unwrap(), max).ok()
    }

    #[test]
    fn networks_count_as_one_address() {
        let addresses = Arc::default();
        let first = enter(&addresses, "2001:db8::1", 2);
        let second = enter(&addresses, "2001:db8::ffff:2", 2);
        assert!(first.is_some() && second.is_some());
        assert!(enter(&addresses, "2001:db8::3", 2).is_none());
        assert!(enter(&addresses, "2001:db8:0:1::1", 2).is_some());
        let mapped = enter(&addresses, "::ffff:192.0.2.1", 1);
        assert!(mapped.is_some() && enter(&addresses, "192.0.2.1", 1).is_none());
        drop(first);
        assert!(enter(&addresses, "2001:db8::3", 2).is_some());
    }

    proptest! {
        /// Whoever comes and goes in whatever order, each address has what is open and at most what it may,
        /// and nothing is left of those that are gone.
        #[test]
        fn counts_are_those_of_open_connections(
            steps in prop::collection::vec((0..4_u8, 0..6_usize, any::<bool>()), 0..200),
        ) {
            let addresses: Arc<Addresses> = Arc::default();
            let mut open: Vec<(u8, Place)> = Vec::new();
            for (host, at, enters) in steps {
                if enters {
                    let is_free = open.iter().filter(|(of, _)| *of == host).count() < 3;
                    let place = enter(&addresses, &format!("192.0.2.{host}"), 3);
                    prop_assert_eq!(place.is_some(), is_free);
                    open.extend(place.map(|place| (host, place)));
                } else if at < open.len() {
                    open.swap_remove(at);
                }
                let hosts: std::collections::HashSet<_> = open.iter().map(|(of, _)| *of).collect();
                prop_assert_eq!(addresses.lock().len(), hosts.len());
            }
            open.clear();
            prop_assert!(addresses.lock().is_empty());
        }
    }
}
