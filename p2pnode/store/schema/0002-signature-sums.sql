-- The CRC-32 of each signature. An id covers header, claim and note, and no signature:
-- this tells whether the disk has changed one.
ALTER TABLE records ADD COLUMN signature_sum INTEGER NOT NULL DEFAULT 0;
UPDATE records SET signature_sum = crc32(signature);
