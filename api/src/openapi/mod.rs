//! The OpenAPI document: what the API takes and gives, made from the code that does it.
//!
//! Each handler carries the description of its operation. A test holds the document against the mounted routes,
//! and another one against the copy in `docs/openapi.json`, which is what `shopctl openapi` prints.

pub(crate) mod page;
pub(crate) mod problems;

use std::sync::LazyLock;

use rocket::get;
use rocket::http::ContentType;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, OpenApi, RefOr, Schema, Type};
use utoipa::{Modify, OpenApi as _};

use self::problems::{Limits, Problems};
use crate::error::{ApiError, Problem};
use crate::methods::Methods;
use crate::rate_limit::{Limited, Reads};
use crate::{auth, health, orders, products, realtime, refunds, stock};

/// The name of the security scheme of access tokens.
const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Shop",
        description = "Orders, payments and products. Errors are `application/problem+json` (RFC 9457): clients decide by `code`, \
                       which is stable; `detail` is for people.",
    ),
    servers((url = "/", description = "where this document comes from")),
    tags(
        (name = "auth", description = "Accounts and tokens"),
        (name = "products", description = "The catalogue: public to read, kept by admins"),
        (name = "orders", description = "A customer's own orders"),
        (name = "health", description = "How the server is"),
    ),
    paths(
        auth::register,
        auth::register_as_reference,
        auth::login,
        auth::login_as_reference,
        auth::sessions::refresh,
        auth::sessions::logout,
        auth::sessions::logout_all,
        auth::account::me,
        auth::account::change_password,
        auth::tickets::issue,
        products::list,
        products::show,
        products::create,
        products::update,
        products::delete,
        orders::place,
        orders::list,
        orders::show,
        orders::events,
        orders::cancel,
        refunds::request,
        stock::list,
        realtime::websocket::open,
        health::live,
        health::ready,
        health::metrics,
        document,
    ),
    components(schemas(Problem)),
    modifiers(&TokenScheme, &Elsewhere, &HeadersOfAll, &NeverNull),
)]
struct Document;

/// How requests are authenticated.
struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        scheme.description = Some("The access token that POST /login gives.".to_owned());
        document.components.get_or_insert_default().add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    }
}

/// What is answered where there is no operation.
struct Elsewhere;

impl Modify for Elsewhere {
    fn modify(&self, document: &mut OpenApi) {
        let responses = &mut document.components.get_or_insert_default().responses;
        for (name, error) in [
            ("NoSuchAddress", ApiError::NoRoute),
            ("NoSuchMethod", ApiError::MethodNotAllowed(Methods::default())),
            ("NotAccepted", ApiError::Other(406)),
        ] {
            responses.insert(name.to_owned(), problems::response(&[error]).into());
        }
    }
}

/// The headers that every answer has.
struct HeadersOfAll;

impl Modify for HeadersOfAll {
    fn modify(&self, document: &mut OpenApi) {
        let id = header("The name of the request in the logs; a plain one that the client sends is kept.");
        let limits = [
            ("RateLimit-Policy", self::header("How many requests the client may send, and in which time.")),
            ("RateLimit", self::header("How many of them are left, and when there are more.")),
        ];
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let limited = operation.responses.responses.contains_key("429");
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                response.headers.insert("X-Request-Id".to_owned(), id.clone().into());
                for (name, header) in limits.iter().filter(|_| limited) {
                    response.headers.insert((*name).to_owned(), header.clone().into());
                }
            }
        }
    }
}

/// Parameters and headers that may be left out: then they are not there. `null` is no value of theirs.
struct NeverNull;

impl Modify for NeverNull {
    fn modify(&self, document: &mut OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let parameters = operation.parameters.iter_mut().flatten().filter_map(inline);
            let responses = operation.responses.responses.values_mut().filter_map(inline);
            let headers = responses.flat_map(|response| response.headers.values_mut()).filter_map(inline);
            let schemas =
                parameters.map(|parameter| &mut parameter.schema).chain(headers.map(|header| &mut header.schema));
            for schema in schemas.flatten() {
                if let Some(Schema::Object(object)) = inline(schema)
                    && let SchemaType::Array(types) = &object.schema_type
                    && let [one, Type::Null] = types.as_slice()
                {
                    object.schema_type = SchemaType::Type(one.clone());
                }
            }
        }
    }
}

/// What is written here, and not elsewhere with a reference to it.
fn inline<T>(part: &mut RefOr<T>) -> Option<&mut T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

/// A header of an answer.
fn header(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// The operations of a path.
fn operations(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// The document as JSON, for people to read: with line breaks and a last one.
pub fn json() -> String {
    Document::openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_default()
}

static JSON: LazyLock<String> = LazyLock::new(json);

/// Read this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "health",
    operation_id = "openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/json"), Problems<(Limits,)>)
)]
#[get("/openapi.json")]
pub(crate) fn document(_limit: Limited<Reads>) -> (ContentType, &'static str) {
    (ContentType::JSON, &JSON)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rocket::http::Method;

    use super::*;

    /// What is mounted but no operation: pages for people, and the answers to browsers that ask before they ask.
    fn is_operation(route: &rocket::Route) -> bool {
        route.method != Method::Options && !route.uri.path().starts_with("/docs")
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let mounted: BTreeSet<String> = crate::url_map()
            .iter()
            .filter(|route| is_operation(route))
            .map(|route| format!("{} {}", route.method, route.uri.path().replace('<', "{").replace('>', "}")))
            .collect();

        let document = Document::openapi();
        let described: BTreeSet<String> = document
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                [("GET", &item.get), ("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete)]
                    .into_iter()
                    .filter(|(_, operation)| operation.is_some())
                    .map(move |(method, _)| format!("{method} {path}"))
            })
            .collect();

        assert_eq!(described, mounted);
    }

    #[test]
    fn every_code_of_an_error_is_in_the_document_with_an_example() {
        let document = json();
        // Another test holds this table against the code.
        let (_, errors) = include_str!("../../../docs/api.md").split_once("## Errors").unwrap();
        let (errors, _) = errors.split_once("\n## ").unwrap();
        let codes: Vec<&str> = errors
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | `")?.1.split('`').next())
            .collect();
        assert!(codes.len() > 40, "{codes:?}");
        let missing: Vec<_> =
            codes.iter().filter(|code| !document.contains(&format!("\"code\": \"{code}\""))).collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }

    #[test]
    fn the_copy_for_readers_is_the_document() {
        let copy = include_str!("../../../docs/openapi.json");
        assert!(copy == json(), "docs/openapi.json is old, `make openapi` writes it anew");
    }
}
