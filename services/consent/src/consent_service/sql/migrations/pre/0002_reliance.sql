-- migrate:up
-- What a reliance was about, so that it can be judged again exactly: where, with which data, under which regimes.
ALTER TABLE reliance
ADD COLUMN channel text NOT NULL DEFAULT '',
ADD COLUMN categories text [] NOT NULL DEFAULT '{}',
ADD COLUMN regimes text [] NOT NULL DEFAULT '{}';

-- migrate:down
