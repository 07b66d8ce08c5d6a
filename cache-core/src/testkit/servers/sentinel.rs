//! A Redis master with one replica, watched by three sentinels.

use std::fs;

use tempfile::TempDir;

use super::node::{Node, ask, replication_says, tls_settings, url};
use super::port::Port;
use super::{READY, ServerError, with_retry};
use crate::testkit::certificates::Guard;
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
        Self::launch(None).await
    }

    /// As [`start`](Self::start), with TLS at [`tls_urls`](Self::tls_urls) and among them.
    ///
    /// # Errors
    /// When redis-server is missing or they do not find each other.
    pub async fn start_tls(guard: &Guard) -> Result<Self, ServerError> {
        Self::launch(Some(guard)).await
    }

    async fn launch(guard: Option<&Guard>) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for sentinels"))?;
            let (master, replica) = (Port::reserve()?, Port::reserve()?);
            let master = Node::new(folder.path(), "Redis master", master)?
                .holds_data(folder.path())
                .guarded(guard)?;
            let master_port = master.tls_number().to_string();
            let follow = ("replicaof", &*format!("127.0.0.1 {master_port}"));
            let replica = Node::new(folder.path(), "Redis replica", replica)?
                .holds_data(folder.path())
                .with(&[follow])
                .guarded(guard)?;
            let data = [master, replica];
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
                sentinels.push(sentinel(&folder, &master_port, guard)?);
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

    /// Where clients ask for the master with TLS.
    pub fn tls_urls(&self) -> Vec<String> {
        let ports = self.sentinels.iter().map(Node::tls_number);
        ports
            .map(|port| format!("rediss://127.0.0.1:{port}"))
            .collect()
    }

    /// Sends one command to every data node, or else to every sentinel.
    ///
    /// # Errors
    /// When one is down, or refuses.
    pub async fn command(&self, to_data: bool, words: &[&str]) -> Result<(), ServerError> {
        let nodes = match to_data {
            true => &self.data[..],
            false => &self.sentinels[..],
        };
        for node in nodes {
            ask::<redis::Value>(node.number(), words).await?;
        }
        Ok(())
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
        let is = |node: &&Node| node.number() == port || node.tls_number() == port;
        let found = self.data.iter().find(is);
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
fn sentinel(
    folder: &TempDir,
    master_port: &str,
    guard: Option<&Guard>,
) -> Result<Node, ServerError> {
    let port = Port::reserve()?;
    let number = port.number();
    let home = folder.path().join(number.to_string());
    let file = home.join("sentinel.conf");
    let node = Node::new(folder.path(), "sentinel", port)?;
    let tls = guard.map(|_| Port::reserve()).transpose()?;
    let guarded = guard.zip(tls.as_ref());
    let guarded = guarded.map(|(guard, tls)| tls_settings(guard, tls.number()));
    let guarded = guarded.unwrap_or_default().into_iter();
    let guarded: String = guarded
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect();
    let settings = format!(
        "port {number}\n\
         bind 127.0.0.1\n\
         dir {}\n\
         sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n\
         sentinel down-after-milliseconds {SERVICE} 1000\n\
         sentinel failover-timeout {SERVICE} 5000\n\
         sentinel parallel-syncs {SERVICE} 1\n\
         {guarded}",
        home.display()
    );
    fs::write(&file, settings).map_err(ServerError::io(format!("writing {}", file.display())))?;
    let process = node.process.args([file.as_os_str()]).args(["--sentinel"]);
    Ok(Node {
        process,
        tls,
        ..node
    })
}
