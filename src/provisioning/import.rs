//! A line of an import: a customer, what it holds, and a key of its.
//!
//! To repeat a line changes nothing, so that an import that was broken off is simply begun again.

use utoipa::ToSchema;

use super::{
    Change, CustomerPatch, NewCustomer, Rejection, SubscriptionInput,
    input::{InputDate, Patch},
    valid::Errors,
};
use crate::{
    model::{KeyDigest, KeyState, OwnLimits, StatusName},
    store::records::KeyRecord,
};

/// How much of the digest is in the id of a key that is given none.
const ID_DIGITS: usize = 16;

/// A line of an import. What is left out or empty is not changed.
#[derive(Clone, Debug, Default, ToSchema)]
pub struct ImportLine {
    /// The customer's id.
    pub customer: String,
    /// What people call it.
    pub name: Option<String>,
    /// The plan that it holds.
    pub plan: Option<String>,
    /// The subscription's state.
    #[schema(value_type = Option<String>)]
    pub status: Option<StatusName>,
    /// Where anchored windows count from.
    pub anchor: Option<InputDate>,
    /// A key of the customer, in clear; it is hashed on arrival and not kept.
    pub key: Option<String>,
    /// Or the key's digest.
    pub key_digest: Option<String>,
    /// The key's id; default: made of its digest.
    pub key_id: Option<String>,
    /// The application that the key belongs to.
    pub application: Option<String>,
    /// The first instant at which the key is no longer good.
    pub expires: Option<InputDate>,
    /// What the key may do; in CSV with blanks between.
    pub scopes: Option<Vec<String>>,
}

/// What an imported line did.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Imported {
    /// Everything in it was there already.
    Unchanged,
    /// Something known was changed.
    Updated,
    /// The customer or the key is new.
    Created,
}

impl Change<'_> {
    /// Makes what a line says so.
    pub fn import(&mut self, line: ImportLine) -> Result<Imported, Rejection> {
        let ImportLine {
            customer,
            name,
            plan,
            status,
            anchor,
            key,
            key_digest,
            key_id,
            application,
            expires,
            scopes,
        } = line;
        let key =
            KeyOfLine { digest: digest(key, key_digest)?, key_id, application, expires, scopes };
        let subscription = SubscriptionInput {
            plan,
            status,
            anchor: anchor.map_or(Patch::Keep, Patch::Set),
            ..SubscriptionInput::default()
        };
        let holds = subscription.plan.is_some() || status.is_some() || anchor.is_some();
        let customer_done = self.import_customer(&customer, name)?;
        let held_done = if holds {
            self.import_subscription(&customer, &subscription)?
        } else {
            Imported::Unchanged
        };
        let key_done = self.import_key(&customer, key)?;
        Ok(customer_done.max(held_done).max(key_done))
    }

    fn import_customer(&mut self, id: &str, name: Option<String>) -> Result<Imported, Rejection> {
        match self.records.customer(id)? {
            None => {
                let new = NewCustomer { id: id.to_owned(), name, ..NewCustomer::default() };
                // What the line says of the customer's id is under the name of its column.
                self.create_customer(new)
                    .map_err(|rejection| renamed(rejection, "id", "customer"))?;
                Ok(Imported::Created)
            }
            Some(known) if name.is_some() && known.name != name => {
                let name = name.map_or(Patch::Keep, Patch::Set);
                self.patch_customer(id, CustomerPatch { name, ..CustomerPatch::default() })?;
                Ok(Imported::Updated)
            }
            Some(_) => Ok(Imported::Unchanged),
        }
    }

    fn import_subscription(
        &mut self,
        customer: &str,
        input: &SubscriptionInput,
    ) -> Result<Imported, Rejection> {
        let before = self.records.subscription(customer)?;
        let (after, is_new) = self.put_subscription(customer, input)?;
        Ok(if is_new || before.as_ref() != Some(&after) {
            Imported::Updated
        } else {
            Imported::Unchanged
        })
    }

    fn import_key(&mut self, customer: &str, key: KeyOfLine) -> Result<Imported, Rejection> {
        let KeyOfLine { digest: Some((digest, hint)), key_id, application, expires, scopes } = key
        else {
            return key.without_digest();
        };
        let mut errors = Errors::default();
        let named = scopes.as_deref().unwrap_or_default();
        errors.key(("key_id", key_id.as_deref()), application.as_deref(), named);
        errors.finish()?;
        let Some(before) = self.records.key_by_digest(&digest)? else {
            let id = key_id.unwrap_or_else(|| format!("key_{}", digest.short(ID_DIGITS)));
            let record = KeyRecord {
                lineage: id.clone(),
                id,
                customer: customer.to_owned(),
                application,
                name: None,
                digest,
                hint,
                env: None,
                scopes: scopes.unwrap_or_default(),
                allow_from: Vec::new(),
                expires: expires.map(|date| date.0),
                status: KeyState::Active,
                revoked_at: None,
                replaced_by: None,
                limits: OwnLimits::default(),
                created_at: self.now,
                last_used: None,
            };
            self.insert_key(&record, "key.import")
                .map_err(|rejection| renamed(rejection, "id", "key_id"))?;
            return Ok(Imported::Created);
        };
        if before.customer != customer {
            return Err(Rejection::field("key", "this key belongs to another customer"));
        }
        if let Some(id) = key_id.filter(|id| *id != before.id) {
            let message =
                format!("this key is stored as `{}`; `{id}` would be a second", before.id);
            return Err(Rejection::field("key_id", message));
        }
        let mut after = before.clone();
        if let Some(application) = application {
            self.need_application(customer, &application)?;
            after.application = Some(application);
        }
        after.expires = expires.map_or(before.expires, |date| Some(date.0));
        after.scopes = scopes.unwrap_or(after.scopes);
        if after == before {
            return Ok(Imported::Unchanged);
        }
        self.change_key(&before, &after, "key.change")?;
        Ok(Imported::Updated)
    }
}

