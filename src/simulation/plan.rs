//! What customers hold and what routes cost, as the simulation knows it and as the product does.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use super::random::Random;
use crate::{
    config::{Config, Loaded},
    ledger::WindowKind,
    model::{
        ApiKey, CustomerTerms, KeyDigest, KeyState, Money, Nanos, OverageTerms, OwnLimits,
        QuotaTerms,
    },
};

/// How many customers there are.
pub(super) const CUSTOMERS: usize = 3;

/// Two keys for each: one of the customer itself, and one of its application.
pub(super) const KEYS: usize = 2;

/// Routes: the name, the cost, and the price of a call in nano-units.
pub(super) const ROUTES: [(&str, u64, Option<i64>); 7] = [
    ("r0", 0, None),
    ("r1", 1, None),
    ("r3", 3, None),
    ("r7", 7, None),
    ("p0", 0, Some(1_000_000_000)),
    ("p1", 1, Some(700_000_000)),
    ("p3", 3, Some(2_500_000_001)),
];

/// The accounts, each with its window and another name that its quota may have.
pub(super) const ACCOUNTS: [(&str, &str, WindowKind); 3] = [
    ("hourly", "per-hour", WindowKind::Hour),
    ("daily", "per-day", WindowKind::Day),
    ("ever", "in-all", WindowKind::Lifetime),
];

/// What a customer holds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Of the customer as a whole, and of its application.
    pub(super) quotas: [Vec<Quota>; 2],
    pub(super) concurrency: Option<u32>,
    pub(super) spend_cap: Option<i64>,
}

/// An allowance.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    /// The place in [`ACCOUNTS`].
    pub(super) account: usize,
    pub(super) is_renamed: bool,
    pub(super) limit: u64,
    /// The price of a unit beyond it.
    pub(super) overage: Option<i64>,
}

impl Quota {
    /// Gives the name that is told.
    pub(super) fn name(&self) -> &'static str {
        let (account, other, _) = ACCOUNTS[self.account];
        if self.is_renamed { other } else { account }
    }
}

impl Plan {
    /// Makes one.
    pub(super) fn new(random: &mut Random) -> Self {
        let quotas = [(95, 30), (40, 0)].map(|(one, overage)| {
            let mut quotas = Vec::new();
            for account in 0..ACCOUNTS.len() {
                let chance = if quotas.is_empty() { one } else { one / 3 };
                if random.happens(chance) {
                    quotas.push(Quota {
                        account,
                        is_renamed: random.happens(20),
                        limit: random.below(15),
                        overage: random.happens(overage).then_some(300_000_000),
                    });
                }
            }
            quotas
        });
        Self {
            quotas,
            concurrency: random.happens(20).then(|| 1 + random.below(6) as u32),
            spend_cap: random.happens(70).then(|| random.between(0, 5_000_000_000)),
        }
    }

    /// Changes it: limits are raised, lowered, renamed, removed or new.
    pub(super) fn change(&mut self, random: &mut Random) {
        match random.below(6) {
            0 => *self = Self::new(random),
            1 => self.spend_cap = random.happens(70).then(|| random.between(0, 9_000_000_000)),
            2 => self.quotas[0].clear(),
            3 => self.quotas[0].iter_mut().for_each(|quota| quota.is_renamed ^= true),
            _ => {
                for quota in self.quotas.iter_mut().flatten() {
                    quota.limit = random.below(2 * quota.limit + 4);
                }
            }
        }
    }

    /// Gives it as the product has it.
    pub(super) fn terms(&self, customer: usize) -> CustomerTerms {
        let [own, application] = &self.quotas;
        let own = OwnLimits {
            quotas: Some(own.iter().map(terms).collect()),
            concurrency: self.concurrency,
            rate: None,
        };
        let quotas = Some(application.iter().map(terms).collect());
        let application = OwnLimits { quotas, ..OwnLimits::default() };
        CustomerTerms {
            id: id(customer).into(),
            suspended: false,
            subscription: None,
            limits: Some(Box::new(own)),
            spend_cap: self.spend_cap.map(|nanos| Box::new(money(nanos))),
            applications: vec![("app".into(), application)],
        }
    }
}

fn terms(quota: &Quota) -> QuotaTerms {
    let (account, _, window) = ACCOUNTS[quota.account];
    QuotaTerms {
        name: quota.name().into(),
        limit: quota.limit,
        window,
        align: None,
        zone: None,
        renamed_from: quota.is_renamed.then(|| account.into()),
        overage: quota.overage.map(|nanos| OverageTerms { price: money(nanos) }),
    }
}

/// Gives the key of a customer.
pub(super) fn api_key(customer: usize, key: usize) -> ApiKey {
    let name: Arc<str> = format!("{}-{key}", id(customer)).into();
    ApiKey {
        digest: KeyDigest::of(name.as_bytes()),
        lineage: Arc::clone(&name),
        id: name,
        customer: id(customer).into(),
        application: (key == 1).then(|| "app".into()),
        expires: None,
        scopes: Vec::new(),
        allow_from: Vec::new(),
        state: KeyState::Active,
        limits: None,
    }
}

/// Gives the id of a customer.
pub(super) fn id(customer: usize) -> String {
    format!("customer-{customer}")
}

/// Gives the scope of the customer as a whole or of its application.
pub(super) fn scope(scope: usize) -> &'static str {
    if scope == 0 { "" } else { "application/app" }
}

/// Gives an amount in the one currency.
pub(super) fn money(nanos: i64) -> Money {
    Money { nanos: Nanos(nanos), currency: "USD".parse().unwrap() }
}

/// Gives the configuration.
fn configuration() -> String {
    let mut text = String::from(
        "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n",
    );
    for (name, cost, price) in ROUTES {
        text += &format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"api\"\ncost = {cost}\n"
        );
        if let Some(price) = price {
            text += &format!("price = \"{} USD\"\n", Nanos(price));
        }
    }
    text
}

/// What every process begins with.
pub(super) static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = configuration();
    Loaded::parse(&text, Path::new("faregate.toml")).into_config().unwrap()
});
