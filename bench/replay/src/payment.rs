//! Which simulated payment method an invoice is paid with: always the same one for the same invoice number.

/// Out of a hundred invoices, how many pay how.
const MIX: [(u64, &str); 5] = [
    (70, "pm_sim_success"),
    (10, "pm_sim_flaky_1"),
    (10, "pm_sim_decline_1_then_success"),
    (5, "pm_sim_timeout_charged"),
    (5, "pm_sim_decline_card_declined"),
];

pub(crate) fn method(invoice: &str) -> &'static str {
    let mut share = hash(invoice) % 100;
    for (part, method) in MIX {
        if share < part {
            return method;
        }
        share -= part;
    }
    MIX[0].1
}

/// FNV-1a, which unlike the standard library's hash is the same in every release.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_always_paid_the_same_way() {
        assert_eq!(method("536365"), method("536365"));
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c, "the published value");
    }

    #[test]
    fn successive_invoices_are_spread_over_the_mix_as_promised() {
        let numbers: Vec<String> = (536_365..556_365).map(|number| number.to_string()).collect();
        for (part, method_of_part) in MIX {
            let met = numbers.iter().filter(|number| method(number) == method_of_part).count();
            let promised = numbers.len() * usize::try_from(part).expect("small") / 100;
            assert!(met.abs_diff(promised) < numbers.len() / 100, "{method_of_part}: {met} of {promised}");
        }
    }
}
