//! Keys: made once and shown once, rotated, revoked.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    Change, Effect, Rejection,
    input::{InputDate, InputDuration, Patch, QuotaInput, RateInput},
    load,
    valid::{Errors, LimitsInput},
};
use crate::{
    model::{Environment, KeyDigest, KeyState, OwnLimits, new_secret},
    store::records::KeyRecord,
};

/// How long the key before stays good after a rotation, unless the call says otherwise.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// How much of the digest is in the id of a key that is given none.
const ID_DIGITS: usize = 16;

/// A key to make.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its identifier; made if there is none.
    pub id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The first instant at which it is no longer good.
    pub expires: Option<InputDate>,
    /// What it is for; default: live.
    #[schema(value_type = Option<String>)]
    pub env: Option<Environment>,
    /// The application that it belongs to; made if there is none of this name.
    pub application: Option<String>,
    /// The networks that it may be used from; empty: any.
    #[serde(default)]
    pub allow_from: Vec<String>,
    /// The digest of a key that was made elsewhere, `sha256:…`; then none is made here.
    pub digest: Option<String>,
    /// Allowances that come in addition to the customer's.
    pub quotas: Option<Vec<QuotaInput>>,
    /// Requests per short time, in addition.
    pub rate: Option<RateInput>,
    /// Requests in flight at once, in addition.
    pub concurrency: Option<u32>,
}

/// A change of a key: what is left out stays, null removes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPatch {
    /// What people call it.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub name: Patch<String>,
    /// What it may do.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(default)]
    pub scopes: Patch<Vec<String>>,
    /// The first instant at which it is no longer good.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub expires: Patch<InputDate>,
    /// `active` or `disabled`.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub status: Patch<KeyState>,
    /// The networks that it may be used from.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(default)]
    pub allow_from: Patch<Vec<String>>,
    /// Allowances that come in addition to the customer's.
    #[schema(value_type = Option<Vec<QuotaInput>>)]
    #[serde(default)]
    pub quotas: Patch<Vec<QuotaInput>>,
    /// Requests per short time, in addition.
    #[schema(value_type = Option<RateInput>)]
    #[serde(default)]
    pub rate: Patch<RateInput>,
    /// Requests in flight at once, in addition.
    #[schema(value_type = Option<u32>)]
    #[serde(default)]
    pub concurrency: Patch<u32>,
}

/// How a key is rotated.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateInput {
    /// How long the key before stays good; default: 24h; 0s for one that leaked.
    pub grace: Option<InputDuration>,
}

/// A key that was made, with its secret unless it was made elsewhere.
#[derive(Debug)]
pub struct MadeKey {
    /// The key as it is stored.
    pub record: KeyRecord,
    /// The key itself. It is kept nowhere.
    pub secret: Option<Zeroizing<String>>,
}

