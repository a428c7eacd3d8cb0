//! `check --online`: whether those who settle payments agree with what the file says of them.
//!
//! What they cannot know, such as whose wallet is paid, nobody is asked.

use std::sync::Arc;

use super::{
    Config,
    file::{Facilitators, File, X402Table},
    report::{Problem, Problems, Span},
    wording::{list, quote},
};
use crate::{
    clock::Clock,
    outgoing::{Resolver, Roots, SystemResolver},
    pay::x402::{
        Address, Terms,
        facilitator::{Facilitator, Inquiry, Kind, Tried, Unsaid},
    },
};

/// A token that many are paid in, as its contract says it.
struct Token {
    chain: u64,
    asset: &'static str,
    name: &'static str,
    version: &'static str,
}

/// USDC, as its issuer lists it. Its name is not the same everywhere.
const USDC: [Token; 7] = [
    token(1, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "USD Coin"),
    token(137, "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359", "USD Coin"),
    token(8453, "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USD Coin"),
    token(42161, "0xaf88d065e77c8cc2239327c5edb3a432268e5831", "USD Coin"),
    token(43113, "0x5425890298aed601595a70ab815c96711a31bc65", "USD Coin"),
    token(43114, "0xb97ef9ef8734c71904d8002f8b6bc66dd9c48a6e", "USD Coin"),
    token(84532, "0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC"),
];

const fn token(chain: u64, asset: &'static str, name: &'static str) -> Token {
    Token { chain, asset, name, version: "2" }
}

/// Asks, and adds what does not agree.
pub(super) fn check(file: &File, config: &Config, problems: &mut Problems) {
    let payments = file.payments.value().and_then(|payments| payments.x402.value());
    let (Some(table), Some(terms)) = (payments, &config.x402) else { return };
    let places = Places::of(table);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver);
    let (Ok(runtime), Ok(asking)) = (runtime, Facilitator::new(&resolver, &Roots::System)) else {
        let message = "the facilitators cannot be asked from here";
        return problems.add(Problem::error(table.span, message));
    };
    check_token(terms, &places, problems);
    let now = Clock::system().now();
    let mut is_settled = false;
    for (service, span) in terms.facilitators.iter().zip(&places.facilitators) {
        let inquiry = runtime.block_on(asking.inquire(terms, service, now));
        is_settled |= check_one(&inquiry, terms, *span, &places, problems);
    }
    if !is_settled && !problems.has_errors() {
        let message = format!("nobody settles payments on {}", quote(&terms.network()));
        let help = "name a facilitator that does, or a network that one of these settles on";
        problems.add(Problem::error(places.network, message).help(help));
    }
}

/// Where what does not agree stands.
struct Places {
    facilitators: Vec<Span>,
    network: Span,
    asset: Span,
    asset_name: Span,
    asset_version: Span,
    method: Span,
    v1: Span,
}

impl Places {
    fn of(table: &X402Table) -> Self {
        let place = |span: Option<Span>| span.unwrap_or(table.span);
        let facilitators = table.facilitator.value();
        let urls = facilitators.iter().flat_map(|Facilitators(urls)| urls);
        Self {
            facilitators: urls.map(|url| url.span).collect(),
            network: place(table.network.span()),
            asset: place(table.asset.span()),
            asset_name: place(table.asset_name.span()),
            asset_version: place(table.asset_version.span()),
            method: place(table.asset_transfer_method.span()),
            v1: place(table.v1.span()),
        }
    }
}

/// Compares the token with one that is known.
fn check_token(terms: &Terms, places: &Places, problems: &mut Problems) {
    let is_same = |token: &&Token| Address::parse(token.asset) == Some(terms.asset);
    let Some(token) = USDC.iter().find(is_same) else { return };
    if token.chain != terms.chain {
        let message = format!("this is the address of USDC on `eip155:{}`", token.chain);
        let here = USDC.iter().find(|token| token.chain == terms.chain);
        let help = match here {
            Some(Token { asset, .. }) => format!("write asset = \"{asset}\" for USDC on this one"),
            None => "write the token's address on the network that is configured".to_owned(),
        };
        return problems.add(Problem::error(places.asset, message).help(help));
    }
    for (span, key, given, said) in [
        (places.asset_name, "asset_name", &terms.asset_name, token.name),
        (places.asset_version, "asset_version", &terms.asset_version, token.version),
    ] {
        if given != said {
            let message = format!("USDC says {} there on this network", quote(said));
            problems.add(Problem::error(span, message).help(format!("write {key} = \"{said}\"")));
        }
    }
}

