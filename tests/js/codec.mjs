// Canonical MessagePack and the shapes of positional arrays. Spec 0001.
//
// Values are null, booleans, safe integers, Buffers, strings and arrays of values.

export const INT_MAX = Number.MAX_SAFE_INTEGER;
const DEPTH_MAX = 16;
const LIST_MAX = 8192;
const FRAME_MAX = 65536;

/** Bytes from outside break a rule; `reason` is the first check that failed. */
export class Refused extends Error {
  constructor(reason, detail = "") {
    super(detail ? `${reason}: ${detail}` : reason);
    this.reason = reason;
  }
}

/** A record or claim is not here: no digest and no dispute. */
export class Incomplete extends Refused {
  constructor(missing) {
    super("incomplete", missing.join(" "));
    this.missing = missing;
  }
}

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
export const unhex = (text) => Buffer.from(text, "hex");
export const same = (a, b) => Buffer.compare(a, b) === 0;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const refuse = (detail) => new Refused("not-canonical", detail);

/** Something MessagePack can say and this format cannot. */
class Foreign {
  constructor(what) {
    this.what = what;
  }
}

/** The value of canonical `data`, at most `sizeMax` bytes. */
export function decode(data, sizeMax) {
  if (data.length > sizeMax) throw new Refused("too-large", `${data.length} > ${sizeMax} bytes`);
  const reader = { data: Buffer.from(data), at: 0 };
  const value = read(reader, 0);
  if (reader.at !== data.length) throw refuse("bytes after the value");
  check(value, DEPTH_MAX);
  if (!same(pack(value), data)) throw refuse("not the shortest form");
  return value;
}

/** The canonical bytes of `value`. */
export function encode(value) {
  check(value, DEPTH_MAX);
  return pack(value);
}

function take(reader, size) {
  if (reader.at + size > reader.data.length) throw refuse("cut short");
  reader.at += size;
  return reader.data.subarray(reader.at - size, reader.at);
}

const number = (reader, size) => take(reader, size).readUIntBE(0, size);

function long(reader) {
  const value = take(reader, 8).readBigUInt64BE();
  return value <= BigInt(INT_MAX) ? Number(value) : new Foreign("an integer above 2^53-1");
}

function array(reader, count, depth) {
  if (count > LIST_MAX || count > reader.data.length) throw refuse("too long an array");
  if (depth > 1000) throw refuse("too deep");
  return Array.from({ length: count }, () => read(reader, depth + 1));
}

function text(reader, size) {
  const bytes = take(reader, size);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Refused("bad-text", "not UTF-8");
  }
}

function foreign(reader, size, what) {
  take(reader, size);
  return new Foreign(what);
}

/** A map or extension is read only if it is empty, and then refused as foreign. */
function empty(reader, width, more, what) {
  if (number(reader, width) > 0) throw refuse(what);
  return foreign(reader, more, what);
}

function read(reader, depth) {
  const first = number(reader, 1);
  if (first <= 0x7f) return first;
  if (first === 0x80) return new Foreign("a map");
  if (first >= 0x90 && first <= 0x9f) return array(reader, first & 15, depth);
  if (first >= 0xa0 && first <= 0xbf) return text(reader, first & 31);
  if (first >= 0xe0) return new Foreign("a negative integer");
  switch (first) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: return take(reader, number(reader, 1));
    case 0xc5: return take(reader, number(reader, 2));
    case 0xc6: return take(reader, number(reader, 4));
    case 0xc7: case 0xc8: case 0xc9: return empty(reader, 1 << (first - 0xc7), 1, "an extension");
    case 0xca: return foreign(reader, 4, "a float");
    case 0xcb: return foreign(reader, 8, "a float");
    case 0xcc: return number(reader, 1);
    case 0xcd: return number(reader, 2);
    case 0xce: return number(reader, 4);
    case 0xcf: return long(reader);
    case 0xd0: case 0xd1: case 0xd2: case 0xd3:
      return foreign(reader, 1 << (first - 0xd0), "a signed integer");
    case 0xd9: return text(reader, number(reader, 1));
    case 0xda: return text(reader, number(reader, 2));
    case 0xdb: return text(reader, number(reader, 4));
    case 0xdc: return array(reader, number(reader, 2), depth);
    case 0xdd: return array(reader, number(reader, 4), depth);
    case 0xde: case 0xdf: return empty(reader, 2 << (first - 0xde), 0, "a map");
    default: throw refuse(`first byte ${first.toString(16)}`);
  }
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Refuse text with control characters or lone surrogates. */
export function checkText(value) {
  if (CONTROL.test(value)) throw new Refused("bad-text", "control character");
  for (const one of value) {
    const point = one.codePointAt(0);
    if (point >= 0xd800 && point <= 0xdfff) throw new Refused("bad-text", "surrogate");
  }
}

