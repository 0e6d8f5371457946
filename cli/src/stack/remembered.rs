//! What a shop remembers of its private servers from one start to the next:
//! their passwords, and the ports they had.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::files;
use crate::exit::{Exit, Failure};

/// Passwords and ports of the private servers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) postgres_password: String,
    pub(crate) redis_password: String,
    pub(crate) postgres_port: Option<u16>,
    pub(crate) redis_port: Option<u16>,
}

impl Remembered {
    /// Nothing yet: new passwords, any ports.
    pub(crate) fn fresh() -> Self {
        Self {
            postgres_password: files::secret(32),
            redis_password: files::secret(32),
            postgres_port: None,
            redis_port: None,
        }
    }

    /// What was remembered in this folder. A database whose password is lost
    /// cannot be opened, and must not be mistaken for a new one.
    pub(crate) fn load(home: &Path, has_data: bool) -> Result<Self, Failure> {
        let path = home.join("servers.json");
        let text = files::read_if_there(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match text {
            Some(text) => {
                Ok(serde_json::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))?)
            }
            None if has_data => {
                Err(Failure::new(Exit::Refused, format!("the passwords of the data are missing: {}", path.display()))
                    .next(format!("put the file back, or remove {} to start from nothing", home.display())))
            }
            None => Ok(Self::fresh()),
        }
    }

    /// Keeps it for the next start.
    pub(crate) fn save(&self, home: &Path) -> anyhow::Result<()> {
        let path = home.join("servers.json");
        let text = serde_json::to_vec_pretty(self)?;
        files::write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_survive_and_their_loss_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let first = Remembered::load(home.path(), false).unwrap();
        assert!(Remembered::load(home.path(), true).is_err());
        first.save(home.path()).unwrap();
        let again = Remembered::load(home.path(), true).unwrap();
        assert_eq!(again.postgres_password, first.postgres_password);
        assert_eq!(again.redis_password, first.redis_password);
    }
}
