//! `/docs`: a page to read the document and try it, from files that are in the program itself.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use rocket::http::uri::Origin;
use rocket::http::{ContentType, Header};
use rocket::request::Request;
use rocket::response::{self, Redirect, Responder, Response};
use rocket::{Either, State, get};
use utoipa_swagger_ui::SwaggerFile;

use crate::error::ApiError;
use crate::rate_limit::{Limited, Reads};

/// What the page may load: its own files, and nothing from elsewhere. (Swagger UI sets styles in the page.)
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How the page is set up.
pub(crate) struct Page(Arc<utoipa_swagger_ui::Config<'static>>);

impl Page {
    pub(crate) fn new() -> Self {
        let config = utoipa_swagger_ui::Config::from("/openapi.json")
            .try_it_out_enabled(true)
            .persist_authorization(false)
            .display_request_duration(true)
            // Nobody outside is asked whether the document is good.
            .validator_url("none");
        Self(Arc::new(config))
    }
}

/// The page, or a file that it loads.
#[get("/docs/<path..>")]
pub(crate) fn show(
    _limit: Limited<Reads>,
    path: PathBuf,
    uri: &Origin<'_>,
    page: &State<Page>,
) -> Result<Either<Redirect, File>, ApiError> {
    // What the page loads is beside it, so its address needs the slash, which Rocket does without.
    if uri.path() == "/docs" {
        return Ok(Either::Left(Redirect::permanent("/docs/")));
    }
    let name = path.to_str().ok_or(ApiError::NoRoute)?;
    match utoipa_swagger_ui::serve(name, Arc::clone(&page.0)) {
        Ok(Some(file)) => Ok(Either::Right(File(file))),
        Ok(None) => Err(ApiError::NoRoute),
        Err(error) => Err(ApiError::Internal(error.to_string())),
    }
}

/// A file of the page.
pub(crate) struct File(SwaggerFile<'static>);

impl<'r> Responder<'r, 'static> for File {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let Self(file) = self;
        Response::build()
            .header(file.content_type.parse().unwrap_or(ContentType::Binary))
            .header(Header::new("Content-Security-Policy", POLICY))
            .header(Header::new("Cache-Control", "no-cache"))
            .sized_body(file.bytes.len(), Cursor::new(file.bytes))
            .ok()
    }
}
