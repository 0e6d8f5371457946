//! Users: customers and operators, and what makes an email and a password good.

pub mod directory;
pub mod password;
pub mod queries;
pub mod secret;
pub mod sessions;
pub mod signing_keys;
pub mod tickets;

use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum Role {
    /// Keeps the catalogue.
    Admin,
    /// Orders.
    Client,
}

impl Role {
    /// As the wire and the database say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Client => "CLIENT",
        }
    }
}

/// An email address, in lower case.
///
/// Checked for its shape only; whether it exists, only a letter to it can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Email(String);

/// The text is no email address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be an email address, for example ada@example.com")]
pub struct EmailError;

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let email = text.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@').ok_or(EmailError)?;
        let visible = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
        let good = (1..=64).contains(&local.len())
            && local.chars().all(visible)
            && (3..=253).contains(&domain.len())
            && domain.split('.').count() >= 2
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
        if good { Ok(Self(email)) } else { Err(EmailError) }
    }
}

/// What to call a user: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$", example = "Ada")]
#[sqlx(transparent)]
pub struct UserName(String);

impl UserName {
    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim();
        if (1..=200).contains(&name.chars().count()) && !name.contains('\0') {
            Ok(Self(name.to_owned()))
        } else {
            Err("a name must have 1 to 200 characters")
        }
    }
}

/// What a token needs to know of a user.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Identity {
    /// Who.
    pub id: UserId,
    /// Their address.
    pub email: Email,
    /// What they may do.
    pub role: Role,
    /// How often their tokens were revoked; a token of before does not count any more.
    pub token_generation: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_lowercased_and_has_a_name_and_a_domain() {
        assert_eq!("Ada@Example.COM".parse::<Email>().unwrap().as_str(), "ada@example.com");
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@host",
            "a b@example.com",
            "a@b@example.com",
            "ada@-x.com",
            "ada@x..com",
        ] {
            assert_eq!(bad.parse::<Email>(), Err(EmailError), "{bad:?}");
        }
    }
}
