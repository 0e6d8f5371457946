//! What to try in a shop that has just been started: lines to copy and paste.

use std::path::Path;

use crate::stack::home::shell_quote;
use crate::stack::state::StackState;

/// The text that `up` prints once everything answers.
pub(super) fn text(state: &StackState, dir: &Path, detached: bool) -> String {
    let url = &state.base_url;
    let (me, dir) = (invoked_as(), dir_option(dir));
    let (stop, what) = match detached {
        true => (format!("{me} down{dir}"), "stop everything"),
        false => ("Ctrl-C".to_owned(), "stop everything; the data stay"),
    };
    let development = std::env::var("ROCKET_PROFILE").map_or(true, |profile| profile == "development");
    let admin = if development { "  admin   admin@example.com / password\n" } else { "" };
    let order = state.sample_product.as_deref().map_or_else(String::new, |product| order(url, product));
    format!(
        r#"
The shop is open: {url}

{admin}
Try it in another terminal:

  # register a customer
  curl -s {url}/auth/register -H 'content-type: application/json' -d '{{"email":"ada@example.com","password":"Corr3ct-horse","name":"Ada"}}'

  # log in, and keep the token
  TOKEN=$(curl -s {url}/auth/login -H 'content-type: application/json' -d '{{"email":"ada@example.com","password":"Corr3ct-horse"}}' | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

  # list the products
  curl -s {url}/products
{order}
  # see what became of it: PENDING, PROCESSING, COMPLETED
  curl -s {url}/orders -H "authorization: Bearer $TOKEN"

  # check that every number adds up; see what runs, and where
  {me} verify{dir}
  {me} status{dir}

  # {what}
  {stop}
"#
    )
}

/// How shopctl was called, so that its own lines can be pasted too.
fn invoked_as() -> String {
    std::env::args().next().map_or_else(|| "shopctl".to_owned(), |program| shell_quote(&program))
}

/// The simulated gateway fails twice before it charges, which shows the worker
/// trying again.
fn order(url: &str, product: &str) -> String {
    format!(
        r#"
  # order one; the gateway fails twice, and then charges
  curl -s {url}/orders -H "authorization: Bearer $TOKEN" -H "idempotency-key: first-order" -H 'content-type: application/json' -d '{{"items":[{{"productId":"{product}","quantity":1}}],"paymentMethod":"pm_sim_flaky_2"}}'
"#
    )
}

/// The `--dir` that later commands need to find this shop.
fn dir_option(dir: &Path) -> String {
    if dir == Path::new(".shop") {
        return String::new();
    }
    format!(" --dir {}", shell_quote(&dir.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_folder_needs_no_option() {
        assert_eq!(dir_option(Path::new(".shop")), "");
        assert_eq!(dir_option(Path::new("/srv/my shop")), " --dir '/srv/my shop'");
    }

    #[test]
    fn an_order_can_be_pasted_as_it_is() {
        let order = order("http://127.0.0.1:3000", "p1");
        assert!(order.contains(r#"-d '{"items":[{"productId":"p1","quantity":1}],"paymentMethod":"pm_sim_flaky_2"}'"#));
    }
}
