//! Routes that would take the same requests.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::claim::Claim;
use crate::{
    config::report::{Problem, Problems},
    model::Methods,
};

/// Reports overlaps, and gives each claim's methods with the HEAD that GET implies, unless another
/// route lists HEAD itself. A claim that overlaps an earlier one has none; one that is wrong in
/// itself takes no part.
pub(super) fn resolve(claims: &[Option<Claim>], problems: &mut Problems) -> Vec<Option<Methods>> {
    let mut rivals: HashMap<(&Option<Arc<str>>, &str), Vec<&Claim>> = HashMap::new();
    let mut admitted: Vec<Option<&Claim>> = Vec::new();
    for claim in claims {
        let Some(claim) = claim else {
            admitted.push(None);
            continue;
        };
        let same = rivals.entry((&claim.host, &claim.shape)).or_default();
        let overlap = same.iter().find_map(|other| {
            common(&claim.methods, &other.methods).map(|common| (*other, common))
        });
        if let Some((other, common)) = &overlap {
            problems.add(overlap_problem(claim, other, common));
        }
        admitted.push(overlap.is_none().then_some(claim));
        same.push(claim);
    }
    let with_head = |claim: &Claim| {
        let same = rivals.get(&(&claim.host, claim.shape.as_str())).map_or(&[][..], Vec::as_slice);
        with_implied_head(claim, same)
    };
    admitted.into_iter().map(|claim| claim.map(with_head)).collect()
}

fn overlap_problem(claim: &Claim, other: &Claim, common: &Common) -> Problem {
    let message = match common {
        Common::Every => "two routes take the same requests".to_owned(),
        Common::One(method) => format!("two routes take the same {method} requests"),
    };
    Problem::error(claim.span, message)
        .related(other.span, "the other route")
        .help("give them different paths, hosts or methods")
}

/// What two routes have in common.
enum Common {
    Every,
    One(Method),
}

fn common(a: &Methods, b: &Methods) -> Option<Common> {
    match (a, b) {
        (Methods::Any, Methods::Any) => Some(Common::Every),
        (Methods::Any, Methods::Only(listed)) | (Methods::Only(listed), Methods::Any) => {
            listed.first().cloned().map(Common::One)
        }
        (Methods::Only(a), Methods::Only(b)) => {
            a.iter().find(|method| b.contains(method)).cloned().map(Common::One)
        }
    }
}

fn with_implied_head(claim: &Claim, same: &[&Claim]) -> Methods {
    let Methods::Only(listed) = &claim.methods else { return Methods::Any };
    let mut methods = listed.clone();
    let is_taken = same.iter().any(|other| match &other.methods {
        Methods::Any => false,
        Methods::Only(listed) => listed.contains(&Method::HEAD),
    });
    if methods.contains(&Method::GET) && !is_taken {
        methods.push(Method::HEAD);
    }
    Methods::Only(methods)
}
