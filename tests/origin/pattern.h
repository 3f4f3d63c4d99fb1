/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deterministic body: byte o of every generated body is (r*r*r mod 65521) >> 8 with r = (o + 1000) mod
 * 65521. 65521 is the largest prime below 2^16, and every window of 8 bytes occurs once in a period, so a
 * lost, doubled or moved chunk of 8 bytes or more is detected unless it moved by a multiple of 65521 bytes;
 * chunks of 2^k bytes would have to move by 65521 chunks. Also the two checksums that the origin reports:
 * CRC-32 (as zlib.crc32) and FNV-1a 64.
 */
#ifndef HTTPBIN_PATTERN_H
#define HTTPBIN_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_PERIOD 65521u
#define FNV_START 0xcbf29ce484222325u

/* Fills the tables; call once before any thread starts. */
void pattern_init(void);
/* The pattern from an offset on: *ret_size contiguous bytes, at least one period. */
const char *pattern_at(uint64_t offset, size_t *ret_size);
bool pattern_matches(uint64_t offset, const char *data, size_t size);
/* Both take and return the running value; start with 0 and with FNV_START. */
uint32_t crc32_add(uint32_t crc, const char *data, size_t size);
uint64_t fnv_add(uint64_t hash, const char *data, size_t size);

#endif
