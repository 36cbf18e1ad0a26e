//! The administrator's words from a folder: synonyms, names, stop words, dictionary, places. A file that is not there is ours.

use std::{fs, path::Path, time::SystemTime};

use nugul_catalog::words::{FILE_NAMES, Files, MAX_FILE_BYTES, SHIPPED, Words};

/// The words of a folder, with what tells that they were edited since.
#[derive(Debug, Default)]
pub struct Known {
    /// What the files say.
    pub words: Words,
    stamp: Stamp,
}

impl Known {
    /// Reads the files. An error names the file, and the line where there is one.
    pub fn read(folder: Option<&Path>) -> Result<Self, String> {
        // The stamp first: a file edited meanwhile is read again.
        let stamp = stamp(folder);
        Ok(Self { words: read(folder)?, stamp })
    }

    /// What tells which edition of the files this is.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

/// When each file was changed and how long it is, which tells that it was edited.
pub type Stamp = [Option<(SystemTime, u64)>; FILE_NAMES.len()];

/// The stamps of the files of a folder; none of any file where there is no folder.
pub fn stamp(folder: Option<&Path>) -> Stamp {
    let of = |name: &str| {
        let meta = fs::metadata(folder?.join(name)).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    FILE_NAMES.map(of)
}

fn read(folder: Option<&Path>) -> Result<Words, String> {
    let Some(folder) = folder else { return Ok(Words::shipped()) };
    let text = |name: &str, ours: &str| -> Result<String, String> {
        let path = folder.join(name);
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(ours.to_owned()),
            Err(e) => return Err(format!("{} cannot be read: {e}", path.display())),
        };
        if meta.len() > MAX_FILE_BYTES as u64 {
            return Err(format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display()));
        }
        fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
    };
    let [synonyms, names, stop, dictionary, places] = FILE_NAMES;
    let files = Files {
        synonyms: &text(synonyms, SHIPPED.synonyms)?,
        names: &text(names, SHIPPED.names)?,
        stop: &text(stop, SHIPPED.stop)?,
        dictionary: &text(dictionary, SHIPPED.dictionary)?,
        places: &text(places, SHIPPED.places)?,
    };
    Words::parse(&files).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_replaces_the_files_it_has_and_a_bad_line_is_named() {
        let folder = std::env::temp_dir().join(format!("nugul-words-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let empty = stamp(Some(&folder));
        assert_eq!(read(Some(&folder)), Ok(Words::shipped()));
        fs::write(folder.join("stop.txt"), "헛말\n").unwrap();
        assert_ne!(stamp(Some(&folder)), empty);
        assert_ne!(read(Some(&folder)), Ok(Words::shipped()));
        fs::write(folder.join("synonyms.txt"), "# ours\n혼자\n").unwrap();
        let refused = read(Some(&folder)).unwrap_err();
        assert!(refused.starts_with("synonyms.txt, line 2:"), "{refused}");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(stamp(Some(&folder)), stamp(None));
        assert_eq!(read(None), Ok(Words::shipped()));
    }
}
