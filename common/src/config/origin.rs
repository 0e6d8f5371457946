//! Where each setting comes from, and what may be shown of it.

use std::fmt;

use figment::value::Value;
use figment::{Figment, Profile};
use serde::Serialize;
use utoipa::ToSchema;

use super::ConfigError;
use super::keys::{WITHOUT_DEFAULT, leaves, name_of};
use super::load::{COMPILED_IN, STACK};

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// The settings that are secrets as a whole. In all others, only the passwords of URLs are.
const SECRET: [&str; 2] = ["auth.jwt_secret", "secret_key"];

/// The kinds of places that settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SettingSource)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The defaults in the programs.
    CompiledIn,
    /// `Rocket.toml`, or the file that `ROCKET_CONFIG` names.
    File,
    /// An environment variable.
    Variable,
    /// The file that an environment variable names.
    VariableFile,
    /// What `shopctl up` runs in this folder.
    Stack,
    /// Nobody has set it, and it has no default.
    Nowhere,
}

/// Where one setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The kind of place.
    pub source: Source,
    /// Its name: the path of the file, or the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The profile whose table has it, for what has profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source, &self.name) {
            (Source::CompiledIn, _) => write!(f, "{COMPILED_IN}")?,
            (Source::Stack, _) => write!(f, "{STACK}")?,
            (Source::Nowhere, _) => write!(f, "not set")?,
            (_, Some(name)) => write!(f, "{name}")?,
            (_, None) => write!(f, "something else")?,
        }
        self.profile.as_ref().map_or(Ok(()), |profile| write!(f, " [{profile}]"))
    }
}

impl Origin {
    /// Where this value of a figment comes from, which is of that profile unless it says that it is of all.
    pub(super) fn of(figment: &Figment, profile: &Profile, key: &str, value: &Value) -> Self {
        // A tag knows only whether it is of one of the two profiles that every figment has.
        let profile = value.tag().profile().unwrap_or_else(|| profile.clone());
        let metadata = figment.get_metadata(value.tag());
        let file = metadata.and_then(|metadata| metadata.source.as_ref()?.file_path()).map(std::path::Path::display);
        let (source, name) = match (metadata.map(|metadata| metadata.name.as_ref()), file) {
            (Some(COMPILED_IN), _) => (Source::CompiledIn, None),
            (Some(STACK), _) => (Source::Stack, None),
            (Some(variable), Some(path)) if variable.ends_with("_FILE") => {
                (Source::VariableFile, Some(format!("{variable} ({path})")))
            }
            (_, Some(path)) => (Source::File, Some(path.to_string())),
            (Some(name), None) if name.contains("ROCKET_") => {
                let table = key.split('.').next().unwrap_or(key);
                (Source::Variable, Some(format!("ROCKET_{}", table.to_ascii_uppercase())))
            }
            (name, None) => (Source::Variable, name.map(str::to_owned)),
        };
        let profile = match source {
            Source::CompiledIn | Source::File => Some(name_of(&profile)),
            _ => None,
        };
        Self { source, name, profile }
    }
}

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Setting {
    /// Its path, for example `jobs.max_attempts`.
    pub key: String,
    /// Its value, without what is secret of it; null where it has none.
    pub value: serde_json::Value,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
}

/// All settings of the profile in force, by path, without secrets.
///
/// # Errors
/// When the settings cannot be read at all.
pub fn all(figment: &Figment) -> Result<Vec<Setting>, ConfigError> {
    // With a path that is empty, it is everything.
    let everything = figment.find_value("")?.into_dict().unwrap_or_default();
    let mut settings: Vec<Setting> = leaves(&everything)
        .into_iter()
        .map(|(key, value)| {
            let origin = Origin::of(figment, figment.profile(), &key, &value);
            let value = serde_json::to_value(&value).unwrap_or_default();
            Setting { value: masked(&key, value), key, origin }
        })
        .collect();
    for key in WITHOUT_DEFAULT {
        if !settings.iter().any(|setting| setting.key == key) {
            let origin = Origin { source: Source::Nowhere, name: None, profile: None };
            settings.push(Setting { key: key.to_owned(), value: serde_json::Value::Null, origin });
        }
    }
    settings.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(settings)
}

