//! What the one who watches has chosen, and what has come so far.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    history::History,
    palette::Palette,
    panel::{Kind, Sort},
    sample::Figures,
    view::Picture,
};
use crate::live::Document;

/// How much longer than the interval an answer may take before it is said that none comes.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    Leave,
    Stay,
}

/// The state of a screen. Times are those since its beginning.
#[derive(Debug)]
pub(super) struct State {
    authority: String,
    interval: Duration,
    palette: Palette,
    chosen: Kind,
    sort: Sort,
    is_helping: bool,
    /// What was shown when it was told to stand still.
    paused: Option<Option<Figures>>,
    last: Document,
    figures: Option<Figures>,
    history: History,
    /// When the last answer came.
    answered: Duration,
    /// Whether the last attempt failed.
    is_failing: bool,
}

impl State {
    /// Begins with the first document.
    pub(super) fn new(
        authority: String,
        interval: Duration,
        sort: Sort,
        palette: Palette,
        first: Document,
    ) -> Self {
        Self {
            authority,
            interval,
            palette,
            chosen: Kind::default(),
            sort,
            is_helping: false,
            paused: None,
            last: first,
            figures: None,
            history: History::default(),
            answered: Duration::ZERO,
            is_failing: false,
        }
    }

    /// Takes the next document.
    pub(super) fn answer(&mut self, document: Document, at: Duration) {
        let figures = Figures::between(&self.last, &document);
        self.history.push(at, figures.rates.requests);
        self.figures = Some(figures);
        self.last = document;
        self.answered = at;
        self.is_failing = false;
    }

    /// Notes that nobody answered.
    pub(super) fn fail(&mut self) {
        self.is_failing = true;
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Wish::Leave,
            _ if is_control => {}
            KeyCode::Char('q') => return Wish::Leave,
            KeyCode::Esc if !self.is_helping => return Wish::Leave,
            KeyCode::Esc => self.is_helping = false,
            KeyCode::Char('?') => self.is_helping = !self.is_helping,
            KeyCode::Char('p' | ' ') => {
                self.paused = match self.paused.take() {
                    Some(_) => None,
                    None => Some(self.figures.clone()),
                };
            }
            KeyCode::Tab | KeyCode::Down => self.chosen = self.chosen.step(1),
            KeyCode::BackTab | KeyCode::Up => self.chosen = self.chosen.step(Kind::ALL.len() - 1),
            KeyCode::Right => self.sort = self.sort.step(1),
            KeyCode::Left => self.sort = self.sort.step(Sort::ALL.len() - 1),
            // So that a test can see a panic leave the terminal as it was.
            #[cfg(debug_assertions)]
            KeyCode::F(12) => panic!("a test pressed the key for this"),
            _ => {}
        }
        Wish::Stay
    }

    /// Gives what is to be shown.
    pub(super) fn picture(&self, now: Duration) -> Picture<'_> {
        let silence = now.saturating_sub(self.answered);
        let is_silent = self.is_failing || silence > self.interval + PATIENCE;
        Picture {
            authority: &self.authority,
            figures: self.paused.as_ref().unwrap_or(&self.figures).as_ref(),
            history: &self.history,
            now,
            silence: is_silent.then_some(silence),
            interval: self.interval,
            chosen: self.chosen,
            sort: self.sort,
            is_paused: self.paused.is_some(),
            is_helping: self.is_helping,
            palette: self.palette,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::example;

    fn state() -> State {
        let [first, _] = example::documents();
        let interval = Duration::from_secs(1);
        State::new("gateway:8403".to_owned(), interval, Sort::Requests, Palette::plain(), first)
    }

    fn press(state: &mut State, code: KeyCode) -> Wish {
        state.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_leave_or_choose() {
        let mut state = state();
        for key in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut state, key), Wish::Leave);
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.press(interrupt), Wish::Leave);
        assert_eq!(press(&mut state, KeyCode::Char('c')), Wish::Stay);

        assert_eq!(press(&mut state, KeyCode::Char('?')), Wish::Stay);
        assert_eq!(press(&mut state, KeyCode::Esc), Wish::Stay, "it closes the help alone");
        assert!(!state.is_helping);

        for (key, chosen) in [
            (KeyCode::Tab, Kind::Answers),
            (KeyCode::Up, Kind::Customers),
            (KeyCode::BackTab, Kind::Upstreams),
            (KeyCode::Down, Kind::Customers),
        ] {
            press(&mut state, key);
            assert_eq!(state.chosen, chosen);
        }
        for (key, sort) in [
            (KeyCode::Right, Sort::Refused),
            (KeyCode::Left, Sort::Requests),
            (KeyCode::Left, Sort::Name),
            (KeyCode::Right, Sort::Requests),
        ] {
            press(&mut state, key);
            assert_eq!(state.sort, sort);
        }
    }

    #[test]
    fn pause_keeps_the_picture_and_goes_on_counting() {
        let mut state = state();
        let [first, second] = example::documents();
        let second_at = Duration::from_secs(1);
        state.answer(second, second_at);
        let shown = |state: &State| state.picture(second_at).figures.map(|shown| shown.restarted);
        assert_eq!(shown(&state), Some(false));
        press(&mut state, KeyCode::Char('p'));
        state.answer(first, second_at);
        assert_eq!((shown(&state), state.picture(second_at).is_paused), (Some(false), true));
        press(&mut state, KeyCode::Char('p'));
        assert_eq!(shown(&state), Some(true), "the first is older than the second");
    }

    #[test]
    fn silence_is_told_after_a_failure_or_a_while() {
        let mut state = state();
        let [_, second] = example::documents();
        state.answer(second.clone(), Duration::from_secs(1));
        let silence = |state: &State, at| state.picture(Duration::from_secs(at)).silence;
        assert_eq!(silence(&state, 4), None);
        assert_eq!(silence(&state, 5), Some(Duration::from_secs(4)));
        state.fail();
        assert_eq!(silence(&state, 3), Some(Duration::from_secs(2)));
        state.answer(second, Duration::from_secs(6));
        assert_eq!(silence(&state, 7), None);
    }
}
