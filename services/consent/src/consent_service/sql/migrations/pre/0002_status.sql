-- migrate:up

-- Whether a subject's choices count at all: `sealed` names the members for whom an erasure was asked, an erased row is a tombstone.
ALTER TABLE subject_state
ADD COLUMN sealed text [] NOT NULL DEFAULT '{}',
ADD COLUMN erased boolean NOT NULL DEFAULT false;

-- migrate:down
