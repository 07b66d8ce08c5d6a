//! The gRPC methods: unpack, call, pack.

use crate::callers::{Names, permit};
use crate::calls::Agent;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::proto::v1;
use crate::proto::v1::cache_service_server::CacheService;
use crate::proto::v1::invalidation_service_server::InvalidationService;
use tonic::{Request, Response, Status};

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

    fn unpack<T: Names>(&self, request: Request<T>) -> Result<(T, Deadline), Failure> {
        permit(&request)?;
        let deadline = Deadline::of(request.metadata(), self.agent.deadline);
        Ok((request.into_inner(), deadline))
    }
}

#[tonic::async_trait]
impl CacheService for Service {
    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let (request, deadline) = self.unpack(request)?;
        Ok(Response::new(self.agent.get(request, deadline).await?))
    }

    async fn batch_get(
        &self,
        request: Request<v1::BatchGetRequest>,
    ) -> Result<Response<v1::BatchGetResponse>, Status> {
        let (request, deadline) = self.unpack(request)?;
        let results = self.agent.batch_get(request.requests, deadline).await?;
        Ok(Response::new(v1::BatchGetResponse { results }))
    }

    async fn fill(
        &self,
        request: Request<v1::FillRequest>,
    ) -> Result<Response<v1::FillResponse>, Status> {
        let (request, deadline) = self.unpack(request)?;
        Ok(Response::new(self.agent.fill(request, deadline).await?))
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        let (request, _) = self.unpack(request)?;
        self.agent.release(&request)?;
        Ok(Response::new(v1::ReleaseLeaseResponse {}))
    }

    async fn set(
        &self,
        request: Request<v1::SetRequest>,
    ) -> Result<Response<v1::SetResponse>, Status> {
        let (request, deadline) = self.unpack(request)?;
        Ok(Response::new(self.agent.set(request, deadline).await?))
    }
}

#[tonic::async_trait]
impl InvalidationService for Service {
    async fn invalidate(
        &self,
        request: Request<v1::InvalidateRequest>,
    ) -> Result<Response<v1::InvalidateResponse>, Status> {
        let (request, deadline) = self.unpack(request)?;
        let l2_acknowledged = self.agent.invalidate(request, deadline).await?;
        Ok(Response::new(v1::InvalidateResponse { l2_acknowledged }))
    }
}
