//! The gRPC methods: unpack, call, pack.

use crate::callers::{Caller, permit};
use crate::calls::Agent;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::metadata::{self, Carries};
use crate::names::Names;
use crate::proto::v1;
use crate::proto::v1::cache_service_server::CacheService;
use crate::proto::v1::invalidation_service_server::InvalidationService;
use crate::proto::v1::stream_service_server::StreamService;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use tonic::{Request, Response, Status, Streaming};

/// What a method that streams answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The services of the API over one agent.
#[derive(Clone, Debug)]
pub struct Service {
    agent: Agent,
}

impl Service {
    /// The services over `agent`.
    pub fn new(agent: Agent) -> Self {
        Self { agent }
    }

    fn deadline<T>(&self, request: &Request<T>) -> Deadline {
        Deadline::of(request.metadata(), self.agent.limits.load().deadline)
    }

    /// One call: its session may come and go in the metadata.
    async fn one<Q: Carries + Names, A: Carries>(
        &self,
        request: Request<Q>,
        call: impl AsyncFnOnce(&Agent, Q, Deadline) -> Result<A, Failure>,
    ) -> Result<Response<A>, Status> {
        permit(&request)?;
        let deadline = self.deadline(&request);
        let (request, carried) = metadata::unpack(request)?;
        let answer = call(&self.agent, request, deadline).await?;
        metadata::pack(answer, carried)
    }
}

#[tonic::async_trait]
impl CacheService for Service {
    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            agent.get(request, deadline).await
        })
        .await
    }

    async fn batch_get(
        &self,
        request: Request<v1::BatchGetRequest>,
    ) -> Result<Response<v1::BatchGetResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            let results = agent.batch_get(request.requests, deadline).await?;
            Ok(v1::BatchGetResponse { results })
        })
        .await
    }

    type StreamBatchGetStream = Answers<v1::StreamBatchGetResponse>;

    async fn stream_batch_get(
        &self,
        request: Request<v1::StreamBatchGetRequest>,
    ) -> Result<Response<Self::StreamBatchGetStream>, Status> {
        permit(&request)?;
        let deadline = self.deadline(&request);
        let (request, _) = metadata::unpack(request)?;
        let known = self.agent.stream_batch_get(request.requests, deadline)?;
        Ok(Response::new(Box::pin(known.map(Ok))))
    }

    async fn fill(
        &self,
        request: Request<v1::FillRequest>,
    ) -> Result<Response<v1::FillResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            agent.fill(request, deadline).await
        })
        .await
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        permit(&request)?;
        self.agent.release(request.get_ref())?;
        Ok(Response::new(v1::ReleaseLeaseResponse {}))
    }

    async fn set(
        &self,
        request: Request<v1::SetRequest>,
    ) -> Result<Response<v1::SetResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            agent.set(request, deadline).await
        })
        .await
    }

    async fn batch_set(
        &self,
        request: Request<v1::BatchSetRequest>,
    ) -> Result<Response<v1::BatchSetResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            let results = agent.batch_set(request.requests, deadline).await?;
            Ok(v1::BatchSetResponse { results })
        })
        .await
    }

    async fn touch(
        &self,
        request: Request<v1::TouchRequest>,
    ) -> Result<Response<v1::TouchResponse>, Status> {
        permit(&request)?;
        let deadline = self.deadline(&request);
        let touched = self.agent.touch(request.into_inner(), deadline).await?;
        Ok(Response::new(touched))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            agent.delete(request, deadline).await
        })
        .await
    }
}

#[tonic::async_trait]
impl InvalidationService for Service {
    async fn invalidate(
        &self,
        request: Request<v1::InvalidateRequest>,
    ) -> Result<Response<v1::InvalidateResponse>, Status> {
        self.one(request, async |agent, request, deadline| {
            agent.invalidate(request, deadline).await
        })
        .await
    }

    type WatchStream = Answers<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        permit(&request)?;
        let caller = request.extensions().get::<Caller>().cloned();
        let told = self.agent.watch(request.into_inner(), caller)?;
        let told = told.map(|one| one.map_err(Status::from));
        Ok(Response::new(Box::pin(told)))
    }
}

#[tonic::async_trait]
impl StreamService for Service {
    type ExchangeStream = Answers<v1::ExchangeResponse>;

    async fn exchange(
        &self,
        request: Request<Streaming<v1::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let answers = self.agent.exchange(request.into_inner(), caller)?;
        Ok(Response::new(Box::pin(answers)))
    }
}
