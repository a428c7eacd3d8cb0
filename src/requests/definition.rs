//! What a number in a record stands for: a route or a caller, with what its requests are checked against.
//!
//! The numbers are unique within the process, and a file is written by one process: so a definition that
//! stands in it twice says the same twice.

use std::{sync::Arc, time::Duration};

use super::wire::{Bytes, put_money, put_nanos, put_number, put_optional, put_text};
use crate::{
    ledger::{Limits, Overage, Quota, Rate, Scoped, WindowKind, WindowSpec},
    model::{Access, Money, Route, StatusName},
    roster::Caller,
};

/// A route, as far as it explains a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Whether everyone may call it.
    pub is_public: bool,
    /// What a call costs that no plan covers.
    pub price: Option<Money>,
    /// The scopes that it asks for.
    pub scopes: Vec<Arc<str>>,
}

/// A caller, as far as it explains a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallerFacts {
    /// The key's owner.
    pub customer: Arc<str>,
    /// The application that the key belongs to.
    pub application: Option<Arc<str>>,
    /// The key's id.
    pub key_id: Arc<str>,
    /// The plan held.
    pub plan: Option<Arc<str>>,
    /// The subscription's state; `None` without one.
    pub status: Option<&'static str>,
    /// What its requests must fit. Of one that was read the windows have their kind and nothing else.
    pub limits: Arc<Limits>,
}

impl RouteFacts {
    /// Takes what explains of a route.
    pub fn of(route: &Route) -> Self {
        let is_public = match route.access {
            Access::Key | Access::Payment => false,
            Access::Public => true,
        };
        let scopes = route.scopes.clone();
        Self { name: Arc::clone(&route.name), is_public, price: route.price, scopes }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { name, is_public, price, scopes } = self;
        put_text(name, out);
        out.push(u8::from(*is_public));
        put_some(price.as_ref(), out, |price, out| put_money(*price, out));
        put_list(scopes, out, |scope, out| put_text(scope, out));
    }

    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            name: bytes.text()?.into(),
            is_public: bytes.byte()? != 0,
            price: bytes.some(Bytes::money)?,
            scopes: bytes.list(|bytes| Some(bytes.text()?.into()))?,
        })
    }
}

impl CallerFacts {
    /// Takes what explains of a caller.
    pub fn of(caller: &Caller) -> Self {
        let held = caller.customer.subscription.as_ref();
        Self {
            customer: Arc::clone(&caller.customer.id),
            application: caller.key.application.clone(),
            key_id: Arc::clone(&caller.key.id),
            plan: caller.plan().map(|plan| Arc::clone(&plan.id)),
            status: held.map(|held| held.status.name()),
            limits: Arc::clone(&caller.limits),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { customer, application, key_id, plan, status, limits } = self;
        put_text(customer, out);
        put_optional(application.as_deref(), out);
        put_text(key_id, out);
        put_optional(plan.as_deref(), out);
        put_optional(*status, out);
        put_limits(limits, out);
    }

    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            customer: bytes.text()?.into(),
            application: bytes.optional()?.map(Into::into),
            key_id: bytes.text()?.into(),
            plan: bytes.optional()?.map(Into::into),
            status: bytes.optional()?.and_then(known_status),
            limits: Arc::new(read_limits(bytes)?),
        })
    }
}

/// Gives the name of a state that is known.
fn known_status(name: &str) -> Option<&'static str> {
    StatusName::ALL.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

fn put_list<T>(items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    put_number(u64::try_from(items.len()).unwrap_or(u64::MAX), out);
    items.iter().for_each(|item| put(item, out));
}

