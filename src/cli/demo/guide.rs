//! What the demo prints: where everything is, and lines for a shell with what each one gives.

use std::{
    borrow::Cow,
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::cli::demo::{
    config::{
        CONCURRENCY, HASTY, LAPSED, LARGE, RATE_SECONDS, REPORT_COST, SMALL, SMALL_LIMIT, SUSPENDED,
    },
    state::Keys,
};

/// What must be known to write the lines.
#[derive(Debug)]
pub(super) struct Guide {
    /// How the gateway is reached.
    pub(super) url: String,
    /// How its admin listener is reached.
    pub(super) admin_url: String,
    /// How the sample API is reached.
    pub(super) sample_url: String,
    /// The configuration.
    pub(super) file: PathBuf,
    /// The admin token.
    pub(super) token_file: PathBuf,
    /// This program.
    pub(super) program: PathBuf,
    /// Whether the state goes away at the end.
    pub(super) is_temporary: bool,
    /// Whether the configuration says where the admin listener is: not with port 0.
    pub(super) admin_by_config: bool,
    /// Units that the small customer has left.
    pub(super) units_left: u64,
    /// The customers' keys.
    pub(super) keys: Keys,
}

/// A line for a shell.
#[derive(Debug)]
pub(super) struct Step {
    /// The statuses it gives in order, for one refusal its code, then what it shows.
    pub(super) expect: String,
    /// The line.
    pub(super) command: String,
}

impl Guide {
    /// Gives the whole text.
    pub(super) fn text(&self) -> String {
        let kept =
            if self.is_temporary { "removed at the end; keep it with --state DIR" } else { "kept" };
        let directory = self.file.parent().unwrap_or(Path::new("")).display();
        let mut text = format!(
            "gateway        {}\n\
             admin          {}\n\
             sample API     {} (it checks no key; the gateway stands before it)\n\
             configuration  {}\n\
             state          {directory} ({kept})\n\
             \n\
             Paste these lines into another terminal, in order. Above each stands what it gives.\n\n",
            self.url,
            self.admin_url,
            self.sample_url,
            self.file.display(),
        );
        for Step { expect, command } in self.steps() {
            // Writing to a string cannot fail.
            let _ = write!(text, "# {expect}\n{command}\n\n");
        }
        text.push_str("Decisions as they are made; ctrl-C ends the demo:\n");
        text
    }

    /// Gives the lines, in the order in which they hold.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = self.served();
        steps.extend(self.refused());
        steps.extend(self.used_up());
        steps.extend(self.throttled());
        steps.extend(self.told());
        steps
    }

    fn served(&self) -> Vec<Step> {
        vec![
            step("200: a public route, no key needed, nothing counted", self.curl(None, "/status")),
            step(
                "200: see RateLimit-Policy, RateLimit and Faregate-Cost",
                self.curl(Some(LARGE), "/v1/stats?numbers=3,4,5"),
            ),
            step(
                "200: the same with a body",
                format!("{} --data '2 4 4 4 5 5 7 9'", self.curl(Some(LARGE), "/v1/stats")),
            ),
            step(
                format!("200: an expensive route, Faregate-Cost is {REPORT_COST}"),
                self.curl(Some(LARGE), "/v1/report?numbers=9,7,5,4"),
            ),
            step(
                "200: a stream, five events in a bit more than a second",
                self.curl(Some(LARGE), "/v1/stream").replacen("-si", "-siN", 1),
            ),
            step(
                "503: the API itself fails, which is passed on and not charged, Faregate-Cost is 0",
                self.curl(Some(LARGE), "/v1/fail?status=503"),
            ),
        ]
    }

    fn refused(&self) -> Vec<Step> {
        let path = "/v1/stats?numbers=3,4,5";
        vec![
            step("401 missing_api_key: without a key", self.curl(None, path)),
            step(
                "401 invalid_api_key: with a key that nobody was given",
                format!("curl -si -H 'X-API-Key: fg_test_nobody' '{}{path}'", self.url),
            ),
            step(
                format!("402 payment_overdue: {LAPSED} has not paid"),
                self.curl(Some(LAPSED), path),
            ),
            step(
                format!("402 plan_upgrade_required: the route is not in the plan of {SMALL}"),
                self.curl(Some(SMALL), "/v1/report?numbers=3,4,5"),
            ),
            step(
                "403 account_suspended: the operator has suspended this customer",
                self.curl(Some(SUSPENDED), path),
            ),
        ]
    }

    /// Uses up what is left of the small customer's units.
    fn used_up(&self) -> Vec<Step> {
        let path = "/v1/stats?numbers=3,4,5";
        let calls = usize::try_from(self.units_left).unwrap_or(0);
        let mut steps = Vec::new();
        if calls > 0 {
            let statuses = vec!["200"; calls].join(" ");
            let url = self.url("/v1/stats?numbers=3,4,5&call=");
            steps.push(step(
                format!("{statuses}: {SMALL} has {calls} of {SMALL_LIMIT} units left"),
                format!(
                    "curl -s -o /dev/null -w '%{{http_code}}\\n' {} '{url}[1-{calls}]'",
                    self.key(SMALL)
                ),
            ));
        }
        let text = format!("402 quota_exceeded: the {SMALL_LIMIT} units of {SMALL} are used up");
        steps.push(step(text, self.curl(Some(SMALL), path)));
        steps
    }

    fn throttled(&self) -> Vec<Step> {
        let path = "/v1/stats?numbers=3,4,5";
        let calls = CONCURRENCY.saturating_add(1);
        let served = vec!["200"; usize::try_from(CONCURRENCY).unwrap_or(0)].join(" ");
        let url = self.url("/v1/slow?seconds=1&call=");
        vec![
            step(
                format!("200: {HASTY} may call once in {RATE_SECONDS} seconds"),
                self.curl(Some(HASTY), path),
            ),
            step(
                "429 rate_limited: at once again, Retry-After says how long to wait",
                self.curl(Some(HASTY), path),
            ),
            step(
                format!(
                    "429 {served}: {calls} calls at once, of which {CONCURRENCY} may be in flight"
                ),
                format!(
                    "curl -Z --parallel-immediate --no-progress-meter -o /dev/null -w '%{{http_code}}\\n' {} '{url}[1-{calls}]'",
                    self.key(LARGE)
                ),
            ),
        ]
    }

    /// Gives a line that asks the gateway something as the operator.
    pub(super) fn operator(&self, command: &str) -> String {
        let admin = if self.admin_by_config {
            format!("--config {}", quoted(&self.file))
        } else {
            format!("--admin {} --token-file {}", self.admin_url, quoted(&self.token_file))
        };
        format!("{} {command} {admin}", quoted(&self.program))
    }

    fn told(&self) -> Vec<Step> {
        vec![
            step(
                format!("200: what {SMALL} has used, even when nothing is left"),
                self.curl(Some(SMALL), "/_faregate/usage"),
            ),
            step(
                "200: what a code means and what to do",
                self.curl(None, "/_faregate/problems/quota_exceeded"),
            ),
            step("the same usage, for the operator", self.operator(&format!("usage {SMALL}"))),
        ]
    }

    fn curl(&self, customer: Option<&str>, path: &str) -> String {
        let url = self.url(path);
        match customer {
            None => format!("curl -si '{url}'"),
            Some(customer) => format!("curl -si {} '{url}'", self.key(customer)),
        }
    }

    fn key(&self, customer: &str) -> String {
        let key = self.keys.get(customer).map_or("", String::as_str);
        format!("-H 'Authorization: Bearer {key}'")
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn step(expect: impl Into<String>, command: String) -> Step {
    Step { expect: expect.into(), command }
}

/// Writes a path as one word of a shell.
fn quoted(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answer::Code, cli::demo::config::CUSTOMERS};

    fn guide(units_left: u64) -> Guide {
        Guide {
            url: "http://127.0.0.1:8402".into(),
            admin_url: "http://127.0.0.1:8403".into(),
            sample_url: "http://127.0.0.1:9000".into(),
            file: "/state dir/demo.toml".into(),
            token_file: "/state dir/token".into(),
            program: "/bin/faregate".into(),
            is_temporary: true,
            admin_by_config: true,
            units_left,
            keys: CUSTOMERS.map(|name| (name.to_owned(), format!("key-{name}"))).into(),
        }
    }

    #[test]
    fn text_is_the_contract() {
        insta::assert_snapshot!(guide(SMALL_LIMIT).text());
    }

    #[test]
    fn used_up_units_are_not_promised() {
        let expected = |units| -> Vec<String> {
            guide(units).used_up().into_iter().map(|step| step.expect).collect()
        };
        let last = "402 quota_exceeded: the 5 units of acme are used up";
        assert_eq!(expected(0), [last]);
        assert_eq!(expected(2), ["200 200: acme has 2 of 5 units left", last]);
    }

    #[test]
    fn codes_stand_with_their_statuses() {
        for Step { expect, .. } in guide(SMALL_LIMIT).steps() {
            let words: Vec<&str> = expect.split(':').next().unwrap().split(' ').collect();
            if let [status, code] = words[..]
                && let Some(code) = Code::find(code)
            {
                assert_eq!(code.status().as_str(), status);
            }
        }
    }

    #[test]
    fn comments_are_harmless_to_shells_that_run_them() {
        // zsh, unless told otherwise, takes a typed comment for a command.
        for Step { expect, .. } in guide(SMALL_LIMIT).steps() {
            let harmless = |c: char| c.is_ascii_alphanumeric() || " ,:_-".contains(c);
            assert!(expect.chars().all(harmless), "{expect}");
        }
    }

    #[test]
    fn admin_is_found_with_any_port() {
        let mut guide = guide(SMALL_LIMIT);
        let usage = |guide: &Guide| guide.told().pop().unwrap().command;
        assert_eq!(usage(&guide), "/bin/faregate usage acme --config '/state dir/demo.toml'");
        guide.admin_by_config = false;
        let by_address = "--admin http://127.0.0.1:8403 --token-file '/state dir/token'";
        assert_eq!(usage(&guide), format!("/bin/faregate usage acme {by_address}"));
    }

    #[test]
    fn paths_are_one_word() {
        assert_eq!(quoted(Path::new("/a/b-c.toml")), "/a/b-c.toml");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
