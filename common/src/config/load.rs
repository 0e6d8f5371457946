//! Reading the settings: what is compiled in, the file, the environment, and which of them goes before the others.

use std::path::{Path, PathBuf};

use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, Source};
use serde::de::DeserializeOwned;

use super::Settings;
use super::keys::{self, UnknownKey};

/// The file of the repository.
pub(super) const DEFAULTS: &str = include_str!("../../../Rocket.toml");

/// How metadata call the settings that are compiled in.
pub(super) const COMPILED_IN: &str = "compiled in";

/// How metadata call what only the running stack knows.
pub(super) const STACK: &str = "the stack that runs here";

/// Secrets, which come from a variable or from the file that the variable with `_FILE` names.
const SECRETS: [(&str, &str); 3] =
    [("DATABASE_URL", "databases.pg.url"), ("REDIS_URL", "databases.redis.url"), ("JWT_SECRET", "auth.jwt_secret")];

/// Switches that have a variable of their own.
const SWITCHES: [(&str, &str); 2] = [("SHOP_LOG_FORMAT", "log.format"), ("SHOP_LOG", "log.filter")];

/// What a section of the settings cannot be without: its variable, and an example.
const NEEDED: [(&str, &str, &str); 2] = [
    ("databases.pg", "DATABASE_URL", "postgres://shop:password@127.0.0.1:5432/shop"),
    ("databases.redis", "REDIS_URL", "redis://127.0.0.1:6379/0"),
];

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing or of the wrong kind.
    #[error("the settings cannot be read: {0}")]
    Settings(Box<figment::Error>),
    /// A setting without which nothing works has no value.
    #[error("{variable} is not set; set it (or {variable}_FILE), for example to {example}")]
    Missing {
        /// The environment variable.
        variable: &'static str,
        /// What it could be.
        example: &'static str,
    },
    /// A variable points to a file that cannot be read.
    #[error("{variable} names {path:?}, which cannot be read: {source}")]
    File {
        /// The environment variable.
        variable: String,
        /// What it names.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Somebody has set what nobody reads.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unknown(Vec<UnknownKey>),
    /// `SHOP_RATE_LIMITS` is neither `on` nor `off`.
    #[error("SHOP_RATE_LIMITS is {0:?}; it takes `on` or `off`")]
    RateLimitSwitch(String),
}

impl From<figment::Error> for ConfigError {
    fn from(error: figment::Error) -> Self {
        Self::Settings(Box::new(error))
    }
}

/// The profile in force: `ROCKET_PROFILE`, or `production` when it is not set.
pub fn profile() -> Profile {
    Profile::from_env_or("ROCKET_PROFILE", "production")
}

/// Whether the profile in force is for production: every one but `development`.
pub fn is_production() -> bool {
    profile() != "development"
}

/// The settings as a figment: the file and the environment, merged.
///
/// # Errors
/// When a file that an environment variable names cannot be read.
pub fn figment() -> Result<Figment, ConfigError> {
    let mut figment = Figment::new().merge(Named::new(COMPILED_IN, Toml::string(DEFAULTS).nested()));
    figment = match std::env::var_os("ROCKET_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from) {
        None => figment.merge(Toml::file("Rocket.toml").nested()),
        Some(path) => {
            let path = find("ROCKET_CONFIG", path)?;
            figment.merge(Toml::file_exact(path).nested())
        }
    };
    figment = figment.merge(Env::prefixed("ROCKET_").ignore(&["PROFILE", "CONFIG"]).global());
    for (variable, setting) in SECRETS {
        if let Some(secret) = variable_or_file(variable)? {
            figment = figment.merge(secret.of(|value| Serialized::global(setting, value)));
        }
    }
    for (variable, setting) in SWITCHES {
        if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
            figment = figment.merge(Named::new(variable, Serialized::global(setting, value)));
        }
    }
    let rate_limits = |on: bool| Named::new("SHOP_RATE_LIMITS", Serialized::global("rate_limits.enabled", on));
    match std::env::var("SHOP_RATE_LIMITS").as_deref() {
        Err(_) | Ok("") => {}
        Ok("on") => figment = figment.merge(rate_limits(true)),
        Ok("off") => figment = figment.merge(rate_limits(false)),
        Ok(other) => return Err(ConfigError::RateLimitSwitch(other.to_owned())),
    }
    Ok(figment.select(profile()))
}

