//! The invalidator on a real NATS JetStream and a real Redis: what streams do to
//! those who read them.

mod barrier;
mod capture;
mod catalog;
mod continuity;
mod database;
mod desk;
mod dlq;
mod fitness;
mod flush;
mod inspect;
mod lag;
mod letters;
mod manager;
mod mariadb;
mod outage;
mod outbox;
mod page;
mod pause;
mod replica;
mod secure;
mod setup;
mod worked;
mod world;
