//! `shopctl openapi`: the document of the API, as it is in the repository.

use crate::exit::Failure;
use crate::output;

/// A test of the api keeps it the same as the code's.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(crate) fn print() -> Result<(), Failure> {
    Ok(output::data(DOCUMENT.trim_end())?)
}
