//! What a reservation survives.

/// What a request's record survives, once it is forwarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// The end of the process.
    Normal,
    /// A power cut too: the disk has it before anything is forwarded.
    Strict,
}

impl Durability {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 2] = [("normal", Self::Normal), ("strict", Self::Strict)];

    /// Gives the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Strict => "strict",
        }
    }
}
