//! The OpenAPI document, for tests that go through every operation there is.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap());

/// An operation, as the document has it.
#[derive(Clone)]
pub struct Operation {
    /// Its name.
    pub id: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, with its parameters in braces.
    pub path: &'static str,
    described: &'static Value,
}

/// All operations.
pub fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'static String, &'static Value)| {
        item.as_object().unwrap().iter().map(move |(method, described)| Operation {
            id: described["operationId"].as_str().unwrap(),
            method: method.to_uppercase().parse().unwrap(),
            path,
            described,
        })
    };
    paths.iter().flat_map(of_path).collect()
}

impl Operation {
    /// Its path with that in place of the parameter.
    pub fn path_to(&self, thing: &str) -> String {
        match self.path.split_once('{') {
            Some((start, rest)) => format!("{start}{thing}{}", rest.split_once('}').unwrap().1),
            None => self.path.to_owned(),
        }
    }

    /// Whether it takes a token.
    pub fn takes_token(&self) -> bool {
        self.described["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way.get("token").is_some()))
    }

    /// Whether it takes a body.
    pub fn takes_body(&self) -> bool {
        self.described.get("requestBody").is_some()
    }

    /// The parameters of its query.
    pub fn query(&self) -> impl Iterator<Item = &'static str> {
        let parameters = self.described["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        parameters.iter().filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap())
    }

    /// Whether it may be answered with that error.
    pub fn names(&self, status: &str, code: &str) -> bool {
        !self.described["responses"][status]["content"]["application/problem+json"]["examples"][code].is_null()
    }
}
