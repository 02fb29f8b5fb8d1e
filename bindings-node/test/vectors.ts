import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

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
