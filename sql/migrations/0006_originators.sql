-- Work keeps the API token it was asked for with: it runs with that token's rights, and not once the token is no longer valid.
-- No references: a token that is gone must be missed, not forgotten.

ALTER TABLE jobs ADD COLUMN token_id uuid;
ALTER TABLE repositories ADD COLUMN configured_token uuid;
