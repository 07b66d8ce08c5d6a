-- Once, by the owner of the schema. `invalidator capture outbox-sql public.users` prints
-- the same table, with triggers for databases whose applications cannot be changed.
CREATE TABLE IF NOT EXISTS public.cacheaside_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event jsonb NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE ROLE relay LOGIN;
GRANT SELECT, UPDATE, DELETE ON public.cacheaside_outbox TO relay;
CREATE ROLE app LOGIN;
GRANT INSERT ON public.cacheaside_outbox TO app;
GRANT SELECT, UPDATE ON public.users TO app;
