//! Runs this program once more, under Valgrind, and reads what it counted.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use anyhow::{Context, bail};

use crate::{
    reference::{Counts, MadeWith},
    scenarios::{NAMES, ROUNDS},
};

/// The argument by which this program learns that it is under Valgrind.
pub(crate) const RUN: &str = "--run";

/// The function in which instructions are counted, as Valgrind sees its name.
const COUNTED: &str = "instructions::scenarios::counted";

/// How many runs there are. Of each scenario the count in the middle is taken: in a few runs the heap
/// comes to lie in another way, and growing a buffer copies it where it otherwise does not.
const RUNS: usize = 5;

/// Counts every scenario.
pub(crate) fn count() -> anyhow::Result<Counts> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut processor = String::new();
    for _ in 0..RUNS {
        let directory = tempfile::tempdir()?;
        let dump = directory.path().join("dump");
        processor = run(&dump)?;
        for (name, number) in NAMES.iter().zip(1..) {
            let count = total(&dump, number)? / ROUNDS;
            found.entry((*name).to_owned()).or_default().push(count);
        }
    }
    let middle = |mut counts: Vec<u64>| *counts.select_nth_unstable(RUNS / 2).1;
    let instructions = found.into_iter().map(|(name, counts)| (name, middle(counts))).collect();
    Ok(Counts { made_with: MadeWith::now(&processor)?, instructions })
}

/// Runs every scenario once; gives the processor that it saw.
fn run(dump: &Path) -> anyhow::Result<String> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", dump.display()))
        .arg(env::current_exe()?)
        .arg(RUN)
        // The length of what stands in the environment moves the stack, and with it some counts.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let output = valgrind.output().context("valgrind cannot be run; install it")?;
    if !output.status.success() {
        bail!("the run under valgrind failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Reads the sum that one call of the counted function came to.
fn total(dump: &Path, number: u32) -> anyhow::Result<u64> {
    let path = dump.with_extension(number.to_string());
    let text = fs::read_to_string(&path)
        .with_context(|| format!("valgrind did not see the function {COUNTED}"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.with_context(|| format!("{} has no line `totals:`", path.display()))?;
    Ok(total.trim().parse()?)
}
