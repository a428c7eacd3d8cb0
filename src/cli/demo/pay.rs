//! A call that is paid for as it is made: a chain of its own with a token on it, the stock facilitator of x402, and the
//! stock client as the payer.
//!
//! They are the programs of the tests with other software, brought along here, and need Node.js and packages of npm,
//! which are put into the user's cache. They end with the demo: their input does.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

/// The programs, by the names of their files.
const PROGRAMS: [(&str, &str); 4] = [
    ("contracts.sol", include_str!("../../../tests/interop/programs/contracts.sol")),
    ("pay_chain.cjs", include_str!("../../../tests/interop/programs/pay_chain.cjs")),
    ("pay_demo.cjs", include_str!("../../../tests/interop/programs/pay_demo.cjs")),
    ("token.sol", include_str!("../../../tests/interop/programs/token.sol")),
];

/// The packages of all tests with other software.
const PACKAGES: &str = include_str!("../../../tests/interop/package.json");

/// Those that are of use here.
const NEEDED: [&str; 6] =
    ["@foundry-rs/anvil", "@x402/core", "@x402/evm", "@x402/fetch", "solc", "viem"];

/// The file that tells which packages are there.
const INSTALLED: &str = "installed.json";

/// How long the chain is waited for.
const START: Duration = Duration::from_secs(60);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The programs, with the packages that they need.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
}

/// A chain that runs, with who settles payments on it. It ends when dropped.
#[derive(Debug)]
pub(super) struct Chain {
    directory: PathBuf,
    child: Child,
    url: String,
    terms: Terms,
}

/// What is paid with, and who is paid.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) network: String,
    pub(super) asset: String,
    pub(super) pay_to: String,
}

impl Programs {
    /// Puts them where they run, with their packages, unless those are there.
    pub(super) fn install() -> anyhow::Result<Self> {
        for program in ["node", "npm"] {
            let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            if !found.is_ok_and(|status| status.success()) {
                bail!(
                    "`{program}` is missing, which --pay needs for the wallet and the chain; \
                     install Node.js 20 or later with npm, or leave out --pay"
                );
            }
        }
        let directory = cache()?.join("faregate").join("demo-pay");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let wanted = packages()?;
        if fs::read_to_string(directory.join(INSTALLED)).is_ok_and(|there| there == wanted) {
            return Self::written(directory);
        }
        write(&directory, "package.json", &wanted)?;
        super::print(&format!(
            "Installing packages of npm into {}, once, some 150 MB:\n{wanted}\n",
            directory.display()
        ))?;
        let options = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"];
        let installed = Command::new("npm").args(options).current_dir(&directory).status();
        if !installed.context("npm cannot be run")?.success() {
            bail!("npm could not install the packages; see what it says above");
        }
        // Last, so that what was broken off is done again.
        write(&directory, INSTALLED, &wanted)?;
        Self::written(directory)
    }

    fn written(directory: PathBuf) -> anyhow::Result<Self> {
        PROGRAMS.iter().try_for_each(|(name, text)| write(&directory, name, text))?;
        Ok(Self { directory })
    }

    /// Starts the chain, and waits until there is money on it.
    pub(super) fn start(self) -> anyhow::Result<Chain> {
        let Self { directory } = self;
        super::print("Starting a chain, a token on it, and who settles payments …\n")?;
        let (port, chain_port) = (free_port()?, free_port()?);
        let child = Command::new("node")
            .arg("pay_chain.cjs")
            .args([port.to_string(), chain_port.to_string(), "fed".to_owned()])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("node cannot be run")?;
        let terms = Terms { network: String::new(), asset: String::new(), pay_to: String::new() };
        let url = format!("http://127.0.0.1:{port}");
        // From here on its drop ends the child.
        let mut chain = Chain { directory, child, url, terms };
        for _ in 0..START.as_millis() / LOOK.as_millis() {
            if let Some(status) = chain.child.try_wait().context("the chain is lost")? {
                bail!("the chain has ended, {status}; see what it says above");
            }
            if let Some(terms) = ask_terms(port) {
                chain.terms = terms;
                return Ok(chain);
            }
            std::thread::sleep(LOOK);
        }
        bail!("the chain has not started within {} s", START.as_secs())
    }
}

impl Chain {
    /// Gives where payments are settled.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Gives what is paid with.
    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Has a call paid for, and gives what is to be told of that, and who paid.
    pub(super) fn pay(&self, gateway: &str) -> anyhow::Result<(String, String)> {
        let paid = Command::new("node")
            .arg("pay_demo.cjs")
            .args([&format!("{gateway}/paid/v1/stats?numbers=3,4,5"), &self.url])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("node cannot be run")?;
        let told = String::from_utf8_lossy(&paid.stdout);
        if !paid.status.success() {
            bail!("the call was not paid for:\n{told}");
        }
        let payer = told.split_once("the payer ").and_then(|(_, rest)| rest.split(' ').next());
        let payer = payer.unwrap_or_default().to_owned();
        Ok((told.into_owned(), payer))
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // The end of its input is its end; it takes the chain with it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn cache() -> anyhow::Result<PathBuf> {
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || given("HOME").map(|home| home.join(".cache"));
    given("XDG_CACHE_HOME")
        .or_else(home)
        .ok_or_else(|| anyhow!("there is no place for packages; set HOME or XDG_CACHE_HOME"))
}

/// Writes the list of packages for npm.
fn packages() -> anyhow::Result<String> {
    let mut list: Value = serde_json::from_str(PACKAGES)?;
    if let Some(packages) = list.get_mut("dependencies").and_then(Value::as_object_mut) {
        packages.retain(|name, _| NEEDED.contains(&name.as_str()));
    }
    Ok(serde_json::to_string_pretty(&list)?)
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Asks what is paid with; `None` while nobody answers.
fn ask_terms(port: u16) -> Option<Terms> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LOOK).ok()?;
    stream.set_read_timeout(Some(START)).ok()?;
    stream.write_all(b"GET /terms HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let terms: Value = serde_json::from_str(body).ok()?;
    let text = |name: &str| terms.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Terms { network: text("network")?, asset: text("asset")?, pay_to: text("payTo")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_of_the_tests_that_are_needed() {
        let list: Value = serde_json::from_str(&packages().unwrap()).unwrap();
        let packages = list["dependencies"].as_object().unwrap();
        assert_eq!(packages.keys().map(String::as_str).collect::<Vec<_>>(), NEEDED);
        assert!(packages.values().all(|version| !version.as_str().unwrap().contains('^')));
    }
}