impl Change<'_> {
    /// Makes a key.
    pub fn create_key(&mut self, customer: &str, new: NewKey) -> Result<MadeKey, Rejection> {
        self.stored_customer(customer)?;
        let NewKey {
            id,
            name,
            scopes,
            expires,
            env,
            application,
            allow_from,
            digest,
            quotas,
            rate,
            concurrency,
        } = new;
        let mut errors = Errors::default();
        if let Some(name) = &name {
            errors.text("name", name);
        }
        errors.key(("id", id.as_deref()), application.as_deref(), &scopes);
        let allow_from = errors.networks(&allow_from);
        let limits = LimitsInput::given(quotas, rate, concurrency);
        let limits = errors.limits_of_part(limits, OwnLimits::default());
        let digest = digest.and_then(|text| check_digest(&text, env, &mut errors));
        errors.finish()?;
        let env = env.unwrap_or_default();
        let (digest, secret) = match digest {
            Some(digest) => (digest, None),
            None => {
                let secret = make_secret(env)?;
                (KeyDigest::of(secret.as_bytes()), Some(secret))
            }
        };
        let id = id.unwrap_or_else(|| format!("key_{}", digest.short(ID_DIGITS)));
        let record = KeyRecord {
            lineage: id.clone(),
            id,
            customer: customer.to_owned(),
            application,
            name,
            digest,
            hint: secret.as_deref().and_then(|secret| hint(secret)),
            env: secret.is_some().then_some(env),
            scopes,
            allow_from,
            expires: expires.map(|date| date.0),
            status: KeyState::Active,
            revoked_at: None,
            replaced_by: None,
            limits,
            created_at: self.now,
            last_used: None,
        };
        self.insert_key(&record, "key.create")?;
        Ok(MadeKey { record, secret })
    }

    /// Makes the successor of a key, which stays good for the grace.
    pub fn rotate_key(&mut self, id: &str, input: &RotateInput) -> Result<MadeKey, Rejection> {
        let before = self.stored_key(id)?;
        if before.status == KeyState::Revoked {
            return Err(Rejection::field("id", "the key is revoked; make a new one"));
        }
        if let Some(successor) = &before.replaced_by {
            let message = format!("the key was rotated to `{successor}` already; rotate that one");
            return Err(Rejection::field("id", message));
        }
        let secret = make_secret(before.env.unwrap_or_default())?;
        let digest = KeyDigest::of(secret.as_bytes());
        let successor = KeyRecord {
            id: format!("key_{}", digest.short(ID_DIGITS)),
            digest,
            hint: hint(&secret),
            env: Some(before.env.unwrap_or_default()),
            created_at: self.now,
            last_used: None,
            // A key that was about to expire is not what a rotation asks for.
            expires: before.expires.filter(|expires| *expires > self.now),
            ..before.clone()
        };
        self.insert_key(&successor, "key.create")?;
        let grace = input.grace.map_or(GRACE, |grace| grace.0);
        let end = self.now.checked_add(grace).unwrap_or(Timestamp::MAX);
        let after = KeyRecord {
            replaced_by: Some(successor.id.clone()),
            expires: Some(before.expires.map_or(end, |expires| expires.min(end))),
            ..before.clone()
        };
        self.change_key(&before, &after, "key.rotate")?;
        Ok(MadeKey { record: successor, secret: Some(secret) })
    }

    /// Revokes a key for good; the next request by it is refused.
    pub fn revoke_key(&mut self, id: &str) -> Result<(), Rejection> {
        let before = self.stored_key(id)?;
        if before.status == KeyState::Revoked {
            return Ok(());
        }
        let after =
            KeyRecord { status: KeyState::Revoked, revoked_at: Some(self.now), ..before.clone() };
        self.change_key(&before, &after, "key.revoke")
    }

    /// Changes a key.
    pub fn patch_key(&mut self, id: &str, patch: KeyPatch) -> Result<KeyRecord, Rejection> {
        let before = self.stored_key(id)?;
        let mut after = before.clone();
        let KeyPatch { name, scopes, expires, status, allow_from, quotas, rate, concurrency } =
            patch;
        let mut errors = Errors::default();
        name.apply(&mut after.name);
        if let Some(name) = &after.name {
            errors.text("name", name);
        }
        match scopes {
            Patch::Keep => {}
            Patch::Remove => after.scopes.clear(),
            Patch::Set(scopes) => after.scopes = scopes,
        }
        errors.scopes(&after.scopes);
        expires.map(|date| date.0).apply(&mut after.expires);
        match allow_from {
            Patch::Keep => {}
            Patch::Remove => after.allow_from.clear(),
            Patch::Set(networks) if networks.is_empty() => {
                let help = "send null for every address, or disable the key for none";
                errors
                    .add("allow_from", format!("an empty list would allow every address; {help}"));
            }
            Patch::Set(networks) => after.allow_from = errors.networks(&networks),
        }
        match status {
            Patch::Keep => {}
            Patch::Set(KeyState::Revoked) => {
                errors.add("status", "to revoke a key for good delete it");
            }
            Patch::Set(_) | Patch::Remove if before.status == KeyState::Revoked => {
                errors.add("status", "the key is revoked for good; make a new one");
            }
            Patch::Remove => after.status = KeyState::Active,
            Patch::Set(status) => after.status = status,
        }
        after.limits =
            errors.limits_of_part(LimitsInput { quotas, rate, concurrency }, after.limits);
        errors.finish()?;
        if after != before {
            self.change_key(&before, &after, "key.change")?;
        }
        Ok(after)
    }

    /// Finds a stored key; tells when it is the file's.
    pub fn stored_key(&mut self, id: &str) -> Result<KeyRecord, Rejection> {
        if let Some(record) = self.records.key(id)? {
            return Ok(record);
        }
        if self.snapshot.declared.has_key(id) {
            return Err(Rejection::DeclaredInFile(format!("the key `{id}`")));
        }
        Err(Rejection::not_found("key", id))
    }

    /// Stores a new key, whose id and digest nothing else has.
    pub(super) fn insert_key(&mut self, key: &KeyRecord, action: &str) -> Result<(), Rejection> {
        let gateway = self.gateway;
        // The snapshot of this moment, not of the change's beginning: see `roster::Claim`.
        let declared = || {
            let snapshot = gateway.snapshot();
            snapshot.declared.has_key(&key.id) || snapshot.declared.has_digest(&key.digest)
        };
        let claim = gateway.live().claim_key(declared, &key.id, key.digest);
        let in_file = || Rejection::DeclaredInFile("a key of this id or digest".to_owned());
        self.applied.claims.push(claim.ok_or_else(in_file)?);
        if self.records.key(&key.id)?.is_some() {
            let message = format!("there is a key `{}` already", key.id);
            return Err(Rejection::AlreadyExists(message));
        }
        if let Some(other) = self.records.key_by_digest(&key.digest)? {
            let message = format!("this key is stored already, as `{}`", other.id);
            return Err(Rejection::AlreadyExists(message));
        }
        if let Some(application) = &key.application {
            self.need_application(&key.customer, application)?;
        }
        self.records.put_key(key)?;
        self.audit(action, Some(&key.customer), &key.id, None::<&()>, Some(key))?;
        self.applied.effects.push(Effect::PutKey(load::api_key(key.clone())));
        Ok(())
    }

    pub(super) fn change_key(
        &mut self,
        before: &KeyRecord,
        after: &KeyRecord,
        action: &str,
    ) -> Result<(), Rejection> {
        self.records.put_key(after)?;
        self.audit(action, Some(&after.customer), &after.id, Some(before), Some(after))?;
        self.applied.effects.push(Effect::PutKey(load::api_key(after.clone())));
        Ok(())
    }
}

fn check_digest(text: &str, env: Option<Environment>, errors: &mut Errors) -> Option<KeyDigest> {
    if env.is_some() {
        errors.add("env", "a key that was made elsewhere has none; leave it out");
    }
    let digest = text.parse().ok();
    if digest.is_none() {
        // What is not a digest may be the key itself, so it is not repeated.
        errors.add("digest", "a digest is `sha256:` and the 64 hexadecimal digits of its SHA-256");
    }
    digest
}

fn make_secret(env: Environment) -> Result<Zeroizing<String>, Rejection> {
    new_secret(env)
        .map_err(|error| crate::store::StoreError::new("make a key for", error))
        .map_err(Rejection::Store)
}

/// Gives what may be shown of a key: its beginning and its last four characters. Of a short key
/// nothing may.
pub(super) fn hint(secret: &str) -> Option<String> {
    const SHORTEST: usize = 32;
    if secret.len() < SHORTEST || !secret.is_ascii() {
        return None;
    }
    let start = if crate::model::looks_like_a_key(secret) { 8 } else { 4 };
    let (first, last) = (secret.get(..start)?, secret.get(secret.len() - 4..)?);
    Some(format!("{first}…{last}"))
}
