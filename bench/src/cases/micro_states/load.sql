-- Screens of 20 orgs, of a hundred kinds that all orgs see, so that what is near a screen is of other orgs for the most
-- part. Each with what a row holds, loaded as a rebuild loads them: into a bare table, which then gets what the serving one has
-- and serves in its place.
SET synchronous_commit = off;
INSERT INTO ledger.head (org_id) SELECT md5('org' || n)::uuid FROM generate_series(0, 19) n;
SELECT ledger.begin_projection('micro_state', 1, 'bench');
SELECT ledger.start_generation('micro_state', 1, 'bench', false, true);

SELECT setseed(0.5);
CREATE TABLE public.around AS
SELECT number, (SELECT array_agg(random() - 0.5) FROM generate_series(1, 768) WHERE number = number) AS centre
FROM generate_series(0, 99) AS number;

INSERT INTO rebuild.micro_state
    (org_id, micro_state_id, portal_type, url, title, ui, label, content_hash, rendition, embedding_model, text_embedding,
     observed_count, first_seen_at, last_seen_at, created_at, updated_at)
SELECT md5('org' || n % 20)::uuid, md5('screen' || n)::uuid, 'portal-' || n / 2000 % 4, 'https://portal.example/' || n, 'Screen ' || n,
       jsonb_build_object('headings', jsonb_build_array(repeat('heading ', 20)), 'controls', repeat('control ', 100)),
       CASE WHEN n / 2000 % 50 = 1 THEN 'label' END, sha256(n::text::bytea), repeat('textbox Member ID ', 30), 'bench',
       (SELECT array_agg(x + (random() - 0.5) * 0.9) FROM unnest(centre) AS x WHERE n = n)::real[]::public.halfvec,
       1, timestamptz '2026-01-01', timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01', timestamptz '2026-01-01'
FROM generate_series(0, $screens - 1) n JOIN public.around ON number = n / 20 % 100;
DROP TABLE public.around
