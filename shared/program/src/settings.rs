//! Settings by name: from the environment, and from a file for those it does not have.

use std::{collections::BTreeMap, fs};

/// The variable that names the file.
pub const SETTINGS_FILE: &str = "NUGUL_SETTINGS_FILE";
/// What `--help` says about the file.
pub const SETTINGS_HELP: &str = "\
  NUGUL_SETTINGS_FILE      file with any of these as NAME=VALUE, one a line; # begins a comment. The environment comes
                           first. For secrets: they are then in no process list.";
/// The largest file taken, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where settings are looked up.
#[derive(Clone, Default)]
pub struct Settings {
    file: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the file that [`SETTINGS_FILE`] names, if it names one.
    pub fn load() -> Result<Self, String> {
        let Some(path) = std::env::var_os(SETTINGS_FILE).filter(|path| !path.is_empty()) else {
            return Ok(Self::default());
        };
        let about = |error: String| format!("{SETTINGS_FILE}: {}: {error}", path.display());
        let length = fs::metadata(&path).map_err(|error| about(error.to_string()))?.len();
        if length > FILE_BYTES_MAX {
            return Err(about(format!("more than {FILE_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(&path).map_err(|error| about(error.to_string()))?;
        Self::parse(&text).map_err(about)
    }

    /// The lines of a file. An error names the line and never says what is on it.
    fn parse(text: &str) -> Result<Self, String> {
        let mut file = BTreeMap::new();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| format!("line {at} is not NAME=VALUE"))?;
            let name = name.trim();
            let is_name = name.starts_with("NUGUL_") && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name {
                return Err(format!("line {at} names no setting"));
            }
            if file.insert(name.to_owned(), value.trim().to_owned()).is_some() {
                return Err(format!("line {at} sets {name} again"));
            }
        }
        Ok(Self { file })
    }

    /// A setting, where it is there.
    pub fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| self.file.get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_with_values() {
        let settings =
            Settings::parse("# ours\n\n NUGUL_TEST_ONLY_A = mysql://u:p=q@h/d \nNUGUL_TEST_ONLY_B=\n").unwrap();
        assert_eq!(settings.get("NUGUL_TEST_ONLY_A").as_deref(), Some("mysql://u:p=q@h/d"));
        assert_eq!(settings.get("NUGUL_TEST_ONLY_B").as_deref(), Some(""));
        assert_eq!(settings.get("NUGUL_TEST_ONLY_C"), None);
    }

    #[test]
    fn a_bad_line_is_named_and_not_repeated() {
        for (text, named) in [
            ("NUGUL_A=1\nsecret", "line 2 is not"),
            ("PATH=secret", "line 1 names no setting"),
            ("NUGUL_A=1\nNUGUL_A=secret", "line 2 sets NUGUL_A again"),
        ] {
            let error = Settings::parse(text).err().unwrap();
            assert!(error.starts_with(named) && !error.contains("secret"), "{error}");
        }
    }
}
