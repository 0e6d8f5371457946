//! Prints the OpenAPI document; `make openapi` keeps it in `docs/openapi.json`.

fn main() {
    print!("{}", shop_api::openapi::json());
}
