//! What can go wrong while running the platform: always a sentence for a person.
use std::fmt;
use std::io;
use std::path::Path;

/// Why the platform could not be started or steered.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error that says this.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn interrupted() -> Self {
        Self::new("stopped before everything was ready")
    }

    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self(format!("{doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
