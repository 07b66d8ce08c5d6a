//! What the nodes of a Redis Cluster say of each other.

use super::ServerError;
use super::node::ask;

/// One node as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeView {
    /// Where clients reach it.
    pub port: u16,
    /// Its part.
    pub role: Role,
    /// The slots it serves; none for a replica.
    pub slots: Vec<(u16, u16)>,
}

/// The part of a node in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes writes for its slots.
    Primary,
    /// Follows the primary on this port.
    Replica {
        /// The port of its primary.
        of: u16,
    },
}

/// What one node says of all, ordered by port.
pub(super) async fn view(port: u16) -> Result<Vec<NodeView>, ServerError> {
    let table: String = ask(port, &["CLUSTER", "NODES"]).await?;
    Ok(parse(&table))
}

/// Reads `CLUSTER NODES`: id, address, flags, primary's id, four figures of no
/// interest here, and the slots.
fn parse(table: &str) -> Vec<NodeView> {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|row| row.len() >= 8)
        .collect();
    let port_of = |id: &str| {
        let row = rows.iter().find(|row| row[0] == id)?;
        let address = row[1].split('@').next()?;
        address.rsplit(':').next()?.parse::<u16>().ok()
    };
    let mut nodes: Vec<NodeView> = rows
        .iter()
        .filter_map(|row| {
            let role = match port_of(row[3]) {
                Some(of) => Role::Replica { of },
                None => Role::Primary,
            };
            let slots = row[8..].iter().filter_map(|range| slots(range)).collect();
            Some(NodeView {
                port: port_of(row[0])?,
                role,
                slots,
            })
        })
        .collect();
    nodes.sort();
    nodes
}

/// `0-5460` or `7`; a slot on its way to another node, `[7->-…]`, is none.
fn slots(range: &str) -> Option<(u16, u16)> {
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_nodes_is_read() {
        let table = "\
bb 127.0.0.1:7002@17002 slave aa 0 1 2 connected
aa 127.0.0.1:7001@17001 myself,master - 0 1 2 connected 0-5460 7000 [93->-bb]
cc 127.0.0.1:7003@17003,host master,fail - 0 1 2 disconnected
";
        let node = |port, role, slots: &[(u16, u16)]| NodeView {
            port,
            role,
            slots: slots.to_vec(),
        };
        assert_eq!(
            parse(table),
            [
                node(7001, Role::Primary, &[(0, 5460), (7000, 7000)]),
                node(7002, Role::Replica { of: 7001 }, &[]),
                node(7003, Role::Primary, &[]),
            ]
        );
    }
}
