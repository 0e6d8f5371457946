//! Reading the log of a shop that runs in the background, line by line: whose each is, and how bad.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use utoipa::ToSchema;

use crate::args::logs::Level;

/// A line of the log.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub(crate) struct Line {
    /// Whose it is: `api-1`, `postgres`, or `shop` for what keeps them running.
    pub(crate) service: String,
    /// How bad it is; not there where the line does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<Level>,
    /// What it says.
    pub(crate) text: String,
}

impl Line {
    /// Reads a line as [`Log`](super::log::Log) writes it.
    pub(crate) fn parse(line: &str) -> Self {
        let (service, text) =
            line.split_once('│').map_or(("shop", line), |(service, text)| (service.trim(), text.trim()));
        let level = level_of(service, text);
        Self { service: service.to_owned(), level, text: text.to_owned() }
    }

    /// Whether it is of that service: of `api-1`, or with `api` of any api.
    pub(crate) fn is_of(&self, service: &str) -> bool {
        let rest = self.service.strip_prefix(service);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok()))
    }

    /// Whether it is as bad as that. What does not say how bad it is counts as what happens.
    pub(crate) fn is_at_least(&self, level: Level) -> bool {
        self.level.unwrap_or(Level::Info) <= level
    }
}

fn level_of(service: &str, text: &str) -> Option<Level> {
    if let Ok(entry) = serde_json::from_str::<serde_json::Value>(text) {
        return level_named(entry["level"].as_str()?);
    }
    match service {
        // "2026-11-27 15:00:00 UTC LOG:  …"
        "postgres" => text.split(' ').find_map(|word| match word.strip_suffix(':')? {
            "ERROR" | "FATAL" | "PANIC" => Some(Level::Error),
            "WARNING" => Some(Level::Warn),
            "LOG" | "NOTICE" | "INFO" | "HINT" | "DETAIL" | "STATEMENT" => Some(Level::Info),
            _ => None,
        }),
        // "1234:M 27 Nov 2026 15:00:00.000 # …"; the private one only says what is a warning.
        "redis" => text.contains(" # ").then_some(Level::Warn),
        // "2026-11-27T15:00:00Z  INFO …"
        _ => text.split_whitespace().take(2).find_map(level_named),
    }
}

fn level_named(word: &str) -> Option<Level> {
    match word {
        "ERROR" => Some(Level::Error),
        "WARN" => Some(Level::Warn),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        "TRACE" => Some(Level::Trace),
        _ => None,
    }
}

/// Reads a log from its beginning, and on when more is written or a new one is begun.
pub(crate) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// A line whose end is not written yet.
    begun: Vec<u8>,
}

impl Reader {
    /// Opens the log.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: BufReader::new(File::open(path)?), begun: Vec::new() })
    }

    /// The next whole line; nothing when there is none yet.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        self.file.read_until(b'\n', &mut self.begun)?;
        if !self.begun.ends_with(b"\n") {
            return Ok(None);
        }
        let line = Line::parse(String::from_utf8_lossy(&self.begun).trim_end());
        self.begun.clear();
        Ok(Some(line))
    }

    /// Turns to the new log, if the shop has begun one: the old one was given another name.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let ours = self.file.get_ref().metadata()?;
        match File::open(&self.path) {
            Ok(new) if (new.metadata()?.dev(), new.metadata()?.ino()) != (ours.dev(), ours.ino()) => {
                self.file = BufReader::new(new);
                self.begun.clear();
                Ok(())
            }
            // It is about to be made.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn the_level_is_read_in_every_form() {
        let level = |line: &str| Line::parse(line).level;
        assert_eq!(level("api-1    │ 2026-11-27T15:00:00.1Z  WARN the pool is full"), Some(Level::Warn));
        assert_eq!(level(r#"worker-1 │ {"timestamp":"x","level":"ERROR","message":"m"}"#), Some(Level::Error));
        assert_eq!(level("postgres │ 2026-11-27 15:00:00 UTC FATAL:  no"), Some(Level::Error));
        assert_eq!(level("redis    │ 12:M 27 Nov 2026 15:00:00.000 # Out of memory"), Some(Level::Warn));
        assert_eq!(level("shop     │ stopping"), None);
        assert!(Line::parse("shop │ stopping").is_at_least(Level::Info));
        assert!(!Line::parse("shop │ stopping").is_at_least(Level::Warn));
    }

    #[test]
    fn a_kind_of_service_stands_for_all_of_it() {
        let line = Line::parse("api-12   │ x");
        assert!(line.is_of("api") && line.is_of("api-12"));
        assert!(!line.is_of("api-1") && !line.is_of("ap") && !line.is_of("worker"));
    }

    #[test]
    fn a_log_is_read_on_over_half_a_line_and_into_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.log");
        fs::write(&path, "api-1 │ one\napi-1 │ tw").unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let next = |reader: &mut Reader| reader.next().unwrap().map(|line| line.text);
        assert_eq!(next(&mut reader).as_deref(), Some("one"));
        assert_eq!(next(&mut reader), None);
        fs::File::options().append(true).open(&path).unwrap().write_all(b"o\n").unwrap();
        assert_eq!(next(&mut reader).as_deref(), Some("two"));

        fs::rename(&path, folder.path().join("shop.log.old")).unwrap();
        reader.turn().unwrap();
        fs::write(&path, "api-1 │ three\n").unwrap();
        reader.turn().unwrap();
        assert_eq!(next(&mut reader).as_deref(), Some("three"));
    }
}
