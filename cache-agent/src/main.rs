//! The program `cache-agent`.

use cache_agent::cli::{Cli, given};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cache-agent: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run(given(std::env::vars_os())));
    // What a second signal cut short is not waited for.
    runtime.shutdown_background();
    code
}
