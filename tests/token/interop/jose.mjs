// Signs and verifies with jose what a test asks for: JSON in, JSON out.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const installed = createRequire(join(process.argv[2], "here.js"));
const { exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } = await import(pathToFileURL(installed.resolve("jose")));

async function verify({ token, key, jwk, alg, iss, aud }) {
  try {
    const secret = jwk ? await importJWK(jwk, alg) : Buffer.from(key, "hex");
    const { payload } = await jwtVerify(token, secret, {
      algorithms: [alg],
      issuer: iss,
      audience: aud,
      requiredClaims: ["exp", "iat", "sub"],
    });
    return payload;
  } catch (error) {
    return { error: error.code };
  }
}

function sign({ claims, key, alg, header }) {
  return new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(Buffer.from(key, "hex"));
}

// A key pair of its own: its public key, and a token.
async function generate({ claims, alg, header }) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const token = await new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(privateKey);
  return { jwk: await exportJWK(publicKey), token };
}

const work = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(
  JSON.stringify({
    verified: await Promise.all(work.verify.map(verify)),
    signed: await Promise.all((work.sign ?? []).map(sign)),
    generated: await Promise.all((work.generate ?? []).map(generate)),
  }),
);