/// Tells whether one settles such payments, and adds what does not agree.
fn check_one(
    inquiry: &Inquiry,
    terms: &Terms,
    span: Span,
    places: &Places,
    problems: &mut Problems,
) -> bool {
    let kinds = match &inquiry.kinds {
        Ok(kinds) => kinds,
        Err(unsaid) => {
            problems.add(unsaid_problem(unsaid, span).hidden());
            return false;
        }
    };
    let wanted = kind(2, &terms.network());
    let is_settled = kinds.iter().any(|kind| kind.covers(&wanted));
    if !is_settled {
        let message = format!("this facilitator does not settle on {}", quote(&wanted.network));
        let help = format!("it settles on: {}", settled_on(kinds, wanted.version));
        let is_only = terms.facilitators.len() == 1;
        let problem = match is_only {
            true => Problem::error(places.network, message),
            false => Problem::warning(span, message).hidden(),
        };
        problems.add(problem.help(help));
        return false;
    }
    if let Some(name) =
        terms.v1.filter(|name| !kinds.iter().any(|told| told.covers(&kind(1, name))))
    {
        let message = format!("this facilitator does not settle {} in version 1", quote(name));
        let help = format!("leave out `v1`; in version 1 it settles on: {}", settled_on(kinds, 1));
        problems.add(Problem::error(places.v1, message).help(help));
    }
    if let Some(problem) = tried_problem(&inquiry.tried, terms, span, places) {
        problems.add(problem);
    }
    true
}

fn kind(version: u64, network: &str) -> Kind {
    Kind { version, scheme: "exact".to_owned(), network: network.to_owned() }
}

fn settled_on(kinds: &[Kind], version: u64) -> String {
    let kinds = kinds.iter().filter(|kind| kind.version == version && kind.scheme == "exact");
    let names: Vec<&str> = kinds.map(|kind| kind.network.as_str()).collect();
    if names.is_empty() { "nothing".to_owned() } else { list(&names) }
}

/// What the URL is is not repeated: it may hold a secret.
fn unsaid_problem(unsaid: &Unsaid, span: Span) -> Problem {
    let (message, help) = match unsaid {
        Unsaid::Fault(fault) => (
            format!("the facilitator cannot be asked: {fault}"),
            "see that the URL is right and can be reached from here",
        ),
        Unsaid::Key => (
            "the facilitator asks for a key".to_owned(),
            "name one that is open to this machine; no key is sent to it",
        ),
        Unsaid::Nothing(status) => (
            format!("the facilitator does not say what it settles, but {}", status.as_u16()),
            "write the URL that its /supported, /verify and /settle stand behind",
        ),
    };
    Problem::error(span, message).help(help)
}

/// Tells what is wrong with a payment that was made as the file says. That nobody can pay it is as it should be.
fn tried_problem(tried: &Tried, terms: &Terms, span: Span, places: &Places) -> Option<Problem> {
    let reason = match tried {
        Tried::Good => return None,
        Tried::Invalid(reason) => reason.as_str(),
        Tried::Nothing => {
            let message = "the facilitator does not answer whether a payment is good";
            let help = "see that the URL is right: /verify stands behind it";
            return Some(Problem::error(span, message).help(help).hidden());
        }
    };
    let error = |span, message: &str, help: &str| Some(Problem::error(span, message).help(help));
    let is_said = "write what the token's contract says (EIP-712), such as by its functions name() and version()";
    match reason {
        "asset_not_deployed_contract" => {
            let message = format!("there is no contract at this address on {}", terms.network());
            error(places.asset, &message, "write the token's address on this network")
        }
        "invalid_exact_evm_eip3009_not_supported" => error(
            places.asset,
            "the token takes no signed orders (EIP-3009)",
            "write asset_transfer_method = \"permit2\", or name another token",
        ),
        "invalid_exact_evm_token_name_mismatch" => {
            error(places.asset_name, "the token has another name", is_said)
        }
        "invalid_exact_evm_token_version_mismatch" => {
            error(places.asset_version, "the token has another version", is_said)
        }
        "invalid_exact_evm_signature" | "invalid_exact_evm_payload_signature" => {
            error(places.asset_name, "no signature is good with this name and version", is_said)
        }
        "permit2_proxy_not_deployed" => error(
            places.method,
            "the contract that Permit2 pays through is not on this network",
            "leave out `asset_transfer_method`, or name another network",
        ),
        "invalid_network" | "invalid_exact_evm_network_mismatch" => error(
            places.network,
            "the facilitator takes no payments on this network",
            "name another network, or another facilitator",
        ),
        _ if EXPECTED.contains(&reason) => None,
        other => {
            let message =
                format!("of a payment that tries it the facilitator says {}", quote(other));
            let help = "ask whoever runs it what that means; payments may be refused for it";
            Some(Problem::warning(span, message).help(help).hidden())
        }
    }
}

/// What is said of a good order by a wallet that has nothing.
const EXPECTED: [&str; 7] = [
    "insufficient_funds",
    "invalid_exact_evm_insufficient_balance",
    "invalid_exact_evm_transaction_simulation_failed",
    "permit2_allowance_required",
    "permit2_insufficient_balance",
    "permit2_simulation_failed",
    "unexpected_verify_error",
];
