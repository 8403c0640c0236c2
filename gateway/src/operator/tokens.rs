//! Signup tokens: makes them, lists them.

use rowhouse_proto::domain::quota;
use rowhouse_proto::domain::secret::draw_signup_token;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::meta::list_signup_tokens::State;
use rowhouse_proto::wire::meta::{
    CreateSignupToken, ListSignupTokens, SignupToken, meta_execute_request, meta_query_reply,
    meta_query_request,
};
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;
use crate::signup::held_token;

/// Two tokens in 2^56 are the same: a third draw finds something else wrong.
const DRAWS_MAX: usize = 3;
/// Each round settles what the one before showed. A page that still shows signups that ended meanwhile is shown as it
/// is.
const ROUNDS_MAX: usize = 8;
/// The meta group answers no more at once.
const PAGE_MAX: u32 = 1000;

/// Which tokens are listed, in the order of their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// All, or only used or unused ones.
    pub state: State,
    /// At most so many, up to 1000.
    pub limit: u32,
    /// Only those after this text; empty: from the start.
    pub after: String,
}

/// A page of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenPage {
    /// In the order of their texts.
    pub tokens: Vec<SignupToken>,
    /// `after` of the next page; `None`: there is none.
    pub next: Option<String>,
}

impl Operator {
    /// Makes a token, whose user will have this quota. Refused as `InvalidQuota`, or as `SettingRefused` if there are
    /// as many as there may be.
    pub async fn create_token(&self, quota: UserQuota) -> Result<String, Refusal> {
        quota::check(&quota).map_err(|why| Refusal::new(ErrorCode::InvalidQuota, why))?;
        let mut draws = 1;
        loop {
            let token = draw_signup_token();
            match self.create(&token, quota.clone()).await {
                Ok(()) => return Ok(token),
                Err(refusal) if refusal.code != ErrorCode::SettingRefused || draws == DRAWS_MAX => {
                    return Err(refusal);
                }
                Err(_) => draws += 1,
            }
        }
    }

    async fn create(&self, token: &str, quota: UserQuota) -> Result<(), Refusal> {
        let operator = self.clone();
        let op = meta_execute_request::Op::CreateSignupToken(CreateSignupToken {
            token: token.to_owned(),
            id: rand::random::<[u8; 16]>().to_vec().into(),
            quota: Some(quota),
        });
        self.audited(token, async move { operator.meta_execute(op).await }).await
    }

    /// A page of tokens. What became of signups that broke off is found out first.
    pub async fn tokens(&self, query: &TokenQuery) -> Result<TokenPage, Refusal> {
        let limit = query.limit.min(PAGE_MAX);
        let mut tokens = self.rows(query.state, limit, &query.after).await?;
        for _ in 0..ROUNDS_MAX {
            let held = tokens.iter().filter_map(held_token).collect();
            if !self.settle_ended(held).await? {
                break;
            }
            tokens = self.rows(query.state, limit, &query.after).await?;
        }
        let last = tokens.last().map(|row| row.token.clone()).filter(|_| tokens.len() == limit as usize);
        let next = match last {
            Some(last) if !self.rows(query.state, 1, &last).await?.is_empty() => Some(last),
            _ => None,
        };
        Ok(TokenPage { tokens, next })
    }

    /// One token. Refused as `SignupTokenNotFound` if it was never made.
    pub async fn token(&self, text: &str) -> Result<SignupToken, Refusal> {
        // What sorts right before it: its beginning.
        let after = text.char_indices().next_back().map_or("", |(last, _)| &text[..last]);
        let query = TokenQuery { state: State::All, limit: PAGE_MAX, after: after.to_owned() };
        let found = self.tokens(&query).await?.tokens.into_iter().find(|row| row.token == text);
        found.ok_or_else(|| ErrorCode::SignupTokenNotFound.into())
    }

    async fn rows(&self, state: State, limit: u32, after: &str) -> Result<Vec<SignupToken>, Refusal> {
        let asked = ListSignupTokens { after: after.to_owned(), limit, state: state.into() };
        match self.meta_query(meta_query_request::Op::ListSignupTokens(asked)).await? {
            meta_query_reply::Result::SignupTokenPage(page) => Ok(page.tokens),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}
