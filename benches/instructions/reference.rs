//! The reference, and what is said about counts that differ from it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A count that is so many percent above its reference fails; one that is as much below is told.
const PERCENT: u64 = 5;

/// What stands above the counts.
const HEADING: &str = "\
# Instructions that one round of each scenario takes, as `scripts/instructions --set` wrote them.
";

const HOW_TO_SET: &str = "scripts/instructions --set";

/// Instructions of each scenario, and what they depend on beside the code.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) made_with: MadeWith,
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What makes counts differ while the code is the same.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeWith {
    rustc: String,
    libc: String,
    processor: String,
}

/// Names what code chooses its instructions by when it runs: the digest of a key and the checksum of a
/// record among others. Valgrind shows what it knows itself of the machine's processor, so this is the
/// same on most of them; the digest's own instructions it does not know.
pub(crate) fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
        ("sha", std::arch::is_x86_feature_detected!("sha")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features = [("", false); 0];
    let has = features.into_iter().filter(|(_, has)| *has).map(|(name, _)| name);
    [std::env::consts::ARCH].into_iter().chain(has).collect::<Vec<_>>().join(" ")
}

impl MadeWith {
    /// Asks the programs of this machine.
    pub(crate) fn now(processor: &str) -> anyhow::Result<Self> {
        Ok(Self {
            rustc: said_by("rustc", "--version")?,
            // Where there is no glibc the word is another, and no counts are held against glibc's.
            libc: said_by("getconf", "GNU_LIBC_VERSION").unwrap_or_else(|_| "another".to_owned()),
            processor: processor.to_owned(),
        })
    }
}

impl fmt::Display for MadeWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, libc, processor } = self;
        write!(f, "{rustc}; {libc}; {processor}")
    }
}

fn said_by(program: &str, argument: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    anyhow::ensure!(output.status.success(), "{program} {argument} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/reference.toml")
}

impl Counts {
    /// Reads the reference.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(path())
            .with_context(|| format!("there is no reference; make one by {HOW_TO_SET}"))?;
        toml::from_str(&text)
            .with_context(|| format!("the reference is damaged; make a new one by {HOW_TO_SET}"))
    }

    /// Makes these the reference.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        fs::write(path(), format!("{HEADING}\n{}", toml::to_string(self)?))?;
        println!("{} is written; commit it with the reason.", path().display());
        Ok(())
    }

    /// Prints how these compare with the reference, and tells whether they hold against it.
    pub(crate) fn hold(&self, reference: &Self) -> bool {
        let mut verdicts = Vec::new();
        println!("{:<12} {:>12} {:>10}", "", "instructions", "reference");
        for (name, count) in &self.instructions {
            let known = reference.instructions.get(name).copied();
            let verdict = Verdict::of(*count, known);
            let known = known.map_or_else(|| "none".to_owned(), |known| known.to_string());
            println!("{name:<12} {count:>12} {known:>10}  {}", verdict.words());
            verdicts.push(verdict);
        }
        let holds = !verdicts.contains(&Verdict::Above) && !verdicts.contains(&Verdict::New);
        if self.made_with != reference.made_with {
            println!(
                "Counts also change with the compiler, the C library and the processor. The reference \
                 is of others, so nothing fails here:\n  reference: {}\n  here:      {}",
                reference.made_with, self.made_with
            );
            return true;
        }
        if !holds || verdicts.contains(&Verdict::Below) {
            println!(
                "Where a difference is meant, {HOW_TO_SET} makes these counts the reference; commit \
                 it with the reason."
            );
        }
        holds
    }
}

/// What is to be said about a count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Above,
    Below,
    New,
    Same,
}

impl Verdict {
    fn of(count: u64, known: Option<u64>) -> Self {
        match known {
            None => Self::New,
            Some(known) if count * 100 > known * (100 + PERCENT) => Self::Above,
            Some(known) if count * 100 < known * (100 - PERCENT) => Self::Below,
            Some(_) => Self::Same,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Above => format!("more than {PERCENT} % above it"),
            Self::Below => format!("more than {PERCENT} % below it"),
            Self::New => "without a reference".to_owned(),
            Self::Same => String::new(),
        }
    }
}
