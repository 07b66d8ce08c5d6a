//! The table of an outbox, and triggers that fill it.

use crate::capture::settings::Table;

/// The table, and the function that tells of one row.
const BASE: &str = r#"CREATE TABLE IF NOT EXISTS public.cacheaside_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event jsonb NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- An application that knows its keys writes by itself, in its own transaction:
-- INSERT INTO public.cacheaside_outbox (event)
--     VALUES ('{"cache": "users", "keys": ["user:7"], "tags": ["team:3"]}');

CREATE OR REPLACE FUNCTION public.cacheaside_tell() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO public.cacheaside_outbox (event) VALUES (jsonb_build_object(
        'cacheaside', 1, 'op', lower(TG_OP),
        'schema', TG_TABLE_SCHEMA, 'table', TG_TABLE_NAME,
        'old', CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END,
        'new', CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END,
        'source_time_ms', (extract(epoch FROM clock_timestamp()) * 1000)::bigint));
    RETURN NULL;
END $$;
"#;

/// The statements that make the table, and have every change of these tables told in it.
/// They may run again.
pub fn sql(tables: &[Table]) -> String {
    let triggers = tables.iter().map(|table| {
        let table = table.quoted();
        format!(
            "\nDROP TRIGGER IF EXISTS cacheaside_rows ON {table};\n\
             CREATE TRIGGER cacheaside_rows AFTER INSERT OR UPDATE OR DELETE ON {table}\n    \
             FOR EACH ROW EXECUTE FUNCTION public.cacheaside_tell();\n\
             DROP TRIGGER IF EXISTS cacheaside_truncate ON {table};\n\
             CREATE TRIGGER cacheaside_truncate AFTER TRUNCATE ON {table}\n    \
             FOR EACH STATEMENT EXECUTE FUNCTION public.cacheaside_tell();\n"
        )
    });
    let triggers: String = triggers.collect();
    format!("{BASE}{triggers}")
}
