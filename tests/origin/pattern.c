/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/pattern.h"

#include <endian.h>
#include <string.h>

#define PATTERN_REPEATS 4u
/* Skips the zeros of the first small cubes. */
#define PATTERN_SHIFT 1000u

static char pattern_block[PATTERN_PERIOD * PATTERN_REPEATS];
static uint32_t crc_table[8][256];

void pattern_init(void)
{
	for (size_t at = 0; at < sizeof(pattern_block); at++) {
		uint64_t r = (at + PATTERN_SHIFT) % PATTERN_PERIOD;

		pattern_block[at] = (char)((r * r * r % PATTERN_PERIOD) >> 8);
	}
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
		crc_table[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int k = 1; k < 8; k++)
			crc_table[k][i] =
				(crc_table[k - 1][i] >> 8) ^ crc_table[0][crc_table[k - 1][i] & 0xff];
	}
}

const char *pattern_at(uint64_t offset, size_t *ret_size)
{
	size_t r = (size_t)(offset % PATTERN_PERIOD);

	*ret_size = sizeof(pattern_block) - r;
	return pattern_block + r;
}

bool pattern_matches(uint64_t offset, const char *data, size_t size)
{
	while (size > 0) {
		size_t piece;
		const char *want = pattern_at(offset, &piece);

		if (piece > size)
			piece = size;
		if (memcmp(want, data, piece) != 0)
			return false;
		offset += piece;
		data += piece;
		size -= piece;
	}
	return true;
}

uint32_t crc32_add(uint32_t crc, const char *data, size_t size)
{
	crc = ~crc;
	while (size >= 8) {
		uint32_t low, high;

		memcpy(&low, data, 4);
		memcpy(&high, data + 4, 4);
		low = le32toh(low) ^ crc;
		high = le32toh(high);
		crc = crc_table[7][low & 0xff] ^ crc_table[6][(low >> 8) & 0xff] ^
		      crc_table[5][(low >> 16) & 0xff] ^ crc_table[4][low >> 24] ^ crc_table[3][high & 0xff] ^
		      crc_table[2][(high >> 8) & 0xff] ^ crc_table[1][(high >> 16) & 0xff] ^
		      crc_table[0][high >> 24];
		data += 8;
		size -= 8;
	}
	for (; size > 0; size--)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ (unsigned char)*data++) & 0xff];
	return ~crc;
}

uint64_t fnv_add(uint64_t hash, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3u;
	return hash;
}