/// What a line says of a key.
struct KeyOfLine {
    digest: Option<(KeyDigest, Option<String>)>,
    key_id: Option<String>,
    application: Option<String>,
    expires: Option<InputDate>,
    scopes: Option<Vec<String>>,
}

impl KeyOfLine {
    /// Refuses a line that says something of a key and not which.
    fn without_digest(self) -> Result<Imported, Rejection> {
        let fields = [
            (self.key_id.is_some(), "key_id"),
            (self.application.is_some(), "application"),
            (self.expires.is_some(), "expires"),
            (self.scopes.is_some(), "scopes"),
        ];
        match fields.into_iter().find(|(given, _)| *given) {
            None => Ok(Imported::Unchanged),
            Some((_, field)) => {
                Err(Rejection::field(field, "it is about a key: give `key` or `key_digest` too"))
            }
        }
    }
}

/// Gives the digest of the line's key, and what may be shown of the key.
fn digest(
    key: Option<String>,
    key_digest: Option<String>,
) -> Result<Option<(KeyDigest, Option<String>)>, Rejection> {
    let of_key = key.map(|key| (KeyDigest::of(key.as_bytes()), super::keys::hint(&key)));
    let Some(text) = key_digest else { return Ok(of_key) };
    let Ok(given) = text.parse::<KeyDigest>() else {
        let message = "a digest is `sha256:` and the 64 hexadecimal digits of the key's SHA-256";
        return Err(Rejection::field("key_digest", message));
    };
    match of_key {
        Some((digest, _)) if digest != given => Err(Rejection::field(
            "key_digest",
            "it is not the digest of `key`; give one of the two",
        )),
        Some(known) => Ok(Some(known)),
        None => Ok(Some((given, None))),
    }
}

/// Calls a wrong field by the name that the line has for it.
fn renamed(rejection: Rejection, from: &str, to: &str) -> Rejection {
    let Rejection::Invalid(mut errors) = rejection else { return rejection };
    for error in errors.iter_mut().filter(|error| error.field == from) {
        to.clone_into(&mut error.field);
    }
    Rejection::Invalid(errors)
}
