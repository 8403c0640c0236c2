//! The query of a request, where anything malformed is refused.

use axum::extract::Query;
use http::Uri;
use rowhouse_proto::{ErrorCode, Refusal};

use crate::respond::Rejection;

/// Items of a page that says nothing of its length.
const LIMIT_DEFAULT: u16 = 100;
/// Items of a page at most; who asks for more gets so many.
const LIMIT_MAX: u16 = 1000;

/// The pairs of a query.
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query. One that is none is refused.
    pub fn of(uri: &Uri) -> Result<Self, Rejection> {
        match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(refused) => Err(invalid(refused.body_text())),
        }
    }

    /// The value of a parameter that may stand once.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(invalid(format!("{name} stands twice")));
        }
        Ok(first)
    }

    /// `limit`: from 1 to 65535, but no page has more than 1000 items.
    pub fn limit(&self) -> Result<u16, Rejection> {
        match self.get("limit")?.map(str::parse::<u16>) {
            None => Ok(LIMIT_DEFAULT),
            Some(Ok(limit)) if limit > 0 => Ok(limit.min(LIMIT_MAX)),
            Some(_) => Err(invalid("limit must be from 1 to 65535")),
        }
    }

    /// The choice that `name` makes; the first one if it makes none.
    pub fn one_of<T: Copy, const N: usize>(
        &self,
        name: &str,
        choices: [(&str, T); N],
    ) -> Result<T, Rejection> {
        let names = || choices.map(|(choice, _)| choice).join(", ");
        let chosen = match self.get(name)? {
            None => choices.first(),
            Some(given) => choices.iter().find(|(choice, _)| *choice == given),
        };
        chosen.map(|(_, value)| *value).ok_or_else(|| invalid(format!("{name} must be one of {}", names())))
    }
}

/// 400 with what is wrong.
pub fn invalid(why: impl Into<String>) -> Rejection {
    Refusal::new(ErrorCode::InvalidParameter, why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Params {
        Params::of(&format!("/users?{query}").parse().expect("uri")).expect("pairs")
    }

    #[test]
    fn limits_are_bounded_and_never_zero() {
        for (query, limit) in [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("limit=65535", 1000)] {
            assert_eq!(of(query).limit(), Ok(limit), "{query}");
        }
        for query in ["limit=0", "limit=", "limit=-1", "limit=65536", "limit=x", "limit=1&limit=2"] {
            assert_eq!(of(query).limit().map_err(|refused| refused.code()), Err(ErrorCode::InvalidParameter));
        }
    }

    #[test]
    fn choices_are_exact_and_the_first_is_the_default() {
        let state = |query: &str| of(query).one_of("state", [("all", 1), ("used", 2)]);
        assert_eq!((state(""), state("state=used"), state("other=1")), (Ok(1), Ok(2), Ok(1)));
        for query in ["state=", "state=USED", "state=none"] {
            let refused = state(query).expect_err(query);
            assert_eq!(Refusal::from(refused).text(), "state must be one of all, used");
        }
    }
}
