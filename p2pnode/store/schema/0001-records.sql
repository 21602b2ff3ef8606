-- Records as they were received, fork proofs and a little local state.
-- Numbered and applied once, in one transaction; never edited after a release.

CREATE TABLE feeds (
  feed INTEGER PRIMARY KEY,
  scope BLOB NOT NULL CHECK (length(scope) = 32),
  author BLOB NOT NULL CHECK (length(author) = 32),
  UNIQUE (scope, author)
) STRICT;

CREATE TABLE records (
  record INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
  feed INTEGER NOT NULL REFERENCES feeds,
  seq INTEGER NOT NULL CHECK (seq >= 0),
  kind INTEGER NOT NULL,
  -- 0: in the feed. 1: the other branch of a forked feed, found by id only.
  branch INTEGER NOT NULL CHECK (branch IN (0, 1)),
  -- Parts that were dropped for good: 1 the claim, 2 the note, 3 both.
  dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped BETWEEN 0 AND 3),
  header BLOB NOT NULL,
  claim BLOB,
  note BLOB,
  signature BLOB NOT NULL,
  -- Bytes on the wire, at most: the four parts and 12 for their lengths.
  size INTEGER NOT NULL AS (
    length(header) + ifnull(length(claim), 0) + ifnull(length(note), 0)
    + length(signature) + 12
  )
) STRICT;

CREATE UNIQUE INDEX places ON records (feed, seq) WHERE branch = 0;

-- One proof for each forked feed, that of the lowest seq.
CREATE TABLE forks (
  scope BLOB NOT NULL,
  author BLOB NOT NULL,
  seq INTEGER NOT NULL,
  header_a BLOB NOT NULL,
  signature_a BLOB NOT NULL,
  header_b BLOB NOT NULL,
  signature_b BLOB NOT NULL,
  PRIMARY KEY (scope, author)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
