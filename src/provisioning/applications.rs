//! Applications: a customer's programs, with limits of their own.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Change, Rejection,
    input::{QuotaInput, RateInput},
    valid::{Errors, LimitsInput},
};
use crate::{model::OwnLimits, store::records::ApplicationRecord};

/// The limits of an application; they come in addition to the customer's.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationInput {
    /// Allowances.
    pub quotas: Option<Vec<QuotaInput>>,
    /// Requests per short time.
    pub rate: Option<RateInput>,
    /// Requests in flight at once.
    pub concurrency: Option<u32>,
}

impl Change<'_> {
    /// Makes an application or replaces its limits; tells whether it is new.
    pub fn put_application(
        &mut self,
        customer: &str,
        name: &str,
        input: ApplicationInput,
    ) -> Result<(ApplicationRecord, bool), Rejection> {
        self.stored_customer(customer)?;
        let mut errors = Errors::default();
        errors.id("name", name);
        let ApplicationInput { quotas, rate, concurrency } = input;
        let limits = LimitsInput::given(quotas, rate, concurrency);
        let limits = errors.limits_of_part(limits, OwnLimits::default());
        errors.finish()?;
        let before = self.application(customer, name)?;
        let after = ApplicationRecord {
            customer: customer.to_owned(),
            name: name.to_owned(),
            limits,
            created_at: before.as_ref().map_or(self.now, |before| before.created_at),
        };
        if before.as_ref() == Some(&after) {
            return Ok((after, false));
        }
        self.records.put_application(&after)?;
        let action = if before.is_none() { "application.create" } else { "application.change" };
        self.audit(action, Some(customer), name, before.as_ref(), Some(&after))?;
        self.touched.insert(customer.to_owned());
        Ok((after, before.is_none()))
    }

    /// Removes an application that no key in use belongs to.
    pub fn delete_application(&mut self, customer: &str, name: &str) -> Result<(), Rejection> {
        self.stored_customer(customer)?;
        let before = self.application(customer, name)?;
        let before = before.ok_or_else(|| Rejection::not_found("application", name))?;
        if let Some(key) = self.key_in_use(customer, name)? {
            let message = format!("the key `{key}` belongs to it; revoke its keys first");
            return Err(Rejection::field("name", message));
        }
        self.records.delete_application(customer, name)?;
        self.audit("application.delete", Some(customer), name, Some(&before), None::<&()>)?;
        self.touched.insert(customer.to_owned());
        Ok(())
    }

    /// Sees to it that an application is there.
    pub(super) fn need_application(&mut self, customer: &str, name: &str) -> Result<(), Rejection> {
        if self.application(customer, name)?.is_none() {
            self.put_application(customer, name, ApplicationInput::default())?;
        }
        Ok(())
    }

    fn application(
        &mut self,
        customer: &str,
        name: &str,
    ) -> Result<Option<ApplicationRecord>, Rejection> {
        let all = self.records.applications(customer)?;
        Ok(all.into_iter().find(|application| application.name == name))
    }

    fn key_in_use(&mut self, customer: &str, name: &str) -> Result<Option<String>, Rejection> {
        const PAGE: usize = 100;
        let mut after: Option<String> = None;
        loop {
            let keys = self.records.keys_of(customer, after.as_deref(), PAGE)?;
            let belongs = |key: &&crate::store::records::KeyRecord| {
                key.application.as_deref() == Some(name) && key.revoked_at.is_none()
            };
            if let Some(key) = keys.iter().find(belongs) {
                return Ok(Some(key.id.clone()));
            }
            match keys.last() {
                Some(last) if keys.len() == PAGE => after = Some(last.id.clone()),
                _ => return Ok(None),
            }
        }
    }
}
