//! The account that a server runs as, where it refuses to be root.

use std::os::unix::fs::chown;
use std::path::Path;

use tokio::process::Command;

use super::ServerError;
use crate::testkit::certificates::Guard;

/// User and group, or none to stay who one is.
pub(super) type Account = Option<(u32, u32)>;

/// Hands a folder over to the account.
pub(super) fn give(folder: &Path, user: Account) -> Result<(), ServerError> {
    let Some((user, group)) = user else {
        return Ok(());
    };
    let given = chown(folder, Some(user), Some(group));
    given.map_err(ServerError::io("giving a server its folder"))
}

/// The files of a guard, in the server's folder and the account's.
pub(super) fn guarded(guard: &Guard, folder: &Path, user: Account) -> Result<Guard, ServerError> {
    let own = guard.copied_to(folder)?;
    for file in [&own.ca, &own.own.cert, &own.own.key] {
        give(file, user)?;
    }
    Ok(own)
}

/// Runs one of a server's own tools to its end.
pub(super) async fn run(mut command: Command, user: Account) -> Result<(), ServerError> {
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    let tool = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let done = command
        .output()
        .await
        .map_err(ServerError::io(format!("running {tool}")))?;
    if done.status.success() {
        return Ok(());
    }
    Err(ServerError::NotUp {
        server: tool,
        why: format!("it ended with {}", done.status),
        log: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// The ids of `name` and its group if this process is root.
pub(super) async fn unprivileged(name: &str) -> Result<Account, ServerError> {
    if id(&["-u"]).await? != 0 {
        return Ok(None);
    }
    let (user, group) = (id(&["-u", name]).await?, id(&["-g", name]).await?);
    Ok(Some((user, group)))
}

async fn id(args: &[&str]) -> Result<u32, ServerError> {
    let doing = format!("running id {}", args.join(" "));
    let done = Command::new("id")
        .args(args)
        .output()
        .await
        .map_err(ServerError::io(&*doing))?;
    let number = String::from_utf8_lossy(&done.stdout).trim().parse();
    number.map_err(|_| ServerError::NoSuch {
        doing: "run a server as (`id` does not know the user)",
        subject: args.join(" "),
    })
}
