//! The invalidator on a real NATS JetStream and a real Redis: what streams do to
//! those who read them.

mod continuity;
mod desk;
mod dlq;
mod fitness;
mod flush;
mod inspect;
mod lag;
mod letters;
mod outage;
mod pause;
mod setup;
mod world;
