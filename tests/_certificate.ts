/** A certificate that nobody vouches for, made when a test runs: it never expires and no key is kept anywhere. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** Key and certificate as PEM, for 127.0.0.1. */
export function selfSigned(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const commonName = sequence(oid(0x55, 0x04, 0x03), der(0x0c, text("127.0.0.1")));
  const name = sequence(der(0x31, commonName));
  const day = 24 * 60 * 60 * 1000;
  const address = der(0x30, der(0x87, Uint8Array.of(127, 0, 0, 1)));
  const extensions = sequence(sequence(oid(0x55, 0x1d, 0x11), der(0x04, address)));
  const body = sequence(
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, Uint8Array.of(1, ...randomBytes(8))),
    ecdsaWithSha256,
    name,
    sequence(time(Date.now() - day), time(Date.now() + day)),
    name,
    new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
    der(0xa3, extensions),
  );
  const signature = new Uint8Array(sign("sha256", body, privateKey));
  const whole = sequence(body, ecdsaWithSha256, der(0x03, Uint8Array.of(0, ...signature)));
  const base64 = btoa(String.fromCharCode(...whole)).replace(/.{64}/g, "$&\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const content = parts.flatMap((part) => [...part]);
  const { length } = content;
  const size = length < 128
    ? [length]
    : length < 256
    ? [0x81, length]
    : [0x82, length >> 8, length & 255];
  return Uint8Array.of(tag, ...size, ...content);
}

function sequence(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return der(0x30, ...parts);
}

function oid(...bytes: number[]): Uint8Array {
  return der(0x06, Uint8Array.from(bytes));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function time(at: number): Uint8Array {
  // UTCTime: two digits of the year.
  return der(0x17, text(new Date(at).toISOString().replace(/[-:T]/g, "").slice(2, 14) + "Z"));
}
