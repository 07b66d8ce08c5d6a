//! The page's question: why is a key answered as it is?

use crate::convert;
use crate::failure::{Failure, Reason};
use crate::page::looked::Looked;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use cache_core::ops::page::parts;
use serde::{Deserialize, Serialize};

/// The key in question.
#[derive(Debug, Deserialize)]
pub struct Asked {
    cache: String,
    key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// What it is answered, in a few lines.
    Text(String),
    /// Why it is not told.
    Refused(String),
}

/// Answers it. What is sent has to be said to be JSON: a page from elsewhere cannot have a
/// browser say so here without asking first, which nothing here grants.
pub async fn explain(State(looked): State<Looked>, Json(asked): Json<Asked>) -> Response {
    match explained(&looked, &asked).await {
        Ok(text) => parts::moment(Said::Text(text)),
        Err(failure) => {
            let said = parts::moment(Said::Refused(failure.message));
            (StatusCode::UNPROCESSABLE_ENTITY, said).into_response()
        }
    }
}

async fn explained(looked: &Looked, asked: &Asked) -> Result<String, Failure> {
    if looked.callers.ask() {
        let why = "callers are asked who they are here, and a browser has no token; \
                   `cache-agent inspect` has one";
        return Err(Failure::new(Reason::CacheForbidden, why));
    }
    let key = asked.key.clone().into_bytes();
    convert::key(&key)?;
    let open = looked.agent.caches.find(&asked.cache)?;
    let open = open.ok_or_else(Failure::not_joined)?;
    let explanation = open.cache.explain(&key).await.map_err(Failure::from)?;
    Ok(explanation.to_string())
}
