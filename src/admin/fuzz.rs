//! What fuzzing sees of the calls: their bodies, and the lines of an import.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::body::parse;
pub(crate) use super::import::fuzz::read as import;
use crate::provisioning::{
    AdjustmentInput, ApplicationInput, CustomerPatch, GrantInput, KeyPatch, NewCustomer, NewKey,
    RotateInput, SubscriptionInput,
};

/// Reads the body of a call; what is wrong with it is told by a document.
pub(crate) fn body(kind: u8, data: &[u8]) {
    fn read<T: DeserializeOwned>(data: &[u8]) {
        let Err(problem) = parse::<T>(&Bytes::copy_from_slice(data)) else { return };
        let document = serde_json::to_value(problem).unwrap_or_default();
        assert!(document.get("detail").is_some_and(|detail| detail != ""), "{document}");
        assert!(document.get("status").is_some_and(|status| status == 400 || status == 422));
    }
    match kind % 9 {
        0 => read::<NewCustomer>(data),
        1 => read::<CustomerPatch>(data),
        2 => read::<NewKey>(data),
        3 => read::<KeyPatch>(data),
        4 => read::<RotateInput>(data),
        5 => read::<SubscriptionInput>(data),
        6 => read::<ApplicationInput>(data),
        7 => read::<GrantInput>(data),
        _ => read::<AdjustmentInput>(data),
    }
}
