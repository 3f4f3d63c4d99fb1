/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/sha1.h"

#include <string.h>

static uint32_t rotate(uint32_t word, int bits)
{
	return (word << bits) | (word >> (32 - bits));
}

static void block_add(uint32_t hash[5], const unsigned char block[64])
{
	uint32_t words[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];

	for (int i = 0; i < 16; i++)
		words[i] = (uint32_t)block[i * 4] << 24 | (uint32_t)block[i * 4 + 1] << 16 |
			   (uint32_t)block[i * 4 + 2] << 8 | block[i * 4 + 3];
	for (int i = 16; i < 80; i++)
		words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t mix, key, next;

		if (i < 20) {
			mix = (b & c) | (~b & d);
			key = 0x5a827999u;
		} else if (i < 40) {
			mix = b ^ c ^ d;
			key = 0x6ed9eba1u;
		} else if (i < 60) {
			mix = (b & c) | (b & d) | (c & d);
			key = 0x8f1bbcdcu;
		} else {
			mix = b ^ c ^ d;
			key = 0xca62c1d6u;
		}
		next = rotate(a, 5) + mix + e + key + words[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
}

static void base64(const unsigned char digest[20], char ret[SHA1_BASE64_BYTES])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < 7; i++) {
		uint32_t three = (uint32_t)digest[i * 3] << 16 | (uint32_t)digest[i * 3 + 1] << 8;

		if (i < 6)
			three |= digest[i * 3 + 2];
		for (size_t k = 0; k < 4; k++)
			ret[i * 4 + k] = alphabet[(three >> (18 - 6 * k)) & 63];
	}
	ret[27] = '=';
}

void sha1_base64(struct text text, char ret[SHA1_BASE64_BYTES])
{
	uint32_t hash[5] = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u };
	unsigned char blocks[128] = { 0 }, digest[20];
	size_t size = text.size <= 55 ? 64 : 128;
	uint64_t bits = (uint64_t)text.size * 8;

	memcpy(blocks, text.at, text.size);
	blocks[text.size] = 0x80;
	for (size_t i = 0; i < 8; i++)
		blocks[size - 1 - i] = (unsigned char)(bits >> (8 * i));
	for (size_t at = 0; at < size; at += 64)
		block_add(hash, blocks + at);
	for (size_t i = 0; i < 20; i++)
		digest[i] = (unsigned char)(hash[i / 4] >> (24 - 8 * (i % 4)));
	base64(digest, ret);
}
