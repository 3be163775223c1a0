// Signs and verifies with jose what a test asks for: JSON in, JSON out.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const installed = createRequire(join(process.argv[2], "here.js"));
const { jwtVerify, SignJWT } = await import(pathToFileURL(installed.resolve("jose")));

async function verify({ token, key, alg, iss, aud }) {
  try {
    const { payload } = await jwtVerify(token, Buffer.from(key, "hex"), {
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

const work = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(
  JSON.stringify({
    verified: await Promise.all(work.verify.map(verify)),
    signed: await Promise.all(work.sign.map(sign)),
  }),
);
