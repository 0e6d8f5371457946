//! The folder of one shop: its lock, its secrets, and where its data lie.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use uuid::Uuid;

use super::account::Account;
use super::{files, state};
use crate::exit::{Exit, Failure};
use crate::output;

/// Where data go when the servers' account cannot reach the shop's own folder.
const ELSEWHERE: &str = "/var/lib/shopctl";

/// The file of the key that signs access tokens.
const JWT_SECRET: &str = "jwt-secret";

/// Everybody may pass through, only the owner may look: what is inside is 0700.
const PASSAGE: u32 = 0o711;

/// The folder of one shop.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    /// Opens the folder, making it if need be.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let open = || {
            fs::create_dir_all(dir)?;
            dir.canonicalize()
        };
        let path = open().with_context(|| format!("cannot make the folder {}", dir.display()))?;
        Ok(Self { path })
    }

    /// The folder itself, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the private PostgreSQL keeps its data.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("data").join("postgres")
    }

    /// The log of a shop that runs in the background.
    pub(crate) fn log(&self) -> PathBuf {
        log_in(&self.path)
    }

    /// Where the password of the first admin waits for whoever started a production shop away from a terminal.
    pub(crate) fn admin_password(&self) -> PathBuf {
        self.path.join("admin-password")
    }

    /// Makes sure that one shop at most runs here, for as long as the returned
    /// file is open. The kernel lets go of the lock whatever ends us.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        let path = self.path.join("lock");
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(self.already_running()),
            Err(TryLockError::Error(error)) => {
                Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())).into())
            }
        }
    }

    fn already_running(&self) -> Failure {
        let pid = state::find_running(&self.path).map_or_else(String::new, |state| format!(" (pid {})", state.pid()));
        let dir = shell_quote(&self.path.to_string_lossy());
        Failure::new(Exit::Conflict, format!("a shop already runs in {}{pid}", self.path.display()))
            .next(format!("look at it with `shopctl status --dir {dir}`, stop it with `shopctl down --dir {dir}`"))
    }

    /// The key that signs access tokens: made once, so that they stay valid
    /// over a restart.
    pub(crate) fn jwt_secret(&self) -> anyhow::Result<String> {
        let path = self.path.join(JWT_SECRET);
        let read_or_make = || {
            if let Some(secret) = files::read_if_there(&path)? {
                return Ok(secret.trim().to_owned());
            }
            let secret = files::secret(64);
            files::write_private(&path, secret.as_bytes())?;
            Ok::<_, std::io::Error>(secret)
        };
        read_or_make().with_context(|| format!("cannot keep a secret in {}", path.display()))
    }

    /// The folder for the servers' data, which `account` can reach.
    pub(crate) fn data(&self, account: Option<Account>) -> anyhow::Result<PathBuf> {
        let data = self.path.join("data");
        let place = || match data.canonicalize() {
            Ok(real) => Ok(real),
            Err(_) => self.place_data(&data, account),
        };
        let real = place().with_context(|| format!("cannot make {}", data.display()))?;
        if let Some(account) = account {
            anyhow::ensure!(account.can_reach(&real)?, "the servers' account cannot reach {}", real.display());
        }
        Ok(real)
    }

    fn place_data(&self, data: &Path, account: Option<Account>) -> anyhow::Result<PathBuf> {
        // A link whose target is gone.
        files::remove_if_there(data)?;
        let reachable = account.map_or(Ok(true), |account| account.can_reach(&self.path))?;
        if reachable {
            make_passage(data)?;
            return Ok(data.to_owned());
        }
        let real = Path::new(ELSEWHERE).join(Uuid::now_v7().simple().to_string());
        make_passage(Path::new(ELSEWHERE))?;
        make_passage(&real)?;
        symlink(&real, data)?;
        output::note(format!(
            "note: {} is closed to the account the servers run under; their data are in {}",
            self.path.display(),
            real.display()
        ));
        Ok(real)
    }
}

/// The log of a shop that runs in the background in this folder.
pub(crate) fn log_in(dir: &Path) -> PathBuf {
    dir.join("shop.log")
}

/// The key that signs the access tokens of the shop in this folder, if it has made one.
pub(crate) fn known_jwt_secret(dir: &Path) -> Option<String> {
    files::read_if_there(&dir.join(JWT_SECRET)).ok().flatten().map(|secret| secret.trim().to_owned())
}

/// A folder that is gone when it is dropped, and that `account` can reach.
pub(crate) fn temporary(account: Option<Account>) -> anyhow::Result<TempDir> {
    let mut base = std::env::temp_dir();
    if let Some(account) = account
        && !account.can_reach(&base.canonicalize()?)?
    {
        base = PathBuf::from(ELSEWHERE);
        make_passage(&base)?;
    }
    let folder = tempfile::Builder::new().prefix("shopctl-").tempdir_in(&base)?;
    make_passage(folder.path())?;
    Ok(folder)
}

fn make_passage(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(PASSAGE))
}

/// Quotes a word so that a POSIX shell reads it as it is.
pub(crate) fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("shop")).unwrap();
        let lock = home.lock().unwrap();
        assert!(home.lock().is_err());
        drop(lock);
        assert!(home.lock().is_ok());
    }

    #[test]
    fn the_secret_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let secret = home.jwt_secret().unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(home.jwt_secret().unwrap(), secret);
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(shell_quote("postgres://a:b@127.0.0.1:1/x"), "postgres://a:b@127.0.0.1:1/x");
        assert_eq!(shell_quote("redis://h/0?protocol=resp3"), "'redis://h/0?protocol=resp3'");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
        assert_eq!(shell_quote(""), "''");
    }
}
