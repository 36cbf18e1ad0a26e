//! Words that no ranking shows: a file that an operator edits while we run.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use nugul_domain::ranking::KEYWORD_CHARS_MAX;

use crate::app::App;

/// The list where none is set.
const SHIPPED: &str = include_str!("blocked-words.txt");
/// Words of a list.
const WORDS_MAX: usize = 10_000;
/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How often it is looked whether the file changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The words.
#[derive(Debug)]
pub struct BlockedWords {
    file: Option<PathBuf>,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    words: Arc<[String]>,
    changed_at: Option<SystemTime>,
}

impl BlockedWords {
    /// From a file, or the list that is shipped. The error names the file, and the line where one is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let known = match file {
            None => Known { words: parse(SHIPPED)?, changed_at: None },
            Some(path) => read(path)?,
        };
        Ok(Self { file: file.map(Path::to_path_buf), known: RwLock::new(known) })
    }

    /// Whether a keyword contains one, spaces aside.
    pub fn has(&self, keyword: &str) -> bool {
        let words = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).words);
        let keyword = squeezed(keyword);
        words.iter().any(|word| keyword.contains(word.as_str()))
    }

    /// Reads the file again where it changed. Where it cannot be used, the list stays as it is.
    fn refresh(&self) -> Result<(), String> {
        let Some(path) = &self.file else { return Ok(()) };
        if changed_at(path)? == self.known.read().unwrap_or_else(PoisonError::into_inner).changed_at {
            return Ok(());
        }
        let known = read(path)?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

/// Follows the file until the process stops.
pub async fn follow(app: App) {
    let mut stopping = app.stopping.clone();
    let mut told = None;
    while app.blocked_words.file.is_some() {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
        let looked = app.clone();
        let refreshed = tokio::task::spawn_blocking(move || looked.blocked_words.refresh()).await;
        let trouble = refreshed.map_err(|e| e.to_string()).flatten().err();
        if trouble != told {
            if let Some(why) = &trouble {
                tracing::warn!("the blocked words stay as they were: {why}");
            }
            told = trouble;
        }
    }
}

fn changed_at(path: &Path) -> Result<Option<SystemTime>, String> {
    let about = std::fs::metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(about.modified().ok())
}

fn read(path: &Path) -> Result<Known, String> {
    let changed_at = changed_at(path)?;
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let words = parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Known { words, changed_at })
}

fn parse(text: &str) -> Result<Arc<[String]>, String> {
    let mut words = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let word = squeezed(line);
        if word.chars().count() > KEYWORD_CHARS_MAX {
            return Err(format!("line {number} is longer than {KEYWORD_CHARS_MAX} characters"));
        }
        words.push(word);
        if words.len() > WORDS_MAX {
            return Err(format!("line {number}: there are more than {WORDS_MAX} words"));
        }
    }
    Ok(words.into())
}

/// Lower case, without spaces.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_with_a_word_in_it_is_found_whatever_its_spaces() {
        let shipped = BlockedWords::load(None).unwrap();
        assert!(shipped.has("온라인 카 지노 추천") && shipped.has("FuCk"));
        assert!(!shipped.has("레미제라블") && !shipped.has("# words"));
    }

    #[test]
    fn a_file_is_followed_and_a_bad_one_changes_nothing() {
        let path = std::env::temp_dir().join(format!("nugul-blocked-{}.txt", std::process::id()));
        let write = |text: &str, age_s: u64| {
            std::fs::write(&path, text).unwrap();
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(age_s);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        };
        write("# ours\n나쁜 말\n", 1);
        let blocked = BlockedWords::load(Some(&path)).unwrap();
        assert!(blocked.has("정말 나쁜말이다") && !blocked.has("카지노"));
        write("다른 말\n", 2);
        blocked.refresh().unwrap();
        assert!(blocked.has("다른말") && !blocked.has("나쁜 말"));
        write(&format!("좋은 말\n{}\n", "가".repeat(31)), 3);
        assert!(blocked.refresh().unwrap_err().contains("line 2"));
        assert!(blocked.has("다른말") && !blocked.has("좋은 말"));
        std::fs::remove_file(&path).unwrap();
        assert!(blocked.refresh().is_err());
        assert!(BlockedWords::load(Some(&path)).unwrap_err().contains("nugul-blocked"));
    }
}
