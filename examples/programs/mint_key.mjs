// Mint a virtual key from Node.js, with nothing but what it has itself.
//
//     AI_MINT_KEY=PRIVATE_KEY node examples/programs/mint_key.mjs KID TENANT VPC [KEY_ID]

import { createPrivateKey, sign } from "node:crypto";

const ED25519 = Buffer.from("302e020100300506032b657004220420", "hex"); // PKCS #8 (RFC 8410) before the 32-byte seed

export function mint(seed, kid, ...numbers) {
  const key = createPrivateKey({ key: Buffer.concat([ED25519, seed]), format: "der", type: "pkcs8" });
  const payload = Buffer.alloc(8 * numbers.length);
  numbers.forEach((number, place) => payload.writeBigUInt64LE(BigInt(number), 8 * place));
  const signed = `bai_v${numbers.length - 1}.${kid}.${payload.toString("base64url")}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

const [kid, ...numbers] = process.argv.slice(2);
console.log(mint(Buffer.from(process.env.AI_MINT_KEY, "base64"), kid, ...numbers));
