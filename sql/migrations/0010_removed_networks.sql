-- Networks that a running deployment has removed in order to make them anew, as the engine described them: {name: document}. What is
-- interrupted there and then fails brings them back from here. NULL: nothing was removed, or it cannot be brought back any more.

ALTER TABLE deployments ADD COLUMN removed_networks jsonb;
