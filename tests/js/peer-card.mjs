// Cards: where a peer can be reached, signed by the key that its peer id is. Spec 0006 §8.

import { Refused, hex, unhex } from "./codec.mjs";
import { verifyValue } from "./keys.mjs";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const HEAD = "002408011220";

/** The Ed25519 key that a peer id is; another is refused as "bad-key". */
export function peerKey(peer) {
  const digits = [...peer].map((letter) => ALPHABET.indexOf(letter));
  const number = digits.reduce((sum, digit) => 58n * sum + BigInt(Math.max(digit, 0)), 0n);
  const bytes = number.toString(16).padStart(76, "0");
  const canonical = digits[0] === 0 && digits[1] > 0 && !digits.includes(-1);
  if (!canonical || bytes.length !== 76 || !bytes.startsWith(HEAD)) throw new Refused("bad-key", peer);
  return unhex(bytes.slice(HEAD.length));
}

export function checkPeerCard({ peer, addresses, timeMs, signature }, network) {
  const key = peerKey(peer);
  verifyValue(key, "peer", [network, peer, addresses, timeMs], signature);
  return { key: hex(key) };
}
