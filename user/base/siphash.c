/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/siphash.h"

#include <endian.h>

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void rounds(struct siphash *h, unsigned count)
{
	for (; count; count--) {
		h->v0 += h->v1;
		h->v2 += h->v3;
		h->v1 = rotate(h->v1, 13) ^ h->v0;
		h->v3 = rotate(h->v3, 16) ^ h->v2;
		h->v0 = rotate(h->v0, 32);
		h->v2 += h->v1;
		h->v0 += h->v3;
		h->v1 = rotate(h->v1, 17) ^ h->v2;
		h->v3 = rotate(h->v3, 21) ^ h->v0;
		h->v2 = rotate(h->v2, 32);
	}
}

static void add_word(struct siphash *h, uint64_t word)
{
	h->v3 ^= word;
	rounds(h, 2);
	h->v0 ^= word;
}

/* Little-endian, on every machine; one load where that is the machine's order. */
static uint64_t word_at(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return le64toh(word);
}

void siphash_start(struct siphash *h, const struct siphash_key *key)
{
	*h = (struct siphash){
		.v0 = key->low ^ 0x736f6d6570736575u,
		.v1 = key->high ^ 0x646f72616e646f6du ^ 0xee,
		.v2 = key->low ^ 0x6c7967656e657261u,
		.v3 = key->high ^ 0x7465646279746573u,
	};
}

static void add_byte(struct siphash *h, unsigned char byte)
{
	h->tail |= (uint64_t)byte << (8 * (h->len % 8));
	if (++h->len % 8 == 0) {
		add_word(h, h->tail);
		h->tail = 0;
	}
}

void siphash_add(struct siphash *h, struct span s)
{
	size_t i = 0;

	while (i < s.len && h->len % 8)
		add_byte(h, (unsigned char)s.data[i++]);
	for (; s.len - i >= 8; i += 8) {
		add_word(h, word_at(s.data + i));
		h->len += 8;
	}
	while (i < s.len)
		add_byte(h, (unsigned char)s.data[i++]);
}

void siphash_add_part(struct siphash *h, struct span s)
{
	uint64_t len = s.len;

	siphash_add(h, span_of(&len, sizeof(len)));
	siphash_add(h, s);
}

struct hash128 siphash_end(struct siphash *h)
{
	struct hash128 result;

	add_word(h, h->tail | h->len << 56);
	h->v2 ^= 0xee;
	rounds(h, 4);
	result.low = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
	h->v1 ^= 0xdd;
	rounds(h, 4);
	result.high = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
	return result;
}
