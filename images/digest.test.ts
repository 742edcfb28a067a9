import { expect, test } from 'vitest';
import { canonicalJson, digestOf, hexOf } from './digest.ts';

test('canonicalJson does not depend on the order of keys, and leaves undefined out', () => {
  expect(canonicalJson({ b: 1, a: [{ d: undefined, c: 'é' }] })).toBe('{"a":[{"c":"é"}],"b":1}');
  expect(canonicalJson({ a: [{ c: 'é' }], b: 1 })).toBe(canonicalJson({ b: 1, a: [{ c: 'é' }] }));
});

test('digestOf is sha256 of the bytes', () => {
  expect(hexOf(digestOf('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
