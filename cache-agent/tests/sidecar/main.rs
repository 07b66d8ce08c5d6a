//! The sidecar as its callers see it: over gRPC, on both doors, on the embedded
//! domain and on real servers, and as a process.

mod accept;
mod admin;
mod application;
mod asks;
mod bad_input;
mod bench;
mod callers;
mod commands;
mod contract;
mod control;
mod doctor;
mod errors;
mod exchange;
mod foreign;
mod frames;
mod half_open;
mod hostile;
mod languages;
mod leaving;
mod life;
mod limits;
mod line;
mod loading;
mod manager;
mod page;
mod pages;
mod permits;
mod pressure;
mod process;
mod readiness;
mod reads;
mod redis_clients;
mod refusals;
mod reload;
mod resp;
mod serving;
mod sets;
mod settings;
mod spoilt;
mod stress;
mod watching;
mod world;
mod writes;
mod writing;

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
