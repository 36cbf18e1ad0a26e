//! Command-line words: a few flags, with or without a value, and an error for anything else.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use crate::run::{Failure, Fallible};

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// Words that are not flags.
    pub(crate) words: Vec<String>,
    flags: BTreeMap<String, String>,
}

impl Args {
    /// Reads the words. `switches` take no value, `valued` take one (`--flag VALUE` or `--flag=VALUE`); at most
    /// `max_words` words are not flags.
    pub(crate) fn read(
        given: impl IntoIterator<Item = String>,
        switches: &[&str],
        valued: &[&str],
        max_words: usize,
    ) -> Fallible<Self> {
        let mut args = Self::default();
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            let Some(flag) = word.strip_prefix("--") else {
                args.words.push(word);
                continue;
            };
            let (flag, value) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            if switches.contains(&flag) && value.is_none() {
                args.flags.insert(flag.to_owned(), String::new());
            } else if valued.contains(&flag) {
                let value = value.or_else(|| given.next());
                let value = value.ok_or_else(|| Failure::new(format!("--{flag} needs a value")))?;
                args.flags.insert(flag.to_owned(), value);
            } else {
                return Err(Failure::new(format!("unknown flag --{flag}; see --help")));
            }
        }
        if let Some(extra) = args.words.get(max_words) {
            return Err(Failure::new(format!("unexpected {extra:?}; see --help")));
        }
        Ok(args)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.contains_key(flag)
    }

    pub(crate) fn path(&self, flag: &str) -> Option<PathBuf> {
        self.flags.get(flag).map(PathBuf::from)
    }

    /// The flag's value, read as what is wanted.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&self, flag: &str) -> Fallible<Option<T>> {
        let value = self.flags.get(flag);
        value.map(|value| value.parse().map_err(|error| Failure::new(format!("--{flag} {value}: {error}")))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Fallible<Args> {
        Args::read(line.split_whitespace().map(str::to_owned), &["wrangler"], &["events"], 1)
    }

    #[test]
    fn flags_with_and_without_values() {
        let args = read("word --events 5 --wrangler").unwrap();
        assert_eq!(args.words, ["word"]);
        assert_eq!(args.value::<u32>("events").unwrap(), Some(5));
        assert!(args.has("wrangler"));
        assert_eq!(read("--events=7").unwrap().value::<u32>("events").unwrap(), Some(7));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(read("--nonsense").unwrap_err().to_string(), "unknown flag --nonsense; see --help");
        assert_eq!(read("--events").unwrap_err().to_string(), "--events needs a value");
        assert_eq!(read("one two").unwrap_err().to_string(), "unexpected \"two\"; see --help");
        assert!(
            read("--events many").unwrap().value::<u32>("events").unwrap_err().to_string().contains("--events many")
        );
        assert!(read("--wrangler=yes").is_err());
    }
}
