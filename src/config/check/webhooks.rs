//! `[webhooks]`: where events are told, what they are signed with, and which of them there are.

use std::{path::Path, sync::Arc, time::Duration};

use super::number::within;
use crate::{
    config::{
        Webhooks,
        file::{Field, Receiver, Spanned, WebhooksTable},
        report::{Problem, Problems, Span},
        secret::SecretSource,
    },
    webhooks::{Endpoint, EndpointId, Secrets, SigningSecret, Target, Trust},
};

/// How many thresholds there may be.
const THRESHOLDS_MAX: usize = 10;

/// The longest time before an end. What was told is kept for as long, so that it is told once.
const AHEAD_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Checks `[webhooks]`.
pub(super) fn check(
    field: &Field<WebhooksTable>,
    directory: &Path,
    problems: &mut Problems,
) -> Webhooks {
    let default = Webhooks::default();
    let Some(table) = field.value() else { return default };
    let WebhooksTable { span, url, secret, previous_secret, thresholds, ahead } = table;
    let target = check_url(url, *span, problems);
    let missing = || {
        Problem::error(*span, "`[webhooks]` has no `secret`").help(
            "write secret = { env = \"FAREGATE_WEBHOOK_SECRET\" }; a secret is `whsec_` and \
             base64, such as from `echo whsec_$(openssl rand -base64 32)`",
        )
    };
    let secret = secret.required(problems, missing);
    let secret = secret.and_then(|secret| check_secret(secret, directory, problems));
    let previous = previous_secret.given();
    let previous = previous.and_then(|previous| check_secret(previous, directory, problems));
    let endpoint = target.zip(secret).and_then(|(target, secret)| {
        let secrets = [Some(secret), previous].into_iter().flatten().collect();
        let secrets = Secrets::new(secrets).ok()?;
        Some(Arc::new(Endpoint { id: EndpointId("".into()), target, secrets }))
    });
    Webhooks {
        endpoint,
        thresholds: check_thresholds(thresholds, problems).unwrap_or(default.thresholds),
        ahead: check_ahead(ahead, problems).unwrap_or(default.ahead),
    }
}

fn check_url(url: &Field<Receiver>, table: Span, problems: &mut Problems) -> Option<Target> {
    let missing = || {
        Problem::error(table, "`[webhooks]` has no `url`")
            .help("write url = \"https://…\", where the events are received")
    };
    let Spanned { value: Receiver(text), span } = url.required(problems, missing)?;
    match Target::parse(text, Trust::Operator) {
        Ok(target) => {
            if !target.is_https() && !target.is_loopback() {
                let message = "events go over http, where others on the way can read them";
                let help = "write https://…";
                problems.add(Problem::warning(*span, message).help(help).hidden());
            }
            Some(target)
        }
        Err(error) => {
            let text = error.to_string();
            let (message, help) = match text.split_once("; ") {
                Some((message, help)) => (message, help),
                None => (&*text, "write a whole URL, such as https://HOST/PATH"),
            };
            problems.add(Problem::error(*span, message).help(help).hidden());
            None
        }
    }
}

/// Reads a secret. What is wrong with one is told without repeating it.
fn check_secret(
    source: &Spanned<SecretSource>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<SigningSecret> {
    let secret = source.value.read(source.span, directory, problems)?;
    SigningSecret::parse(&secret)
        .map_err(|error| {
            let text = error.to_string();
            let (message, help) = text.split_once("; ").unwrap_or((&text, "copy the whole of it"));
            problems.add(Problem::error(source.span, message).help(help));
        })
        .ok()
}

fn check_thresholds(
    field: &Field<Vec<Spanned<i64>>>,
    problems: &mut Problems,
) -> Option<Arc<[u8]>> {
    let Spanned { value: list, span } = field.given()?;
    if list.len() > THRESHOLDS_MAX {
        let message = format!("{} thresholds are too many", list.len());
        let help = format!("write at most {THRESHOLDS_MAX}");
        problems.add(Problem::error(*span, message).help(help));
    }
    let mut checked: Vec<u8> = Vec::new();
    for given in list {
        let Some(percent) = within(given, 1..=100, problems) else { continue };
        if checked.last().is_some_and(|last| *last >= percent) {
            let message = format!("{percent} stands behind {}", checked.last().unwrap_or(&0));
            let help = "write the thresholds in percent, from the lowest to the highest, each once";
            problems.add(Problem::error(given.span, message).help(help));
            continue;
        }
        checked.push(percent);
    }
    Some(checked.into())
}

fn check_ahead(field: &Field<Duration>, problems: &mut Problems) -> Option<Duration> {
    let Spanned { value, span } = field.given()?;
    if *value > AHEAD_MAX {
        let message = "the time before an end is out of range";
        problems.add(Problem::error(*span, message).help("it is from \"0s\" to \"30d\""));
    }
    Some(*value)
}
