//! The settings that hold here: those of the files and the environment, and for what these leave open, what the stack
//! that runs here has.

use std::path::Path;

use figment::Figment;
use shop_common::config::{self, ConfigError};

use crate::exit::{Exit, Failure};
use crate::stack::databases::Urls;
use crate::stack::home;
use crate::stack::state::{StackState, find_running};

/// The settings that hold here.
pub(crate) struct Here {
    /// The settings themselves.
    pub(crate) figment: Figment,
    /// The stack that they are of, unless the environment names another database.
    pub(crate) stack: Option<StackState>,
    /// Whether this is (or becomes) a shop for production.
    pub(crate) production: bool,
}

impl Here {
    /// What holds in that folder, whatever is wrong with it.
    pub(crate) fn look(dir: &Path) -> Result<Self, ConfigError> {
        // A database that the environment names is not the stack's, whatever runs here.
        let named = ["DATABASE_URL", "DATABASE_URL_FILE"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let stack = find_running(dir).filter(|_| !named);
        let Some(state) = stack else {
            return Self::with(None, &[]);
        };
        let urls = Urls { database: state.database_url.clone(), redis: state.redis_url.clone() };
        let secret = home::known_jwt_secret(dir);
        let mut more: Vec<(&str, &str)> = Vec::new();
        // The gateway is the one that the workers were started with.
        more.extend(state.gateway_url.as_deref().map(|url| ("gateway.url", url)));
        more.extend(secret.as_deref().map(|secret| ("auth.jwt_secret", secret)));
        let here = Self::with(Some(&urls), &more)?;
        Ok(Self { stack: Some(state), ..here })
    }

    /// The same, for who is going to work with it: nothing may be set that nobody reads.
    pub(crate) fn find(dir: &Path) -> Result<Self, Failure> {
        Self::look(dir).map_err(refused)?.checked()
    }

    /// What holds for servers that are ours.
    pub(crate) fn of(private: &Urls) -> Result<Self, Failure> {
        Self::with(Some(private), &[]).map_err(refused)?.checked()
    }

    /// A private stack is for development, and any other shop for production, unless `ROCKET_PROFILE` says otherwise.
    fn with(private: Option<&Urls>, more: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let named = std::env::var_os("ROCKET_PROFILE").is_some();
        let production = if named { config::is_production() } else { private.is_none() };
        let mut figment = config::figment()?;
        if let Some(urls) = private {
            let servers = [("databases.pg.url", urls.database.as_str()), ("databases.redis.url", urls.redis.as_str())];
            figment = config::with_stack(figment, &[&servers, more].concat());
            if !named {
                figment = figment.select("development");
            }
        }
        Ok(Self { figment, stack: None, production })
    }

    fn checked(self) -> Result<Self, Failure> {
        config::check(&self.figment).map_err(refused)?;
        Ok(self)
    }
}

/// Settings that cannot be used.
pub(crate) fn refused(error: ConfigError) -> Failure {
    let next = match error {
        ConfigError::Missing { .. } => "start a shop with `shopctl up`, or name the folder of one with --dir",
        _ => "correct it; `shopctl config show` says where each setting comes from",
    };
    Failure::new(Exit::Refused, error).next(next)
}
