//! Reads the catalog of a PostgreSQL, from version 13 on.

use crate::catalog::{Column, Identity, Publication, Table};
use cache_core::{Error, Kind};
use tokio_postgres::{Client, Row};

/// Ordinary and partitioned tables that people made, but no partitions: with
/// `publish_via_partition_root` their changes come under the name of the whole.
const TABLES: &str = "\
SELECT c.oid, n.nspname, c.relname, c.relreplident::text, c.relpersistence = 'u', \
    c.relkind = 'p', coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) \
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) \
    WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary \
    WHEN 'i' THEN i.indisreplident ELSE false END), '{}'), \
    coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '{}') \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
ORDER BY 2, 3";

/// Columns and rows that a publication leaves out are known from version 15 on; through
/// JSON the question fits the earlier ones too.
const PUBLICATIONS: &str = "\
SELECT t.schemaname::text, t.tablename::text, t.pubname::text, \
    (SELECT array_agg(x) FROM jsonb_array_elements_text(CASE \
    jsonb_typeof(to_jsonb(t) -> 'attnames') WHEN 'array' THEN to_jsonb(t) -> 'attnames' END) x), \
    coalesce(to_jsonb(t) ->> 'rowfilter', '') <> '', \
    NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate) \
FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname";

/// Reads all tables.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn tables(client: &Client) -> Result<Vec<Table>, Error> {
    let failed = |error| {
        let doing = "reading the catalog of";
        Error::new(Kind::Unavailable, doing, "the database").because(error)
    };
    let rows = client.query(TABLES, &[]).await.map_err(failed)?;
    let mut tables: Vec<_> = rows.iter().map(table).collect();
    for row in client.query(PUBLICATIONS, &[]).await.map_err(failed)? {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let is_it = |table: &&mut Table| table.schema == schema && table.table == name;
        if let Some(table) = tables.iter_mut().find(is_it) {
            let all = || table.columns.iter().map(|column| column.name.clone());
            let columns: Option<Vec<String>> = row.get(3);
            table.publications.push(Publication {
                name: row.get(2),
                columns: columns.unwrap_or_else(|| all().collect()),
                has_filter: row.get(4),
                is_partial: row.get(5),
            });
        }
    }
    Ok(tables)
}

fn table(row: &Row) -> Table {
    let identity: Vec<String> = row.get(6);
    let names: Vec<String> = row.get(7);
    let column = |name: String| Column {
        is_identity: identity.contains(&name),
        name,
    };
    Table {
        schema: row.get(1),
        table: row.get(2),
        identity: match row.get(3) {
            "f" => Identity::Full,
            _ if identity.is_empty() => Identity::Nothing,
            _ => Identity::Key,
        },
        columns: names.into_iter().map(column).collect(),
        is_unlogged: row.get(4),
        is_partitioned: row.get(5),
        publications: Vec::new(),
    }
}
