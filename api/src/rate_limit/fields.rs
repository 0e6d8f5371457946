//! `RateLimit` and `RateLimit-Policy`: what the limits of a request say, in the headers of its answer.
//!
//! As in <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/>: lists of structured fields, one
//! item per limit that the request had to pass.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Header;
use rocket::{Request, Response};

use super::quota::{Quota, Verdict, seconds_up};

/// What the limits of one request have said.
#[derive(Default)]
pub(super) struct Reports(Mutex<Vec<Report>>);

#[derive(Debug, Clone, Copy)]
struct Report {
    policy: &'static str,
    quota: Quota,
    verdict: Verdict,
}

impl Reports {
    pub(super) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    pub(super) fn add(&self, policy: &'static str, quota: Quota, verdict: Verdict) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Report { policy, quota, verdict });
    }

    /// The values of both fields; none where there was no limit.
    fn render(&self) -> Option<[String; 2]> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut policies, mut limits) = (String::new(), String::new());
        for Report { policy, quota, verdict } in &*reports {
            let comma = if policies.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(policies, "{comma}\"{policy}\";q={};w={}", quota.burst(), seconds_up(quota.window()));
            let _ = write!(limits, "{comma}\"{policy}\";r={};t={}", verdict.left, verdict.seconds());
        }
        (!reports.is_empty()).then_some([policies, limits])
    }
}

/// Puts the fields into the answers.
pub(crate) struct Fields;

#[rocket::async_trait]
impl Fairing for Fields {
    fn info(&self) -> Info {
        Info { name: "RateLimit fields", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let Some([policies, limits]) = Reports::of(request).render() else { return };
        response.set_header(Header::new("RateLimit-Policy", policies));
        response.set_header(Header::new("RateLimit", limits));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shop_common::config::RateLimit;

    use super::*;

    #[test]
    fn each_limit_is_an_item_and_times_are_rounded_up() {
        let quota = |per_minute: u32, burst: u32| {
            Quota::from(RateLimit { per_minute: per_minute.try_into().unwrap(), burst: burst.try_into().unwrap() })
        };
        let reports = Reports::default();
        assert_eq!(reports.render(), None);

        reports.add(
            "writes",
            quota(600, 600),
            Verdict { admitted: true, left: 599, wait: Duration::from_millis(1001) },
        );
        reports.add("login", quota(7, 3), Verdict { admitted: false, left: 0, wait: Duration::from_secs(9) });

        let [policies, limits] = reports.render().unwrap();
        assert_eq!(policies, r#""writes";q=600;w=60, "login";q=3;w=26"#);
        assert_eq!(limits, r#""writes";r=599;t=2, "login";r=0;t=9"#);
    }
}
