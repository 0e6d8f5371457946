//! What a new shop starts with: an admin, and in development a small catalogue.

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use crate::id::ProductId;
use crate::products::queries::CreateError;
use crate::products::{self, Description, NewProduct, Price, ProductName, Stock};
use crate::users::password::{self, HashError, StrongPassword, Verified};
use crate::users::queries::{CreateUserError, NewUser};
use crate::users::{self, Email, Role, UserName};

/// The admin of a shop that has no other.
pub const ADMIN_EMAIL: &str = "admin@example.com";

const CATALOGUE: [(&str, &str, &str, &str, i64); 8] = [
    ("MUG-350", "Enamel mug", "White, with a blue rim. 350 ml.", "12.50", 200),
    ("TOWEL", "Tea towel", "Linen and cotton, striped.", "8.90", 150),
    ("CANDLE", "Beeswax candle", "Burns for forty hours.", "14.00", 80),
    ("NOTE-A5", "Notebook A5", "Dotted, 160 pages, lies flat.", "9.95", 300),
    ("SPOON-30", "Wooden spoon", "Olive wood, 30 cm.", "6.40", 120),
    ("JAR-1000", "Glass jar 1 l", "With a cork lid.", "11.20", 90),
    ("BLANKET", "Wool blanket", "Lambswool, 140 by 200 cm.", "89.00", 25),
    ("GIFT", "Gift card", "For those who cannot decide.", "25.00", 1000),
];

/// Why a shop could not be seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The admin's password cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The admin cannot be created.
    #[error(transparent)]
    User(#[from] CreateUserError),
    /// A product of the catalogue cannot be created.
    #[error(transparent)]
    Product(#[from] CreateError),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A value of this file is not what it should be.
    #[error("the seed itself is wrong: {0}")]
    Seed(String),
}

/// What became of the admin.
#[derive(Debug)]
pub enum SeededAdmin {
    /// Created, with this password. In production this is the only time that it is seen.
    Created {
        /// Their email.
        email: Email,
        /// Their password.
        password: SecretString,
    },
    /// An admin was there already; nothing changed.
    Present,
}

/// Creates the first admin, unless there is one. In development the password is
/// `password`; in production it is random.
///
/// # Errors
/// When the database refuses.
pub async fn admin(pool: &PgPool, production: bool) -> Result<SeededAdmin, SeedError> {
    let present: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM users WHERE role = 'ADMIN')").fetch_one(pool).await?;
    if present {
        return Ok(SeededAdmin::Present);
    }
    let password = if production { random_password()? } else { StrongPassword::of_development() };
    let email: Email = ADMIN_EMAIL.parse().map_err(|error| SeedError::Seed(format!("{error}")))?;
    create_admin(pool, email, None, password).await
}

/// Creates an admin with that password.
///
/// # Errors
/// When the email is taken, or the database refuses.
pub async fn create_admin(
    pool: &PgPool,
    email: Email,
    name: Option<UserName>,
    password: StrongPassword,
) -> Result<SeededAdmin, SeedError> {
    let password_hash = password::hash(&password)?;
    let user = NewUser { email: email.clone(), name, password_hash, role: Role::Admin };
    users::queries::create(pool, &user).await?;
    Ok(SeededAdmin::Created { email, password: password.secret().clone() })
}

/// A password that nobody has thought of: 24 random characters of all the kinds that a password needs.
///
/// # Errors
/// Never in practice: only if such a password were too weak.
pub fn random_password() -> Result<StrongPassword, SeedError> {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let random: String =
        std::iter::repeat_with(|| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).take(20).collect();
    // One of each kind is given, so that the rule is kept whatever chance brings.
    SecretString::from(format!("{random}-Aa7")).try_into().map_err(|error| SeedError::Seed(format!("{error}")))
}

/// Fills an empty catalogue with a few products, and gives one of them. One that is not empty stays as it is.
///
/// # Errors
/// When the database refuses.
pub async fn catalogue(pool: &PgPool) -> Result<Option<ProductId>, SeedError> {
    let first = "SELECT id FROM products WHERE deleted_at IS NULL ORDER BY id LIMIT 1";
    let present: Option<ProductId> = sqlx::query_scalar(first).fetch_optional(pool).await?;
    if present.is_some() {
        return Ok(present);
    }
    for (sku, name, description, price, stock) in CATALOGUE {
        let wrong = |error: &str| SeedError::Seed(format!("{name}: {error}"));
        let product = NewProduct {
            sku: Some(sku.parse().map_err(wrong)?),
            name: ProductName::try_from(name.to_owned()).map_err(wrong)?,
            description: Description::try_from(description.to_owned()).map_err(wrong)?,
            price: price.parse::<Price>().map_err(|error| wrong(&error.to_string()))?,
            stock: Stock::try_from(stock).map_err(wrong)?,
        };
        products::queries::create(pool, &product, None).await?;
    }
    Ok(sqlx::query_scalar(first).fetch_optional(pool).await?)
}

/// Whether this is the password that everybody knows. No account but the admin of development can have it.
pub fn is_development_password(password: &SecretString) -> bool {
    password.expose_secret() == StrongPassword::of_development().secret().expose_secret()
}

/// Whether the admin of development can still log in with the password that everybody knows.
///
/// # Errors
/// When the database refuses.
pub async fn has_development_admin(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let hash: Option<String> =
        sqlx::query_scalar("SELECT password_hash FROM users WHERE email = $1 AND role = 'ADMIN'")
            .bind(ADMIN_EMAIL)
            .fetch_optional(pool)
            .await?;
    let matches = |hash: String| password::verify(StrongPassword::of_development().secret(), Some(&hash));
    Ok(hash.is_some_and(|hash| !matches!(matches(hash), Verified::No)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_password_is_strong_and_never_the_same() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_ne!(one.secret().expose_secret(), other.secret().expose_secret());
    }
}
