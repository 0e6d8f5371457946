//! Bodies go out in one piece.
//!
//! Rocket hands a body to hyper 4 KiB at a time, over a channel; most of ours are larger, and all are in memory already.
//! A stream has no size, and stays as it is.

use rocket::fairing::{Fairing, Info, Kind};
use rocket::{Request, Response};

/// No body is copied into a larger buffer than this at once.
const LARGEST: usize = 1 << 20;

/// Sends each body whose size is known as one chunk.
pub(crate) struct WholeBodies;

#[rocket::async_trait]
impl Fairing for WholeBodies {
    fn info(&self) -> Info {
        Info { name: "Whole bodies", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, _: &'r Request<'_>, response: &mut Response<'r>) {
        if let Some(size) = response.body().preset_size() {
            response.set_max_chunk_size(size.clamp(1, LARGEST));
        }
    }
}
