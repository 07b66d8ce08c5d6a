-- What the application does: the row and the event, in one transaction.
BEGIN;
UPDATE public.users SET name = 'new' WHERE id = 7;
INSERT INTO public.cacheaside_outbox (event)
    VALUES ('{"cache": "users", "keys": ["user:7", "user:email:a@x"]}');
COMMIT;
