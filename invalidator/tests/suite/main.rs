//! What the invalidator promises, without a server.

mod capture;
mod capture_examples;
mod cli;
mod events;
mod fitness;
mod formats;
mod inspect;
mod mapping;
mod mutation;
mod pages;
mod pipeline;
mod recall;
mod rows;
mod rules;
mod rules_test;
mod samples;
mod settings;
mod stream;
mod trouble;
mod world;