/// The same, and for what nobody has set, what the stack that runs here has.
#[must_use]
pub fn with_stack(mut figment: Figment, settings: &[(&str, &str)]) -> Figment {
    for (setting, value) in settings {
        figment = figment.join(Named::new(STACK, Serialized::global(setting, value)));
    }
    figment
}

/// Refuses settings that nobody reads, since a typo in production would otherwise be a default that nobody wanted, and those
/// that cannot be read. That the servers are named is left to who needs them.
///
/// # Errors
/// With all that nobody reads, or else the first that cannot be read.
pub fn check(figment: &Figment) -> Result<(), ConfigError> {
    let unknown = keys::unknown(figment)?;
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    let named = NEEDED.iter().fold(figment.clone(), |figment, (section, ..)| {
        figment.join(Serialized::global(&format!("{section}.url"), ""))
    });
    named.extract::<Settings>()?;
    Ok(())
}

/// One section of the settings, for who needs no other.
///
/// # Errors
/// When a value is missing or of the wrong kind; the message names it.
pub fn section<T: DeserializeOwned>(figment: &Figment, name: &str) -> Result<T, ConfigError> {
    for (section, variable, example) in NEEDED {
        if section == name && !figment.contains(&format!("{section}.url")) {
            return Err(ConfigError::Missing { variable, example });
        }
    }
    Ok(figment.extract_inner(name)?)
}

/// The settings of the profile in force, and the figment that they were read from.
///
/// # Errors
/// When a value is missing or of the wrong kind, or there is one that nobody reads; the message names it.
pub fn load() -> Result<(Figment, Settings), ConfigError> {
    let figment = figment()?;
    check(&figment)?;
    for (section, variable, example) in NEEDED {
        if !figment.contains(&format!("{section}.url")) {
            return Err(ConfigError::Missing { variable, example });
        }
    }
    let settings = figment.extract()?;
    Ok((figment, settings))
}

/// The value of a variable, or of the file that the variable with `_FILE` names.
fn variable_or_file(name: &'static str) -> Result<Option<Named<String>>, ConfigError> {
    if let Ok(value) = std::env::var(name) {
        return Ok(Some(Named::new(name, value)).filter(|named| !named.inner.is_empty()));
    }
    let variable = format!("{name}_FILE");
    let Some(path) = std::env::var_os(&variable).map(PathBuf::from) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Named { name: variable.into(), file: Some(path), inner: text.trim_end().to_owned() })),
        Err(source) => Err(ConfigError::File { variable, path, source }),
    }
}

/// A file that a variable names: here, or like `Rocket.toml` in a folder above.
fn find(variable: &str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    let found = std::env::current_dir().and_then(|here| {
        let places = here.ancestors().map(|folder| folder.join(&path));
        places.into_iter().find(|place| place.is_file()).map_or_else(|| Err(not_found(&path)), Ok)
    });
    found.map_err(|source| ConfigError::File { variable: variable.to_owned(), path, source })
}

fn not_found(path: &Path) -> std::io::Error {
    std::fs::metadata(path).err().unwrap_or_else(|| std::io::ErrorKind::IsADirectory.into())
}

/// A provider whose values say by which name they were given.
#[derive(Debug, Clone)]
struct Named<P> {
    name: std::borrow::Cow<'static, str>,
    file: Option<PathBuf>,
    inner: P,
}

impl<P> Named<P> {
    fn new(name: &'static str, inner: P) -> Self {
        Self { name: name.into(), file: None, inner }
    }

    /// The same name for what is made of it.
    fn of<Q>(self, make: impl FnOnce(P) -> Q) -> Named<Q> {
        Named { name: self.name, file: self.file, inner: make(self.inner) }
    }
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        let metadata = Metadata::named(self.name.clone());
        match &self.file {
            Some(file) => metadata.source(Source::File(file.clone())),
            None => metadata,
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.inner.data()
    }
}
