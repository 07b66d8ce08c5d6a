//! What is made from the arguments themselves: completions and the manual page.

use crate::cli::say::{self, Ended, Trouble};
use cache_core::ops::exit::Exit;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Prints a shell's completions.
pub fn completions(command: &mut Command, shell: Shell) -> Ended {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, command, name, &mut text);
    say::say(&text)?;
    Ok(Exit::Done)
}

/// Prints the manual page: the program's, and then that of each command.
pub fn man(command: &mut Command) -> Ended {
    // Only then do they have their full names.
    command.build();
    let mut text = Vec::new();
    let mut render = |command: Command| {
        let rendered = Man::new(command).render(&mut text);
        rendered.map_err(|error| Trouble::failed(format!("cannot write the page: {error}")))
    };
    render(command.clone())?;
    for inner in command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help")
    {
        render(inner.clone())?;
    }
    say::say(&text)?;
    Ok(Exit::Done)
}
