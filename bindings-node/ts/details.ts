export type Detail = { type: "unknown"; typeUrl: string; value: Uint8Array };
export type DetailInit = Detail;
export function decodeDetails(_bytes: Uint8Array): readonly Detail[] { return []; }
export function encodeDetails(_code: number, _message: string, _details: Iterable<DetailInit>): Uint8Array { return new Uint8Array(0); }
