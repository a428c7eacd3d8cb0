//! Texts that are no usual names come back as they were, and are nothing but texts to SQL.

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "[\\x00'\"%_;\\-\\\\ ]{0,12}",
        Just("'; DROP TABLE customers; --".to_owned()),
        Just("\0".to_owned()),
        Just("a\0b".to_owned()),
        Just("🦀\u{202e}é\u{301}".to_owned()),
        Just("%".to_owned()),
        Just("x".repeat(Place::LONG)),
        Just("'".repeat(Place::LONG)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(Place::CASES / 2))]

    #[test]
    fn records_come_back_as_they_were(
        ids in proptest::collection::btree_set(text(), 2..4),
        other in text(),
        value in text(),
    ) {
        let mut place = Place::new();
        let ids: Vec<_> = ids.into_iter().collect();
        let customers: Vec<_> = ids.iter().map(|id| CustomerRecord {
            name: Some(value.clone()),
            metadata: BTreeMap::from([(other.clone(), value.clone())]),
            webhook: Some(WebhookRecord {
                url: other.clone(),
                secret: value.clone(),
                disabled: Some(other.clone()),
            }),
            ..customer(id)
        }).collect();
        let keys: Vec<_> = ids.iter().map(|id| KeyRecord {
            application: Some(other.clone()),
            hint: Some(value.clone()),
            scopes: vec![value.clone(), other.clone()],
            replaced_by: Some(other.clone()),
            ..key(id, &other)
        }).collect();
        let event = EventRecord {
            id: other.clone(),
            endpoint: value.clone(),
            customer: ids[0].clone(),
            kind: other.clone(),
            body: value.clone(),
            at: at(1),
            mark: Some(value.clone()),
        };
        let window = Window { start: at(0), end: None };
        let account = AccountKey { customer: &ids[0], scope: &other, quota: &value, window };
        let is_new = place.write(|records| {
            customers.iter().try_for_each(|customer| records.put_customer(customer))?;
            keys.iter().try_for_each(|key| records.put_key(key))?;
            records.put_setting(&other, &value)?;
            records.add_used(Timestamp::UNIX_EPOCH, &account, 5, (crate::store::records::EntryKind::Corrected, None))?;
            records.put_event(&event)?;
            records.put_event(&event)
        }).unwrap();
        prop_assert!(!is_new);
        let reads = place.store.reads();
        for (customer, key) in customers.iter().zip(&keys) {
            prop_assert_eq!(&reads.customer(&customer.id).unwrap().unwrap(), customer);
            prop_assert_eq!(&reads.key(&key.id).unwrap().unwrap(), key);
            prop_assert_eq!(&reads.key_by_digest(&key.digest).unwrap().unwrap(), key);
        }
        prop_assert_eq!(reads.keys_of(&other, None, 9).unwrap(), keys);
        let page = reads.customers(Some(&ids[0]), 9).unwrap();
        let page: Vec<_> = page.into_iter().map(|(customer, _)| customer).collect();
        prop_assert_eq!(page, &customers[1..]);
        prop_assert_eq!(reads.setting(&other).unwrap(), Some(value.clone()));
        prop_assert_eq!(reads.used(&account).unwrap(), 5);
        prop_assert_eq!(&reads.deliveries(None, None, 9).unwrap()[0].event, &event);
        drop(reads);
        let gone = &ids[0];
        place.write(|records| records.delete_customer(gone, gone, &format!("{gone}-"))).unwrap();
        prop_assert_eq!(place.store.reads().customers(None, 9).unwrap().len(), ids.len() - 1);
    }
}
