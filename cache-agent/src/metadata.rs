//! Sessions in the metadata of calls, for clients that would not change their messages.

use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, get_result, set_result};
use crate::sessions::Carried;
use tonic::{Request, Response, Status};

/// The metadata that carries a session, of a call and of its answer.
pub const SESSION: &str = "cacheaside-session";

/// A message with a session, or with many.
pub trait Carries {
    /// Each of them.
    fn sessions(&mut self) -> Vec<&mut Option<String>>;
}

/// Gives a call's session to those parts of its message that have none of their own;
/// whether there was one.
///
/// # Errors
/// [`Reason::BadSession`] for metadata that is no text.
pub fn unpack<T: Carries>(request: Request<T>) -> Result<(T, bool), Failure> {
    let (metadata, _, mut message) = request.into_parts();
    let Some(carried) = metadata.get(SESSION) else {
        return Ok((message, false));
    };
    let text = carried.to_str().map_err(|_| {
        let message = format!("the metadata `{SESSION}` is no text");
        Failure::new(Reason::BadSession, message)
    })?;
    for session in message.sessions() {
        session.get_or_insert_with(|| text.to_owned());
    }
    Ok((message, true))
}

/// Says in the metadata what the sessions of an answer have come to, if the call had one
/// there.
///
/// # Errors
/// None that can happen: what the agent wrote, it reads.
pub fn pack<T: Carries>(mut message: T, carried: bool) -> Result<Response<T>, Status> {
    if !carried {
        return Ok(Response::new(message));
    }
    let mut all = Carried::begun();
    for session in message.sessions() {
        all.merge(&Carried::of(session.as_deref())?)?;
    }
    let mut response = Response::new(message);
    if let Some(value) = all.text().and_then(|text| text.parse().ok()) {
        response.metadata_mut().insert(SESSION, value);
    }
    Ok(response)
}

/// Messages with one session.
macro_rules! carry_one {
    ($($message:ident),*) => {$(
        impl Carries for v1::$message {
            fn sessions(&mut self) -> Vec<&mut Option<String>> {
                vec![&mut self.session]
            }
        }
    )*};
}

carry_one!(
    GetRequest,
    GetResponse,
    FillRequest,
    FillResponse,
    SetRequest,
    SetResponse,
    DeleteRequest,
    DeleteResponse,
    InvalidateRequest,
    InvalidateResponse
);

/// Batches of requests, each with its own.
macro_rules! carry_many {
    ($($message:ident),*) => {$(
        impl Carries for v1::$message {
            fn sessions(&mut self) -> Vec<&mut Option<String>> {
                self.requests.iter_mut().map(|one| &mut one.session).collect()
            }
        }
    )*};
}

carry_many!(BatchGetRequest, StreamBatchGetRequest, BatchSetRequest);

impl Carries for v1::BatchGetResponse {
    fn sessions(&mut self) -> Vec<&mut Option<String>> {
        let answered = self
            .results
            .iter_mut()
            .filter_map(|one| match &mut one.result {
                Some(get_result::Result::Response(response)) => Some(&mut response.session),
                Some(get_result::Result::Failure(_)) | None => None,
            });
        answered.collect()
    }
}

impl Carries for v1::BatchSetResponse {
    fn sessions(&mut self) -> Vec<&mut Option<String>> {
        let answered = self
            .results
            .iter_mut()
            .filter_map(|one| match &mut one.result {
                Some(set_result::Result::Response(response)) => Some(&mut response.session),
                Some(set_result::Result::Failure(_)) | None => None,
            });
        answered.collect()
    }
}
