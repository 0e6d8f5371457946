//! The unprivileged account that servers run under when we are root, because
//! PostgreSQL refuses to run as root and Redis should not.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::Context;
use nix::unistd::{User, geteuid};

/// A user and a group to run servers as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account for servers, or `None` when they can run as ourselves.
    pub(crate) fn for_servers() -> anyhow::Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).with_context(|| format!("cannot look up the user {name}"))? {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        anyhow::bail!("servers must not run as root, and there is neither a user postgres nor a user nobody")
    }

    /// Whether this account gets through every folder down to `path`.
    pub(crate) fn can_reach(self, path: &Path) -> io::Result<bool> {
        for folder in path.ancestors() {
            if !self.can_enter(&fs::metadata(folder)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The kernel looks at one class of permission bits only: the owner's, or
    /// else the group's, or else everybody's.
    fn can_enter(self, folder: &fs::Metadata) -> bool {
        let bit = match folder {
            own if own.uid() == self.uid => 0o100,
            group if group.gid() == self.gid => 0o010,
            _ => 0o001,
        };
        folder.mode() & bit != 0
    }
}

/// Makes a folder that only the account (or else we) can look into.
pub(crate) fn private_folder(path: &Path, account: Option<Account>) -> anyhow::Result<()> {
    let make = || {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        hand_over(path, account)
    };
    make().with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Gives a file or folder to the account, if there is one.
pub(crate) fn hand_over(path: &Path, account: Option<Account>) -> io::Result<()> {
    account.map_or(Ok(()), |account| chown(path, Some(account.uid), Some(account.gid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_stopped_by_a_private_ancestor() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let owner = fs::metadata(root.path()).unwrap();
        let stranger = Account { uid: owner.uid() + 1, gid: owner.gid() + 1 };

        fs::set_permissions(root.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_reach(&inner).unwrap());
        fs::set_permissions(root.path(), Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.can_reach(&inner).unwrap());
    }

    #[test]
    fn the_owner_class_decides_for_the_owner() {
        let root = tempfile::tempdir().unwrap();
        let meta = fs::metadata(root.path()).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o077)).unwrap();
        let owner = Account { uid: meta.uid(), gid: meta.gid() + 1 };
        assert!(!owner.can_enter(&fs::metadata(root.path()).unwrap()));
    }
}