fn masked(key: &str, value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(_) if SECRET.contains(&key) => MASK.into(),
        serde_json::Value::String(text) => mask_url(&text).into(),
        serde_json::Value::Array(values) => values.into_iter().map(|value| masked(key, value)).collect(),
        other if key.starts_with("tls.") && !other.is_boolean() => MASK.into(),
        other => other,
    }
}

/// A URL without what is secret of it: the password before the host, and parameters that are passwords. What is no URL
/// stays as it is.
pub fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold what ends a host, if nobody has encoded it: then the last @ of all is the one before the host.
    let at = rest[..end].rfind('@').or_else(|| rest.rfind('@'));
    let (user, host) = at.map_or((None, rest), |at| (Some(&rest[..at]), &rest[at + 1..]));
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}@"),
        None => format!("{user}@"),
    });
    let (path, query) = host.split_once('?').map_or((host, None), |(path, query)| (path, Some(query)));
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if ["password", "secret", "token"].iter().any(|word| name.contains(word)) => {
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{}{path}{}", user.unwrap_or_default(), query.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::result_large_err, reason = "it is what a jail of figment takes")]
mod tests {
    use figment::providers::{Format, Serialized, Toml};

    use super::*;

    #[test]
    fn the_password_of_a_url_is_not_shown() {
        let cases = [
            ("postgres://shop:canary@db:5432/shop", "postgres://shop:***@db:5432/shop"),
            ("postgres://shop:can/a@ry@db/shop", "postgres://shop:***@db/shop"),
            ("redis://:canary@db/0?protocol=resp3", "redis://:***@db/0?protocol=resp3"),
            ("postgres://db/shop?user=a&password=canary", "postgres://db/shop?user=a&password=***"),
            ("postgres://shop@db/shop", "postgres://shop@db/shop"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("info,shop=debug", "info,shop=debug"),
        ];
        for (url, shown) in cases {
            assert_eq!(mask_url(url), shown);
        }
    }

    #[test]
    fn each_setting_says_where_it_comes_from() {
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            jail.create_file("shop.toml", "[default.jobs]\nbase_ms = 7\n[production.jobs]\ncap_ms = 8\n")?;
            jail.create_file("secret", "canary\n")?;
            jail.set_env("ROCKET_CONFIG", "shop.toml");
            jail.set_env("ROCKET_WORKER", "{concurrency=9}");
            jail.set_env("JWT_SECRET_FILE", "secret");
            jail.set_env("DATABASE_URL", "postgres://shop:canary@db/shop");
            jail.set_env("SHOP_LOG", "debug");
            let figment = super::super::figment().map_err(|error| error.to_string())?;
            let settings = all(&figment).map_err(|error| error.to_string())?;
            let said = |key: &str| {
                let setting = settings.iter().find(|setting| setting.key == key).unwrap();
                format!("{} from {}", setting.value, setting.origin)
            };
            let file = std::env::current_dir().unwrap().join("shop.toml").display().to_string();
            assert_eq!(said("jobs.max_attempts"), "5 from compiled in [default]");
            assert_eq!(said("jobs.base_ms"), format!("7 from {file} [default]"));
            assert_eq!(said("jobs.cap_ms"), format!("8 from {file} [production]"));
            assert_eq!(said("worker.concurrency"), "9 from ROCKET_WORKER");
            assert_eq!(said("auth.jwt_secret"), "\"***\" from JWT_SECRET_FILE (secret)");
            assert_eq!(said("databases.pg.url"), "\"postgres://shop:***@db/shop\" from DATABASE_URL");
            assert_eq!(said("log.filter"), "\"debug\" from SHOP_LOG");
            assert_eq!(said("gateway.url"), "null from not set");
            assert!(!format!("{settings:?}").contains("canary"));
            Ok(())
        });
    }

    #[test]
    fn a_file_that_is_named_and_is_not_there_is_an_error() {
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            jail.set_env("ROCKET_CONFIG", "nowhere.toml");
            let error = super::super::figment().unwrap_err().to_string();
            assert!(error.starts_with("ROCKET_CONFIG names \"nowhere.toml\", which cannot be read"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn a_secret_in_a_list_or_of_rocket_is_not_shown() {
        let figment = Figment::new()
            .merge(Toml::string("[default]\nsecret_key = \"canary\"\nlist = [\"redis://:canary@x\"]").nested())
            .merge(Serialized::global("auth.jwt_secret", "canary"));
        assert!(!format!("{:?}", all(&figment).unwrap()).contains("canary"));
    }
}