function check(value, depth) {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) throw refuse("integer out of range");
  } else if (typeof value === "string") {
    checkText(value);
  } else if (Array.isArray(value)) {
    if (depth === 0 || value.length > LIST_MAX) throw refuse("too deep or too long");
    for (const item of value) check(item, depth - 1);
  } else if (!(value instanceof Uint8Array) && typeof value !== "boolean" && value !== null) {
    throw refuse(value instanceof Foreign ? value.what : typeof value);
  }
}

const bytes = (...list) => Buffer.from(list);

function sized(size, heads) {
  for (const [width, head] of heads) {
    if (size < 2 ** (8 * width)) {
      const out = Buffer.alloc(1 + width);
      out[0] = head;
      out.writeUIntBE(size, 1, width);
      return out;
    }
  }
  throw refuse("too large");
}

function packNumber(value) {
  if (value < 0x80) return bytes(value);
  if (value < 2 ** 32) return sized(value, [[1, 0xcc], [2, 0xcd], [4, 0xce]]);
  const out = Buffer.alloc(9, 0xcf);
  out.writeBigUInt64BE(BigInt(value), 1);
  return out;
}

function packText(value) {
  const body = Buffer.from(value, "utf8");
  const head =
    body.length < 32 ? bytes(0xa0 | body.length) : sized(body.length, [[1, 0xd9], [2, 0xda], [4, 0xdb]]);
  return Buffer.concat([head, body]);
}

function packArray(value) {
  const head =
    value.length < 16 ? bytes(0x90 | value.length) : sized(value.length, [[2, 0xdc], [4, 0xdd]]);
  return Buffer.concat([head, ...value.map(pack)]);
}

function pack(value) {
  if (value === null) return bytes(0xc0);
  if (typeof value === "boolean") return bytes(value ? 0xc3 : 0xc2);
  if (typeof value === "number") return packNumber(value);
  if (typeof value === "string") return packText(value);
  if (Array.isArray(value)) return packArray(value);
  return Buffer.concat([sized(value.length, [[1, 0xc4], [2, 0xc5], [4, 0xc6]]), value]);
}

// Shapes: functions from a decoded value to a JavaScript value, or BAD_SHAPE.

const bad = (name) => new Refused("bad-shape", name);

export const uint = (max = INT_MAX, min = 0) => (value) => {
  if (typeof value !== "number" || value < min || value > max) throw bad(`uint ${min}..${max}`);
  return value;
};

export const bool = (value) => {
  if (typeof value !== "boolean") throw bad("bool");
  return value;
};

export const bin = (min, max = min) => (value) => {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    throw bad(`bin ${min}..${max}`);
  }
  return value;
};

export const str = (max) => (value) => {
  if (typeof value !== "string" || Buffer.byteLength(value) > max) throw bad(`str 0..${max}`);
  return value;
};

export const option = (shape) => (value) => (value === null ? null : shape(value));

export const list = (shape, max = LIST_MAX, min = 0) => (value) => {
  if (!Array.isArray(value) || value.length < min || value.length > max) {
    throw bad(`array ${min}..${max}`);
  }
  return value.map((item) => shape(item));
};

/** Bytes in strictly ascending order: a set. */
export const ascending = (shape, max = LIST_MAX, min = 0, key = (item) => item) => {
  const inner = list(shape, max, min);
  return (value) => {
    const items = inner(value);
    for (let i = 1; i < items.length; i++) {
      if (Buffer.compare(key(items[i - 1]), key(items[i])) >= 0) throw bad("not ascending");
    }
    return items;
  };
};

/** An array with one named position per entry, read into an object. */
export const struct = (fields) => {
  const names = Object.keys(fields);
  return (value) => {
    if (!Array.isArray(value) || value.length !== names.length) throw bad(`${names.length} fields`);
    return Object.fromEntries(names.map((name, i) => [name, fields[name](value[i])]));
  };
};

/** A tagged array: the first element selects the fields of the rest. */
export const choice = (table) => (value) => {
  if (!Array.isArray(value) || typeof value[0] !== "number") throw bad("a tagged array");
  if (!Object.hasOwn(table, value[0])) throw bad(`no variant ${value[0]}`);
  return { tag: value[0], ...table[value[0]](value.slice(1)) };
};

/** The bodies of the frames of a file, and whether bytes of an unfinished one are left. */
export function allFrames(data) {
  const bodies = [];
  let at = 0;
  while (at + 4 <= data.length) {
    const size = data.readUInt32BE(at);
    if (size < 1 || size > FRAME_MAX) throw new Refused("frame-size", String(size));
    if (at + 4 + size > data.length) break;
    bodies.push(data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return { bodies, rest: at < data.length };
}
