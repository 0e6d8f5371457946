//! Guesses at passwords: so many for each account, without locking its owner out.
//!
//! A login has to pass three limits: of its address; of its account from its address; and, where nobody has logged
//! in to the account from the address lately, of its account from all such addresses together. Who guesses from a
//! thousand addresses meets the third one. The owner goes on logging in from an address that is known for the
//! account (who registers there has logged in too), whatever others do. (OWASP calls that device cookies; here the address is the cookie.)
//!
//! An email without an account is counted in the same way, so the limits do not say which accounts there are. Redis
//! keeps hashes of the emails, never themselves. While Redis is away no address counts as known.

use std::marker::PhantomData;
use std::sync::Arc;

use rocket::Request;
use rocket::request::{FromRequest, Outcome};
use sha2::{Digest, Sha256};
use shop_common::users::Email;

use super::fields::Reports;
use super::quota::Verdict;
use super::shared::Taken;
use super::{Group, Limited, Limiters, Login, RateLimits};
use crate::catchers::Refused;
use crate::client_address::ClientAddress;
use crate::error::ApiError;

/// Proof that the address may try to log in (or to register, with that group). What is tried is [counted](Self::attempt) too.
pub(crate) struct Logins<'r, G = Login> {
    limiters: Option<Arc<Limiters>>,
    address: ClientAddress,
    reports: &'r Reports,
    group: PhantomData<G>,
}

#[rocket::async_trait]
impl<'r, G: Group> FromRequest<'r> for Logins<'r, G> {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Refused> {
        request.guard::<Limited<G>>().await.map(|_| Self {
            limiters: request.rocket().state::<RateLimits>().and_then(|limits| limits.0.clone()),
            address: *ClientAddress::of(request),
            reports: Reports::of(request),
            group: PhantomData,
        })
    }
}

impl<G> Logins<'_, G> {
    /// Counts a try to log in with that email, before anything is looked up: whether there is such an account makes
    /// no difference.
    ///
    /// # Errors
    /// `RateLimited`, when there were too many.
    pub(crate) async fn attempt(&self, email: &str) -> Result<(), ApiError> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        let verdict = limiters.check_account(&Account::new(email, self.address)).await;
        let limiter = &limiters.login_account;
        limiter.decided(verdict);
        self.reports.add(limiter.policy(), limiter.quota(), verdict);
        if verdict.admitted { Ok(()) } else { Err(ApiError::RateLimited(verdict.seconds())) }
    }

    /// From now on the address is known for the account.
    pub(crate) async fn succeeded(&self, email: &str) {
        if let Some(limiters) = &self.limiters {
            limiters.shared.remember(&Account::new(email, self.address).known, limiters.known_for).await;
        }
    }
}

/// The names of an account, and of an account from an address, in Redis.
struct Account {
    /// The account.
    everywhere: String,
    /// The account, from this address.
    here: String,
    /// What is there if somebody has logged in to the account from this address.
    known: String,
}

impl Account {
    fn new(email: &str, address: ClientAddress) -> Self {
        // What is no email has no account, and is counted all the same.
        let email =
            email.parse().map_or_else(|_| email.trim().to_lowercase(), |email: Email| email.as_str().to_owned());
        let account = Sha256::digest(email.as_bytes());
        let here = Sha256::new().chain_update(account).chain_update(address.network()).finalize();
        let (everywhere, here) = (format!("{account:x}"), format!("{here:x}"));
        let known = format!("known:{here}");
        Self { everywhere, here, known }
    }
}

impl Limiters {
    /// Counts a try at an account, by one token of each limit or of none: who is refused from one address spends
    /// nothing of what the other addresses share. The client is told of its own quota, and never how much others have used.
    async fn check_account(&self, account: &Account) -> Verdict {
        let (own, others) = (&self.login_account, &self.login_strangers);
        let Some(taken) = self.take_of_account(account).await else {
            let here = own.check_locally(&account.here);
            let everywhere = if here.admitted { others.check_locally(&account.everywhere) } else { here };
            return if everywhere.admitted { here } else { everywhere };
        };
        let admitted = taken.tokens > 0;
        let verdicts = taken.whole_in.iter().zip([own, others]);
        let mut verdicts = verdicts.map(|(whole_in, limit)| Verdict::new(admitted, limit.quota(), *whole_in));
        // There is one for each limit.
        let here = verdicts.next().unwrap_or(Verdict { admitted, left: 0, wait: own.quota().interval() });
        match verdicts.next().filter(|everywhere| !admitted && everywhere.left == 0) {
            // Where both refuse, the longer wait is the true one.
            Some(everywhere) if here.left > 0 || everywhere.wait > here.wait => everywhere,
            _ => here,
        }
    }

    /// `None` while Redis is away.
    async fn take_of_account(&self, account: &Account) -> Option<Taken> {
        let (own, others) = (&self.login_account, &self.login_strangers);
        let (here, everywhere) = (own.key(&account.here), others.key(&account.everywhere));
        let limits = [(here.as_str(), own.quota()), (everywhere.as_str(), others.quota())];
        let known = self.shared.remembers(&account.known).await?;
        self.shared.take(if known { &limits[..1] } else { &limits }, 1).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_however_it_is_spelled_and_its_email_does_not_show() {
        let (home, cafe) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let ada = Account::new("ada@example.com", home);
        let spelled = Account::new(" Ada@Example.COM", home);
        let elsewhere = Account::new("ada@example.com", cafe);
        let bob = Account::new("bob@example.com", home);

        assert_eq!((&ada.everywhere, &ada.here), (&spelled.everywhere, &spelled.here));
        assert_eq!(ada.everywhere, elsewhere.everywhere);
        assert!(ada.here != elsewhere.here && ada.known != elsewhere.known);
        assert!(ada.everywhere != bob.everywhere && ada.here != bob.here);
        assert!(ada.everywhere.len() == 64 && ada.everywhere.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
