//! The keys of all customers.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    limits,
    names::{Unique, check_foreign_id},
    networks,
    routes::check_scopes,
};
use crate::{
    config::{
        file::{Field, KeyTable, Spanned},
        report::{Problem, Problems, Span},
    },
    model::{ApiKey, KeyDigest, looks_like_a_key},
};

/// Keys as they are collected; no two have one digest or one id.
#[derive(Debug)]
pub(super) struct KeyRing {
    keys: Vec<Arc<ApiKey>>,
    digests: HashMap<KeyDigest, Span>,
    ids: Unique,
}

impl KeyRing {
    /// Begins without keys.
    pub(super) fn new() -> Self {
        let ids = Unique::new("keys", "give this one another `id`");
        Self { keys: Vec::new(), digests: HashMap::new(), ids }
    }

    /// Checks and adds the keys of a customer or of an application of it.
    pub(super) fn add(
        &mut self,
        customer: &Arc<str>,
        application: Option<&str>,
        field: &Field<Vec<Spanned<KeyTable>>>,
        problems: &mut Problems,
    ) {
        let application: Option<Arc<str>> = application.map(Into::into);
        for Spanned { value: table, .. } in field.value().into_iter().flatten() {
            let key = self.check_key(customer, application.as_ref(), table, problems);
            self.keys.extend(key.map(Arc::new));
        }
    }

    /// Gives the keys, in the file's order.
    pub(super) fn into_keys(self) -> Vec<Arc<ApiKey>> {
        self.keys
    }

    fn check_key(
        &mut self,
        customer: &Arc<str>,
        application: Option<&Arc<str>>,
        table: &KeyTable,
        problems: &mut Problems,
    ) -> Option<ApiKey> {
        let KeyTable { span, id, digest, expires, scopes, allow_from, status, limits } = table;
        let missing = || {
            Problem::error(*span, "the key has no `digest`")
                .help("write digest = \"sha256:…\"; `faregate key new` prints a key and its digest")
        };
        let digest = digest.required(problems, missing);
        let digest = digest.and_then(|digest| self.check_digest(digest, problems));
        let id = self.check_id(id, digest, problems);
        let scopes = check_scopes(scopes, problems);
        let allow_from = check_allow_from(allow_from, problems);
        let limits = limits::check_part(limits, problems).into_own();
        let id = id?;
        Some(ApiKey {
            lineage: Arc::clone(&id),
            id,
            digest: digest?.value,
            customer: customer.clone(),
            application: application.cloned(),
            expires: expires.value().copied(),
            scopes,
            allow_from,
            state: status.value().copied().unwrap_or_default(),
            limits: (!limits.is_empty()).then(|| Box::new(limits)),
        })
    }

    fn check_digest<'f>(
        &mut self,
        digest: &'f Spanned<KeyDigest>,
        problems: &mut Problems,
    ) -> Option<&'f Spanned<KeyDigest>> {
        match self.digests.entry(digest.value) {
            Entry::Vacant(vacant) => {
                vacant.insert(digest.span);
                Some(digest)
            }
            Entry::Occupied(first) => {
                let problem = Problem::error(digest.span, "the same key stands here twice")
                    .related(*first.get(), "first here")
                    .help("a key belongs to one customer and one application; leave one out");
                problems.add(problem);
                None
            }
        }
    }

    fn check_id(
        &mut self,
        id: &Field<String>,
        digest: Option<&Spanned<KeyDigest>>,
        problems: &mut Problems,
    ) -> Option<Arc<str>> {
        let (id, span) = match id {
            Field::Given(given) => {
                check_key_id(given, problems);
                (given.value.as_str().into(), given.span)
            }
            Field::Absent => {
                let digest = digest?;
                (format!("key_{}", digest.value.short(DEFAULT_ID_DIGITS)).into(), digest.span)
            }
            Field::Wrong => return None,
        };
        self.ids.claim(&id, span, problems).then_some(id)
    }
}

/// How much of the digest is in the id of a key without one.
const DEFAULT_ID_DIGITS: usize = 12;

fn check_key_id(id: &Spanned<String>, problems: &mut Problems) {
    if looks_like_a_key(&id.value) {
        let message = "this is a key, and an id is shown to everyone";
        let help = "write a name for the key, and its digest as `digest`";
        problems.add(Problem::error(id.span, message).help(help).hidden());
        return;
    }
    check_foreign_id(id, "a key", problems);
}

fn check_allow_from(field: &Field<Vec<Spanned<IpNet>>>, problems: &mut Problems) -> Vec<IpNet> {
    let Some(Spanned { value: list, span }) = field.given() else { return Vec::new() };
    if list.is_empty() {
        let message = "an empty list would allow every address";
        let help = "leave it out for every address, or write status = \"disabled\" for none";
        problems.add(Problem::error(*span, message).help(help));
    }
    networks::check(list, problems)
}
