-- An approval given with an API token is that token's: the very option it deployed may be used again as long as the token itself
-- could still deploy it. Without a token it is the person's own. (What was approved before this migration counts as such.)
-- No reference, as for jobs: a token that is gone must be missed, not forgotten.

ALTER TABLE application_approvals ADD COLUMN approved_token uuid;
ALTER TABLE application_approvals DROP CONSTRAINT application_approvals_pkey;
CREATE UNIQUE INDEX application_approvals_key ON application_approvals
    (application_id, key, approved_by, coalesce(approved_token, '00000000-0000-0000-0000-000000000000'));
CREATE INDEX application_approvals_token_idx ON application_approvals (approved_token) WHERE approved_token IS NOT NULL;

-- What is over is not listed. (An expired or narrowed token is found out at each use: it may be wide enough again tomorrow.)
CREATE FUNCTION df_token_approvals_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM application_approvals WHERE approved_token = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER api_tokens_approvals_end AFTER UPDATE OF revoked_at ON api_tokens
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION df_token_approvals_end();
CREATE TRIGGER api_tokens_approvals_gone AFTER DELETE ON api_tokens FOR EACH ROW EXECUTE FUNCTION df_token_approvals_end();
