//! A Redis master with one replica, watched by three sentinels.

use std::fs;

use tempfile::TempDir;

use super::node::{Node, ask, replication_says, url};
use super::port::Port;
use super::{READY, ServerError, with_retry};
use crate::testkit::until::until;

const SERVICE: &str = "cacheaside";
const SENTINELS: usize = 3;

/// Two data nodes and three sentinels, of which two must agree.
///
/// A master counts as down after 1 s.
#[derive(Debug)]
pub struct SentinelTrio {
    data: [Node; 2],
    sentinels: Vec<Node>,
    _folder: TempDir,
}

impl SentinelTrio {
    /// Starts all five and waits until each sentinel knows all others.
    ///
    /// # Errors
    /// When redis-server is missing or they do not find each other.
    pub async fn start() -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for sentinels"))?;
            let (master, replica) = (Port::reserve()?, Port::reserve()?);
            let master_port = master.number().to_string();
            let follow = ("replicaof", &*format!("127.0.0.1 {master_port}"));
            let data = [
                Node::new(folder.path(), "Redis master", master)?.holds_data(folder.path()),
                Node::new(folder.path(), "Redis replica", replica)?
                    .holds_data(folder.path())
                    .with(&[follow]),
            ];
            for node in &data {
                node.spawn()?;
                node.ready().await?;
            }
            // Sentinels ask a master for its replicas at once and then only
            // every 10 s: the replica must be there before they are.
            let port = data[1].number();
            until(READY, "the replica is in sync", || async {
                replication_says(port, "master_link_status:up").await
            })
            .await?;

            let mut sentinels = Vec::with_capacity(SENTINELS);
            for _ in 0..SENTINELS {
                sentinels.push(sentinel(&folder, &master_port)?);
            }
            let trio = Self {
                data,
                sentinels,
                _folder: folder,
            };
            trio.bring_up_sentinels().await?;
            Ok(trio)
        })
        .await
    }

    /// Where clients ask for the master.
    pub fn sentinel_urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|s| url(s.number())).collect()
    }

    /// The name under which the sentinels watch the master.
    pub fn service_name(&self) -> &'static str {
        SERVICE
    }

    /// The port of the master, as the sentinels tell it now.
    ///
    /// # Errors
    /// When no sentinel answers.
    pub async fn master_port(&self) -> Result<u16, ServerError> {
        let first = self.sentinels[0].number();
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let (_, port): (String, u16) = ask(first, &words).await?;
        Ok(port)
    }

    /// Kills the present master with SIGKILL and returns its port. The
    /// sentinels name another some 2 s later.
    ///
    /// # Errors
    /// When no sentinel answers.
    pub async fn kill_master(&self) -> Result<u16, ServerError> {
        let port = self.master_port().await?;
        self.data_node(port)?.process.kill9();
        Ok(port)
    }

    /// Starts the data node on `port` again; the sentinels make it a replica.
    ///
    /// # Errors
    /// When no data node has that port or it does not come up.
    pub async fn restart(&self, port: u16) -> Result<(), ServerError> {
        let node = self.data_node(port)?;
        node.spawn()?;
        node.ready().await
    }

    fn data_node(&self, port: u16) -> Result<&Node, ServerError> {
        let found = self.data.iter().find(|node| node.number() == port);
        found.ok_or_else(|| ServerError::NoSuch {
            doing: "reach behind these sentinels",
            subject: format!("port {port}"),
        })
    }

    async fn bring_up_sentinels(&self) -> Result<(), ServerError> {
        for sentinel in &self.sentinels {
            sentinel.spawn()?;
        }
        for sentinel in &self.sentinels {
            sentinel.ready().await?;
        }
        until(READY, "all sentinels know each other", || async {
            for sentinel in &self.sentinels {
                let info = ask::<String>(sentinel.number(), &["INFO", "sentinel"]).await;
                let knows = |info: String| info.contains("status=ok") && knows_all(&info);
                if !info.is_ok_and(knows) {
                    return false;
                }
            }
            true
        })
        .await?;
        Ok(())
    }
}

fn knows_all(info: &str) -> bool {
    info.contains(&format!("slaves=1,sentinels={SENTINELS}"))
}

/// A sentinel needs a file of its own, in which it keeps what it learns.
fn sentinel(folder: &TempDir, master_port: &str) -> Result<Node, ServerError> {
    let port = Port::reserve()?;
    let number = port.number();
    let home = folder.path().join(number.to_string());
    let file = home.join("sentinel.conf");
    let node = Node::new(folder.path(), "sentinel", port)?;
    let settings = format!(
        "port {number}\n\
         bind 127.0.0.1\n\
         dir {}\n\
         sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n\
         sentinel down-after-milliseconds {SERVICE} 1000\n\
         sentinel failover-timeout {SERVICE} 5000\n\
         sentinel parallel-syncs {SERVICE} 1\n",
        home.display()
    );
    fs::write(&file, settings).map_err(ServerError::io(format!("writing {}", file.display())))?;
    let process = node.process.args([file.as_os_str()]).args(["--sentinel"]);
    Ok(Node { process, ..node })
}
