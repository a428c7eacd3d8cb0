//! A route: which requests it takes, where they go and what they cost.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};

use crate::{
    model::{Money, Upstream},
    pay::Offer,
};

/// A route in its checked form.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name that plans, logs and headers use.
    pub name: Arc<str>,
    /// The host it answers for, lower case and without port; `None` means any.
    pub host: Option<Arc<str>>,
    /// The path pattern: literal segments, `{name}` for one segment, `{*name}` for the rest.
    pub path: Arc<str>,
    /// The methods it answers.
    pub methods: Methods,
    /// Where its requests go.
    pub upstream: Arc<Upstream>,
    /// What is taken from the front of the path before forwarding; no slash at its end.
    pub strip_prefix: Option<Arc<str>>,
    /// Who may call it.
    pub access: Access,
    /// Units that one call takes.
    pub cost: u64,
    /// What one call costs a caller whose plan does not cover it; positive.
    pub price: Option<Money>,
    /// What a call costs that is paid for as it is made; `None` where that is not possible.
    pub offer: Option<Arc<Offer>>,
    /// Scopes that the key must have, all of them.
    pub scopes: Vec<Arc<str>>,
    /// Whether who may not be served is refused, rather than forwarded all the same.
    pub enforce: bool,
    /// The upstream's statuses that are charged.
    pub charge_on: ChargeOn,
    /// What a WebSocket is charged by.
    pub websocket: WebSocket,
    /// The whole request's time, never renewed; `None` means without end.
    pub request_timeout: Option<Duration>,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Access {
    /// Callers with an API key.
    #[default]
    Key,
    /// Callers with an API key, and who pays as it calls.
    Payment,
    /// Everyone, uncounted.
    Public,
}

/// What a WebSocket is charged by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WebSocket {
    /// Once, when it opens.
    #[default]
    Connection,
    /// Each message of the client; the opening is free.
    Message,
    /// None is opened.
    Off,
    /// Each such time that begins, the first when it opens.
    Time(Duration),
}

/// The methods of a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Methods {
    /// Every method.
    Any,
    /// The listed ones; HEAD stands beside GET.
    Only(Vec<Method>),
}

impl Methods {
    /// Tells whether the method is answered.
    pub fn contains(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

/// The set of final statuses (200 to 599) that are charged.
#[derive(Clone, Eq, PartialEq)]
pub struct ChargeOn(Box<[bool; 500]>);

const FIRST_STATUS: u16 = 100;

impl ChargeOn {
    /// Makes the empty set.
    pub fn none() -> Self {
        Self(Box::new([false; 500]))
    }

    /// Puts in or takes out an inclusive range of statuses; what lies outside 100 to 599 is ignored.
    pub fn set(&mut self, first: u16, last: u16, charged: bool) {
        for (status, slot) in (FIRST_STATUS..).zip(self.0.iter_mut()) {
            if (first..=last).contains(&status) {
                *slot = charged;
            }
        }
    }

    /// Gives what is charged as ranges of statuses, such as `100-401`.
    pub fn ranges(&self) -> Vec<String> {
        let charged = (FIRST_STATUS..).zip(self.0.iter());
        let charged = charged.filter_map(|(status, charged)| charged.then_some(status));
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for status in charged {
            match ranges.last_mut().filter(|(_, last)| last + 1 == status) {
                Some((_, last)) => *last = status,
                None => ranges.push((status, status)),
            }
        }
        let text = |(first, last): &(u16, u16)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        ranges.iter().map(text).collect()
    }

    /// Tells whether an answer with this status is charged.
    pub fn contains(&self, status: StatusCode) -> bool {
        let index = usize::from(status.as_u16().saturating_sub(FIRST_STATUS));
        self.0.get(index).copied().unwrap_or(false)
    }
}

/// 100 to 499 without 402, 408, 425 and 429: what the caller asked for was done, or the caller's
/// own mistake was told. What says "not now", or is the upstream's failure, is free.
impl Default for ChargeOn {
    fn default() -> Self {
        let mut set = Self::none();
        set.set(100, 499, true);
        for free in [402, 408, 425, 429] {
            set.set(free, free, false);
        }
        set
    }
}

impl std::fmt::Debug for ChargeOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let charged = self.0.iter().filter(|charged| **charged).count();
        write!(f, "ChargeOn({charged} statuses)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_on_default_leaves_out_what_says_not_now() {
        let set = ChargeOn::default();
        for (status, charged) in [
            (100, true),
            (200, true),
            (304, true),
            (400, true),
            (401, true),
            (402, false),
            (404, true),
            (408, false),
            (425, false),
            (429, false),
            (499, true),
            (500, false),
            (503, false),
            (599, false),
            (600, false),
            (999, false),
        ] {
            assert_eq!(set.contains(StatusCode::from_u16(status).unwrap()), charged, "{status}");
        }
        assert_eq!(set.ranges(), ["100-401", "403-407", "409-424", "426-428", "430-499"]);
        let mut one = ChargeOn::none();
        one.set(599, 599, true);
        assert_eq!(one.ranges(), ["599"]);
    }
}
