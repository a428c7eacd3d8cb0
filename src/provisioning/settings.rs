//! The operator's switches.

use super::{Change, Effect, Rejection, valid::Errors};
use crate::telemetry::level::Level;

/// The setting that keeps whether refusals are enforced: `on` or `off`.
pub const ENFORCEMENT: &str = "enforcement";

impl Change<'_> {
    /// Turns enforcement on or off, for all routes and plans.
    pub fn set_enforcement(
        &mut self,
        enforce: bool,
        reason: Option<&str>,
    ) -> Result<(), Rejection> {
        let mut errors = Errors::default();
        if let Some(reason) = reason {
            errors.text("reason", reason);
        }
        errors.finish()?;
        let before = self.records.setting(ENFORCEMENT)?.as_deref() != Some("off");
        if before == enforce {
            return Ok(());
        }
        self.records.put_setting(ENFORCEMENT, if enforce { "on" } else { "off" })?;
        let before = serde_json::json!({ "enforce": before });
        let after = serde_json::json!({ "enforce": enforce, "reason": reason });
        let action = if enforce { "enforcement.on" } else { "enforcement.off" };
        self.audit(action, None, ENFORCEMENT, Some(&before), Some(&after))?;
        self.applied.effects.push(Effect::Enforce(enforce));
        Ok(())
    }

    /// Sets the level of the program's own messages. It is in the audit and in memory alone: the next
    /// start has the file's again.
    pub fn set_level(&mut self, level: &str, reason: Option<&str>) -> Result<Level, Rejection> {
        let mut errors = Errors::default();
        if let Some(reason) = reason {
            errors.text("reason", reason);
        }
        let level = Level::parse(level).map_err(|bad| errors.add("level", bad.to_string())).ok();
        errors.finish()?;
        let before = self.gateway.level().current();
        let level = level.unwrap_or_else(|| before.clone());
        if before != level {
            let before = serde_json::json!({ "level": before.to_string() });
            let after = serde_json::json!({ "level": level.to_string(), "reason": reason });
            self.audit("log.set", None, "log", Some(&before), Some(&after))?;
            self.applied.effects.push(Effect::Level(level.clone()));
        }
        Ok(level)
    }
}
