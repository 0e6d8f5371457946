//! Finds the PostgreSQL and the Redis that are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that packages put PostgreSQL's programs into, outside of PATH. The
/// star stands for a version.
const POSTGRES_FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
];

/// The folder with `initdb` and `postgres`: of this major version, or else the
/// first in PATH, or else the newest that is installed.
pub(crate) fn find_postgres(version: Option<&str>) -> Option<PathBuf> {
    // On PATH there may be a link to `initdb` alone: follow it.
    let in_path = in_path("initdb").filter_map(|initdb| Some(initdb.canonicalize().ok()?.parent()?.to_owned()));
    let elsewhere = POSTGRES_FOLDERS.iter().flat_map(|pattern| newest_first(pattern));
    let mut folders = in_path.chain(elsewhere).filter(|folder| folder.join("postgres").is_file());
    folders.find(|folder| version.is_none_or(|version| major_version(folder).as_deref() == Some(version)))
}

/// The program of Redis, or of Valkey, which is the same to us.
pub(crate) fn find_redis() -> Option<PathBuf> {
    let homebrew = ["/opt/homebrew/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from);
    // Links are not followed: the program looks at the name it is called by, and
    // the same file may be `redis-check-rdb` under another.
    in_path("redis-server").chain(in_path("valkey-server")).chain(homebrew).find(|program| program.is_file())
}

fn in_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let program = program.to_owned();
    folders.into_iter().map(move |folder| folder.join(&program)).filter(|program| program.is_file())
}

/// The folders that match a pattern with one star, highest version first.
fn newest_first(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return Vec::new() };
    let Some((parent, prefix)) = before.rsplit_once('/') else { return Vec::new() };
    let Ok(entries) = Path::new(parent).read_dir() else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.trim_start_matches('@').parse().unwrap_or(0);
            Some((version, entry.path().join(after.trim_start_matches('/'))))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn major_version(folder: &Path) -> Option<String> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15, `… 18beta1` is 18.
fn parse_major(version: &str) -> Option<String> {
    let number = version.split(") ").nth(1)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir_all;

    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number_and_not_by_letter() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17"] {
            create_dir_all(root.path().join(version)).unwrap();
        }
        let found = newest_first(&format!("{}/*/bin", root.path().display()));
        let expected = ["17/bin", "15/bin", "9/bin"].map(|folder| root.path().join(folder));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_versioned_formula_is_newer_than_one_without() {
        let root = tempfile::tempdir().unwrap();
        for name in ["postgresql", "postgresql@17", "redis"] {
            create_dir_all(root.path().join(name)).unwrap();
        }
        let found = newest_first(&format!("{}/postgresql*/bin", root.path().display()));
        let expected = ["postgresql@17/bin", "postgresql/bin"].map(|folder| root.path().join(folder));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_major_version_is_read_off() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15"));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1").as_deref(), Some("18"));
        assert_eq!(parse_major("nonsense"), None);
    }
}
