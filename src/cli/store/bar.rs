//! How far a copy has come, for a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::store::{CopyStep, Watcher};

/// One line for each step, which is gone when the next one begins. Elsewhere it draws nothing.
#[derive(Default)]
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Bar {
    fn begin(&mut self, step: CopyStep, rows: Option<u64>, done: u64) {
        self.end();
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(rows, ProgressDrawTarget::stderr());
        let template = match (step, rows) {
            (_, Some(_)) => "{msg} {wide_bar} {human_pos}/{human_len} rows, {eta} left",
            (CopyStep::Verifying, None) => "{spinner} {msg}",
            (_, None) => "{spinner} {msg} {human_pos} rows",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("it is one of these"));
        bar.set_message(match step {
            CopyStep::Comparing => "comparing",
            CopyStep::Copying => "copying",
            CopyStep::Reading => "reading",
            CopyStep::Verifying => "adding up",
        });
        bar.set_position(done);
        // What an earlier call did is no speed of this one.
        bar.reset_eta();
        self.0 = Some(bar);
    }

    fn moved(&mut self, rows: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(rows);
        }
    }
}
