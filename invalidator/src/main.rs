//! The program `invalidator`.

use cache_core::ops::manager::Variables;
use clap::Parser;
use invalidator::cli::Cli;
use std::env::var_os;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("invalidator: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run(&variables()));
    // What a second signal cut short is not waited for.
    runtime.shutdown_background();
    code
}

/// Where a service manager listens, as it says in the environment.
fn variables() -> Variables {
    Variables {
        socket: var_os("NOTIFY_SOCKET"),
        watchdog_usec: var_os("WATCHDOG_USEC"),
        watchdog_pid: var_os("WATCHDOG_PID"),
    }
}
