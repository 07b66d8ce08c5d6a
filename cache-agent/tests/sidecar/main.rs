//! The sidecar as its callers see it: over gRPC, on both doors, on the embedded
//! domain and on real servers, and as a process.

mod accept;
mod callers;
mod control;
mod life;
mod process;
mod reads;
mod refusals;
mod settings;
mod world;
mod writes;

/// Runs one case on each ground, as two tests.
macro_rules! on_each_ground {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::embedded().await).await;
            })+
        }
        mod real_servers {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::real().await).await;
            })+
        }
    };
}
pub(crate) use on_each_ground;
