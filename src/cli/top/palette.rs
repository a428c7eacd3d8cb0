//! What stands out, with colours or without.

use ratatui::style::{Color, Modifier, Style};

use super::panel::Mark;

/// How things are told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    has_colours: bool,
}

impl Palette {
    /// Follows the environment: with `NO_COLOR` set to anything there are no colours.
    pub(super) fn of_environment() -> Self {
        let asked = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_colours: !asked }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { has_colours: false }
    }

    #[cfg(test)]
    pub(super) fn colourful() -> Self {
        Self { has_colours: true }
    }

    /// Gives the style of headings and names.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Gives the style of a list's title.
    pub(super) fn title(self, is_chosen: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        match (is_chosen, self.has_colours) {
            (true, _) => style.add_modifier(Modifier::REVERSED),
            (false, true) => style.fg(Color::Cyan),
            (false, false) => style.add_modifier(Modifier::UNDERLINED),
        }
    }

    /// Gives the style of the chart.
    pub(super) fn chart(self) -> Style {
        if self.has_colours { Style::new().fg(Color::Cyan) } else { Style::new() }
    }

    /// Gives the style of a value.
    pub(super) fn mark(self, mark: Mark) -> Style {
        let style = Style::new();
        match (mark, self.has_colours) {
            (Mark::Plain, _) => style,
            (Mark::Warning, true) => style.fg(Color::Yellow),
            (Mark::Bad, true) => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Mark::Warning, false) => style.add_modifier(Modifier::BOLD),
            (Mark::Bad, false) => style.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }
}
