//! `faregate log`: which of its own messages a running gateway writes.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{
    admin::{Call, Remote},
    input::WrongUsage,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  faregate log\n  faregate log debug\n  \
                        faregate log info,faregate::journal=debug --reason 'slow disk'")]
pub(super) struct Log {
    /// The level to set: off, error, warn, info, debug, trace, or levels by module; without one it is
    /// shown. It lasts until a restart, or until the file has another level
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    /// Why; it is kept in the audit
    #[arg(long, value_name = "TEXT", requires = "level")]
    reason: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Log {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let call = self.call()?;
        self.remote.show(&call, state)
    }

    fn call(&self) -> Result<Call, WrongUsage> {
        let Some(level) = &self.level else { return Ok(Call::get(&["log"])) };
        // Told here, so that no gateway is needed to see what is wrong.
        crate::telemetry::level::Level::parse(level).map_err(|bad| WrongUsage(bad.to_string()))?;
        let body = match &self.reason {
            Some(reason) => json!({"level": level, "reason": reason}),
            None => json!({"level": level}),
        };
        Ok(Call::put(&["log"], body))
    }
}

fn state(document: &Value) -> String {
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let (level, configured) = (text("level"), text("configured"));
    if level == configured {
        return format!("{level}\n");
    }
    format!("{level} (the file has {configured})\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(level: Option<&str>, reason: Option<&str>) -> Log {
        let own = |text: &str| text.to_owned();
        Log { level: level.map(own), reason: reason.map(own), remote: Remote::default() }
    }

    #[test]
    fn level_is_sent_with_its_reason() {
        let call = log(Some("debug"), Some("why")).call().unwrap();
        assert_eq!(call.line(), "PUT /v1/log");
        assert_eq!(call.document(), json!({"level": "debug", "reason": "why"}));
        assert_eq!(log(None, None).call().unwrap().line(), "GET /v1/log");
        let wrong = log(Some("loud"), None).call().unwrap_err();
        assert!(wrong.to_string().contains("`loud` is no level"), "{wrong}");
    }

    #[test]
    fn file_is_named_where_it_differs() {
        assert_eq!(state(&json!({"level": "info", "configured": "info"})), "info\n");
        let differs = json!({"level": "debug", "configured": "info"});
        assert_eq!(state(&differs), "debug (the file has info)\n");
    }
}
