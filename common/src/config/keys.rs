//! Which settings there are, so that one that nobody reads is noticed: a typo, or one of another version.

use std::collections::BTreeSet;
use std::fmt;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::load::{ConfigError, DEFAULTS};
use super::origin::{Origin, Source};

/// Settings without a default, which so are not in the file that is compiled in.
pub(super) const WITHOUT_DEFAULT: [&str; 4] =
    ["auth.jwt_secret", "databases.pg.url", "databases.redis.url", "gateway.url"];

/// What Rocket reads besides. <https://rocket.rs/guide/v0.5/configuration/>
const ROCKETS: [&str; 16] = [
    "address",
    "cli_colors",
    "codegen_debug",
    "ident",
    "ip_header",
    "keep_alive",
    "log_level",
    "max_blocking",
    "port",
    "proxy_proto_header",
    "secret_key",
    "shutdown.force",
    "shutdown.grace",
    "shutdown.mercy",
    "temp_dir",
    "workers",
];

/// Tables of Rocket that take any key.
const OPEN: [&str; 2] = ["limits.", "tls."];

/// How like a known key an unknown one has to be, to be taken for a typo of it.
const LIKE: f64 = 0.7;

/// A setting that nobody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// Its path, for example `jobs.max_atempts`.
    pub key: String,
    /// Where it was set.
    pub origin: Origin,
    /// What it may be meant to be.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sets `{}`, which nobody reads", self.origin, self.key)?;
        let Some(nearest) = &self.nearest else { return Ok(()) };
        write!(f, "; did you mean `{nearest}`")?;
        match (self.origin.source, nearest.split_once('.')) {
            (Source::Variable, Some((table, rest))) => {
                write!(f, ", as ROCKET_{}='{{{rest}=…}}'?", table.to_ascii_uppercase())
            }
            (Source::Variable, None) => write!(f, ", as ROCKET_{}?", nearest.to_ascii_uppercase()),
            _ => write!(f, "?"),
        }
    }
}

/// Everything that is set and not read, in any profile.
pub(super) fn unknown(figment: &Figment) -> Result<Vec<UnknownKey>, ConfigError> {
    let known = known()?;
    let mut unknown = Vec::new();
    for (profile, dict) in figment.data()? {
        for (key, value) in leaves(&dict) {
            let is_known = known.iter().any(|known| {
                *known == key || known.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'))
            });
            if !is_known && !OPEN.iter().any(|table| key.starts_with(table)) {
                let nearest = nearest(&key, &known);
                unknown.push(UnknownKey { origin: Origin::of(figment, &profile, &key, &value), key, nearest });
            }
        }
    }
    Ok(unknown)
}

/// All settings there are, by path.
fn known() -> Result<BTreeSet<String>, ConfigError> {
    let defaults = Toml::string(DEFAULTS).nested().data()?;
    let with_default = defaults.values().flat_map(leaves).map(|(key, _)| key);
    let others = WITHOUT_DEFAULT.iter().chain(&ROCKETS).map(|&key| key.to_owned());
    Ok(with_default.chain(others).collect())
}

/// The values of a table that are no tables, by path.
pub(super) fn leaves(dict: &Dict) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in dict {
        match value {
            Value::Dict(_, inner) => {
                found.extend(leaves(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

/// The known key that is most like this one. `ROCKET_JOBS_MAX_ATTEMPTS` is like `jobs.max_attempts`.
fn nearest(key: &str, known: &BTreeSet<String>) -> Option<String> {
    let flat = |key: &str| key.replace('.', "_");
    let likeness = |known: &String| strsim::normalized_damerau_levenshtein(&flat(key), &flat(known));
    let (nearest, best) =
        known.iter().map(|known| (known, likeness(known))).max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (best >= LIKE).then(|| nearest.clone())
}

/// The name of a profile.
pub(super) fn name_of(profile: &Profile) -> String {
    profile.as_str().as_str().to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::result_large_err, reason = "it is what a jail of figment takes")]
mod tests {
    use figment::providers::Serialized;

    use super::super::load::{COMPILED_IN, check, with_stack};
    use super::*;

    fn unknown_in(toml: &str) -> Vec<String> {
        let figment = Figment::new().merge(Toml::string(toml).nested()).select("production");
        unknown(&figment).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_typo_is_noticed_in_any_profile_and_the_right_key_is_named() {
        let found = unknown_in("[default.jobs]\nmax_atempts = 3\n[staging]\nprot = 80\n[default]\nfrobnicate = 1\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|text| text.contains("`jobs.max_atempts`") && text.contains("`jobs.max_attempts`")));
        assert!(found.iter().any(|text| text.contains("`prot`") && text.contains("did you mean `port`")));
        assert!(found.iter().any(|text| text.ends_with("sets `frobnicate`, which nobody reads")), "{found:?}");
    }

    #[test]
    fn what_rocket_reads_and_what_has_no_default_is_known() {
        let toml = "[default]\nworkers = 4\nkeep_alive = 5\n[default.limits]\nfile = 1\n[default.tls]\ncerts = \"a\"\n\
                    [production.gateway]\nurl = \"http://gateway\"\n[default.shutdown]\nforce = true\n";
        assert_eq!(unknown_in(toml), Vec::<String>::new());
        assert_eq!(unknown_in(DEFAULTS), Vec::<String>::new());
    }

    #[test]
    fn a_table_that_is_no_table_is_left_to_who_reads_it() {
        assert_eq!(unknown_in("[default]\njobs = 3\n"), Vec::<String>::new());
        assert_eq!(unknown_in("[default.shop.currency]\ncode = 3\n").len(), 1);
    }

    #[test]
    fn a_variable_is_named_with_the_form_that_works() {
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            jail.set_env("ROCKET_JOBS_MAX_ATTEMPTS", "3");
            jail.set_env("ROCKET_WORKER", "{lease_mss=1}");
            let figment = Figment::new().merge(figment::providers::Env::prefixed("ROCKET_").global());
            let found: Vec<String> = unknown(&figment).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(
                found,
                [
                    "ROCKET_JOBS_MAX_ATTEMPTS sets `jobs_max_attempts`, which nobody reads; did you mean \
                     `jobs.max_attempts`, as ROCKET_JOBS='{max_attempts=…}'?",
                    "ROCKET_WORKER sets `worker.lease_mss`, which nobody reads; did you mean `worker.lease_ms`, as \
                     ROCKET_WORKER='{lease_ms=…}'?",
                ]
            );
            Ok(())
        });
    }

    #[test]
    fn a_value_that_cannot_be_read_is_an_error_also_where_no_server_is_named() {
        let defaults = Figment::new().merge(Toml::string(DEFAULTS).nested()).select("production");
        assert!(check(&defaults).is_ok());
        let wrong = defaults.merge(Toml::string("[default.worker]\nlease_ms = \"long\"\n").nested());
        let error = check(&wrong).unwrap_err().to_string();
        assert!(error.contains("worker.lease_ms"), "{error}");
    }

    #[test]
    fn what_the_stack_has_does_not_go_before_what_was_set() {
        let set = Figment::new().merge(Serialized::global("gateway.url", "http://set"));
        let figment = with_stack(set, &[("gateway.url", "http://stack"), ("auth.jwt_secret", "s")]);
        assert_eq!(figment.extract_inner::<String>("gateway.url").unwrap(), "http://set");
        assert_eq!(figment.find_metadata("auth.jwt_secret").unwrap().name, "the stack that runs here");
        assert_ne!(COMPILED_IN, "the stack that runs here");
    }
}
