//! Methods: what can be done at an address, as the mounted routes say. There is no other list of them.

use std::fmt;

use rocket::Request;
use rocket::http::{Header, Method, Status};
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest};

use crate::catchers::Refused;

/// The methods that an address can have, in the order in which they are named.
const KNOWN: [Method; 7] =
    [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

/// What can be done at an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Methods(Vec<Method>);

impl Methods {
    /// What can be done at the address of a request. `None` when there is nothing.
    pub(crate) fn of(request: &Request<'_>) -> Option<Self> {
        let path: Vec<&str> = request.uri().path().segments().collect();
        // The route that answers browsers fits every path: it does not say that something is there.
        let mounted = request.rocket().routes().filter(|route| route.method != Method::Options);
        Self::new(mounted.filter(|route| fits(route.uri.path(), &path)).map(|route| route.method).collect())
    }

    /// HEAD is Rocket's answer wherever GET is one; OPTIONS is answered wherever something is.
    fn new(routes: Vec<Method>) -> Option<Self> {
        if routes.is_empty() {
            return None;
        }
        let there = |method| match method {
            Method::Options => true,
            Method::Head => routes.contains(&Method::Get),
            method => routes.contains(&method),
        };
        Some(Self(KNOWN.into_iter().filter(|method| there(*method)).collect()))
    }

    /// Whether this is among it.
    pub(crate) fn has(&self, method: Method) -> bool {
        self.0.contains(&method)
    }

    /// The header that says it.
    pub(crate) fn allow(&self) -> Header<'static> {
        Header::new("Allow", self.to_string())
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, method) in self.0.iter().enumerate() {
            write!(f, "{}{method}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Methods {
    type Error = Refused;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Refused> {
        match Self::of(request) {
            Some(methods) => Outcome::Success(methods),
            None => Outcome::Forward(Status::NotFound),
        }
    }
}

/// Whether a path fits a route, as Rocket sees it.
fn fits(route: &str, path: &[&str]) -> bool {
    let mut rest = path.iter();
    for part in route.split('/').filter(|part| !part.is_empty()) {
        if part.starts_with('<') && part.ends_with("..>") {
            return true;
        }
        match rest.next() {
            Some(segment) if part.starts_with('<') || part == *segment => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_a_route_as_rocket_sees_it() {
        for (route, path, expected) in [
            ("/", vec![], true),
            ("/products", vec!["products"], true),
            ("/products", vec!["product"], false),
            ("/products", vec!["products", "7"], false),
            ("/products/<id>", vec!["products"], false),
            ("/products/<id>", vec!["products", "7"], true),
            ("/orders/<id>/cancel", vec!["orders", "7", "cancel"], true),
            ("/orders/<id>/cancel", vec!["orders", "7", "refund"], false),
            ("/socket.io/<..>", vec!["socket.io"], true),
            ("/socket.io/<path..>", vec!["socket.io", "a", "b"], true),
            ("/socket.io/<..>", vec!["socket"], false),
        ] {
            assert_eq!(fits(route, &path), expected, "{route} {path:?}");
        }
    }

    #[test]
    fn head_is_where_get_is_and_options_where_anything_is() {
        let named = |routes: &[Method]| Methods::new(routes.to_vec()).map(|methods| methods.to_string());
        assert_eq!(named(&[Method::Delete, Method::Get]).as_deref(), Some("GET, HEAD, DELETE, OPTIONS"));
        assert_eq!(named(&[Method::Post]).as_deref(), Some("POST, OPTIONS"));
        assert_eq!(named(&[]), None);
    }
}
