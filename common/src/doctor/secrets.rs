//! Whether what should be secret can be guessed.

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use super::{Check, Subject, with};
use crate::seed;
use crate::users::secret::is_weak_key;

/// How many guesses a key has to withstand, as a power of ten: close to the most that are ever told.
const GUESSES: f64 = 18.0;

/// What is in the examples that people copy, and in no key that was drawn.
const SAMPLES: [&str; 6] = ["secret", "passwor", "change", "example", "replace", "your"];

pub(super) async fn examine(pool: Option<&PgPool>, subject: &Subject<'_>) -> Vec<Check> {
    vec![
        jwt_secret(subject.jwt_secret),
        with("default admin", pool, async |pool| default_admin(pool, subject.production).await).await,
    ]
}

fn jwt_secret(secret: Option<&SecretString>) -> Check {
    let name = "jwt secret";
    let fix = "set JWT_SECRET of all apis to a random one: `openssl rand -hex 32`; everybody logs in again then";
    let Some(secret) = secret else {
        return Check::unknown(name, "JWT_SECRET is not set here; the apis have it");
    };
    if is_weak_key(secret) {
        return Check::failed(
            name,
            "it is shorter than 32 bytes, or has few different ones: no api starts with it",
            fix,
        );
    }
    let text = secret.expose_secret().to_lowercase();
    if SAMPLES.iter().any(|sample| text.contains(sample)) {
        return Check::failed(name, "it reads like one that was copied from an example", fix);
    }
    // It looks at the first 100 characters only, which is enough.
    if zxcvbn::zxcvbn(secret.expose_secret(), &["shop", "jwt"]).guesses_log10() < GUESSES {
        return Check::failed(name, "it is made of words or repeats itself, so it can be guessed", fix);
    }
    Check::ok(name, "nobody guesses it")
}

async fn default_admin(pool: &PgPool, production: bool) -> Result<Check, sqlx::Error> {
    let name = "default admin";
    let email = seed::ADMIN_EMAIL;
    Ok(match (seed::has_development_admin(pool).await?, production) {
        (false, _) => Check::ok(name, "no admin has the password that everybody knows"),
        (true, false) => Check::ok(name, format!("{email} has the password that everybody knows, as in development")),
        (true, true) => Check::failed(
            name,
            format!("{email} can log in with the password that everybody knows"),
            format!("give it another one with `shopctl admin password`, and `shopctl users revoke {email}`"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_random_key_is_good_and_one_of_words_is_not() {
        let judged = |secret: &str| jwt_secret(Some(&SecretString::from(secret))).verdict;
        assert_eq!(judged("0f9d2c7be8a1456394d7c0ab12ef5678"), Verdict::Ok);
        assert_eq!(judged("changeme"), Verdict::Failed);
        assert_eq!(judged("this-is-my-secret-please-change-me"), Verdict::Failed);
        assert_eq!(judged("abcdefghijklmnopqrstuvwxyz0123456789"), Verdict::Failed);
        assert_eq!(jwt_secret(None).verdict, Verdict::Unknown);
    }
}