fn put_some<T>(value: Option<&T>, out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

fn put_limits(limits: &Limits, out: &mut Vec<u8>) {
    let Limits { quotas, rates, concurrency } = limits;
    put_list(quotas, out, |quota, out| {
        let Quota { scope, name, account: _, limit, overage, window } = quota;
        put_text(scope, out);
        put_text(name, out);
        put_number(*limit, out);
        put_text(window.kind.name(), out);
        put_some(overage.as_deref(), out, |overage, out| {
            put_money(overage.price(), out);
            put_some(overage.cap().as_ref(), out, |cap, out| put_nanos(*cap, out));
        });
    });
    put_list(rates, out, |Scoped { scope, limit }, out| {
        let Rate { limit, window, burst } = limit;
        put_text(scope, out);
        put_number(*limit, out);
        put_number(u64::try_from(window.as_nanos()).unwrap_or(u64::MAX), out);
        put_number(*burst, out);
    });
    put_list(concurrency, out, |Scoped { scope, limit }, out| {
        put_text(scope, out);
        put_number(u64::from(*limit), out);
    });
}

fn read_limits(bytes: &mut Bytes<'_>) -> Option<Limits> {
    let quotas = bytes.list(|bytes| {
        let scope = bytes.text()?.into();
        let name: Arc<str> = bytes.text()?.into();
        let limit = bytes.number()?;
        let kind = bytes.text()?;
        let kind = WindowKind::ALL.into_iter().find(|known| known.name() == kind)?;
        let overage = bytes.some(read_overage)?.map(Box::new);
        let account = Arc::clone(&name);
        Some(Quota { scope, name, account, limit, overage, window: WindowSpec::new(kind) })
    })?;
    let rates = bytes.list(|bytes| {
        let scope = bytes.text()?.into();
        let limit = bytes.number()?;
        let window = Duration::from_nanos(bytes.number()?);
        Some(Scoped { scope, limit: Rate { limit, window, burst: bytes.number()? } })
    })?;
    let concurrency =
        bytes.list(|bytes| Some(Scoped { scope: bytes.text()?.into(), limit: bytes.small()? }))?;
    Some(Limits { quotas, rates, concurrency })
}

fn read_overage(bytes: &mut Bytes<'_>) -> Option<Overage> {
    let price = bytes.money()?;
    let cap = bytes.some(Bytes::nanos)?;
    Some(Overage::new(price, cap.map(|nanos| Money { nanos, ..price })))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::model::Nanos;

    fn name() -> impl Strategy<Value = Arc<str>> {
        "[a-zä\\u{1F600}/-]{1,20}".prop_map(Arc::from)
    }

    fn scope() -> impl Strategy<Value = Arc<str>> {
        "[a-z/]{0,12}".prop_map(Arc::from)
    }

    fn usd(nanos: i64) -> Money {
        Money { nanos: Nanos(nanos), currency: "USD".parse().unwrap() }
    }

    fn quota() -> impl Strategy<Value = Quota> {
        let kind = proptest::sample::select(&WindowKind::ALL[..]);
        let cap = option::of(any::<i64>());
        let overage = option::of((1_i64..i64::MAX, cap)).prop_map(|overage| {
            let (nanos, cap) = overage?;
            let cap = cap.map(|nanos| Money { nanos: Nanos(nanos), ..usd(0) });
            Some(Box::new(Overage::new(usd(nanos), cap)))
        });
        (scope(), name(), any::<u64>(), overage, kind).prop_map(
            |(scope, name, limit, overage, kind)| {
                let account = Arc::clone(&name);
                Quota { scope, name, account, limit, overage, window: WindowSpec::new(kind) }
            },
        )
    }

    fn rate() -> impl Strategy<Value = Scoped<Rate>> {
        (scope(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
            |(scope, limit, nanos, burst)| Scoped {
                scope,
                limit: Rate { limit, window: Duration::from_nanos(nanos), burst },
            },
        )
    }

    fn limits() -> impl Strategy<Value = Limits> {
        let concurrency =
            (scope(), any::<u32>()).prop_map(|(scope, limit)| Scoped { scope, limit });
        (vec(quota(), 0..4), vec(rate(), 0..3), vec(concurrency, 0..3))
            .prop_map(|(quotas, rates, concurrency)| Limits { quotas, rates, concurrency })
    }

    prop_compose! {
        pub(in crate::requests) fn caller()(
            customer in name(),
            application in option::of(name()),
            key_id in name(),
            plan in option::of(name()),
            status in option::of(proptest::sample::select(&StatusName::ALL[..])),
            limits in limits(),
        ) -> CallerFacts {
            let status = status.map(|(name, _)| name);
            CallerFacts { customer, application, key_id, plan, status, limits: Arc::new(limits) }
        }
    }

    prop_compose! {
        pub(in crate::requests) fn route()(
            name in name(),
            is_public: bool,
            nanos in option::of(any::<i64>()),
            scopes in vec(name(), 0..3),
        ) -> RouteFacts {
            RouteFacts { name, is_public, price: nanos.map(usd), scopes }
        }
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(caller in caller(), route in route()) {
            let mut out = Vec::new();
            caller.put(&mut out);
            route.put(&mut out);
            let mut bytes = Bytes(&out);
            prop_assert_eq!(CallerFacts::read(&mut bytes), Some(caller));
            prop_assert_eq!(RouteFacts::read(&mut bytes), Some(route));
            prop_assert!(bytes.0.is_empty());
        }

        #[test]
        fn other_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
            let _ = CallerFacts::read(&mut Bytes(&bytes));
            let _ = RouteFacts::read(&mut Bytes(&bytes));
        }
    }
}
