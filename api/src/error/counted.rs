//! Errors as they are counted: by code, from zero.

use super::ApiError;

/// All codes of [`ApiError`].
const CODES: [&str; 44] = [
    "bad_request",
    "invalid_body",
    "invalid_parameter",
    "invalid_cursor",
    "invalid_quantity",
    "too_many_items",
    "nesting_too_deep",
    "unsupported_media_type",
    "request_timeout",
    "body_too_large",
    "headers_too_large",
    "token_missing",
    "token_invalid",
    "token_expired",
    "token_revoked",
    "refresh_token_invalid",
    "refresh_token_reused",
    "ticket_invalid",
    "origin_not_allowed",
    "wrong_credentials",
    "wrong_password",
    "admin_only",
    "not_found",
    "no_route",
    "method_not_allowed",
    "precondition_failed",
    "email_taken",
    "sku_taken",
    "unknown_product",
    "insufficient_stock",
    "total_too_large",
    "idempotency_key_reused",
    "idempotency_key_in_flight",
    "charge_in_flight",
    "order_already_ended",
    "order_not_refundable",
    "refund_already_requested",
    "rate_limited",
    "too_many_sockets",
    "overloaded",
    "database_unavailable",
    "outcome_unknown",
    "internal_error",
    "not_accepted",
];

/// Makes the counters of all codes, so that the first error of each is seen as a rise.
pub(crate) fn begin() {
    for code in CODES {
        metrics::counter!("shop_api_errors_total", "code" => code).increment(0);
    }
}

impl ApiError {
    /// Counts it, when it is given to a client.
    pub(crate) fn count(&self) {
        metrics::counter!("shop_api_errors_total", "code" => self.code()).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_counted_from_zero() {
        let documented = super::super::tests::documented();
        let documented: BTreeSet<&str> = documented.iter().map(|(_, code)| code.as_str()).collect();
        assert_eq!(BTreeSet::from(CODES), documented);
    }
}
