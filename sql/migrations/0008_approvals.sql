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
    PRIMARY KEY (application_id, key)
);
