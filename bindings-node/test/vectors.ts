import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import type { Metadata } from "spanwire/web";

/** The wire format as data: tests/vectors/README.md says what the cases mean. */
export function cases(file: string, key: string): Case[] {
  const path = new URL(`../../../tests/vectors/${file}`, import.meta.url);
  const lists = JSON.parse(readFileSync(path, "utf8")) as Record<string, Case[]>;
  const list = lists[key];
  assert.ok(list !== undefined && list.length > 0, `${file} has no ${key}`);
  return list;
}

/** A case; each list has the fields that its readers take. */
export interface Case {
  name: string;
  chunks: string[];
  code: string;
  encoding: string;
  end: string;
  error?: string;
  http: number;
  key: string;
  limit: number;
  message: string;
  messages: string[];
  ok: boolean;
  reason: number;
  value: string;
  values: string[];
  wire: string;
}

/** The bytes of hexadecimal digits. */
export const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** What may be in metadata, by the class of one of the package's entries. */
export function metadataTests(Class: typeof Metadata): void {
  for (const { name, key, ok } of cases("metadata.json", "keys")) {
    it(`metadata keys: ${name}`, () => {
      const value = key.toLowerCase().endsWith("-bin") ? new Uint8Array(0) : "";
      const make = (): Metadata => new Class([[key, value]]);
      if (ok) assert.equal(make().has(key), true);
      else assert.throws(make, TypeError);
    });
  }

  for (const { name, value, ok } of cases("metadata.json", "values")) {
    it(`metadata values: ${name}`, () => {
      const make = (): Metadata => new Class({ name: value });
      if (ok) make();
      else assert.throws(make, TypeError);
    });
  }
}
