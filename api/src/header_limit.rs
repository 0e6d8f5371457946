//! How large the headers of a request may be, all together.
//!
//! What is far larger never comes here: hyper refuses more than 100 headers, or some 400 KiB of them, with a bare 431.

use rocket::data::ToByteUnit;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::{Data, Request};

use crate::catchers;
use crate::error::ApiError;

/// Turns away requests whose headers are larger than `limits.headers` of the settings.
pub(crate) struct HeaderLimit;

#[rocket::async_trait]
impl Fairing for HeaderLimit {
    fn info(&self) -> Info {
        Info { name: "Header limit", kind: Kind::Request }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        let limit = request.limits().get("headers").unwrap_or(16.kibibytes());
        let bytes: usize = request.headers().iter().map(|header| header.name.len() + header.value().len()).sum();
        if bytes.bytes() > limit {
            catchers::turn_away(request, ApiError::HeadersTooLarge { limit: limit.to_string() });
        }
    }
}
