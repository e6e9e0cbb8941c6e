-- Dangerous engine options (core/docker/guard.h) that somebody with the right deployed for an application: automatic syncs may use
-- the very same again, as long as that person still has the right.

CREATE TABLE application_approvals (
    application_id uuid         NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    key            varchar(64)  NOT NULL,
    permission     varchar(100) NOT NULL,
    rule           varchar(64)  NOT NULL,
    message        text         NOT NULL,
    approved_by    uuid         NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    approved_at    timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (application_id, key, approved_by)
);

-- They were given for what that repository described, there: another source or another node is not what was approved.
CREATE FUNCTION df_approvals_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM application_approvals WHERE application_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER applications_approvals_end AFTER UPDATE OF repository_id, target_revision, path, compose_files, node_id ON applications
    FOR EACH ROW WHEN ((OLD.repository_id, OLD.target_revision, OLD.path, OLD.compose_files, OLD.node_id)
                       IS DISTINCT FROM (NEW.repository_id, NEW.target_revision, NEW.path, NEW.compose_files, NEW.node_id))
    EXECUTE FUNCTION df_approvals_end();
