/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"

/*
 * API keys, of which only the SHA-256 is kept: who reads the memory or the dump learns no key. A key is
 * random and long, so no slower hash is needed.
 */
enum {
	API_KEY_HASH_BYTES = 32,
	API_KEY_BYTES = 1024, /* longest key */
	API_KEYS = 65536, /* of one policy: more are refused */
};

struct expression_value; /* policy/expression/expression_value.h */

struct api_key {
	uint8_t hash[API_KEY_HASH_BYTES];
	struct span metadata; /* a JSON object; empty: none */
	const struct expression_value *tree; /* what expressions see of it; NULL: nothing */
};

struct api_keys {
	struct api_key *key_list;
	uint32_t key_count;
	/* set by api_keys_index(): */
	uint32_t *slot_list; /* index + 1 of a key, 0: none; a power of two, at least twice the keys */
	uint32_t slot_count;
};

/* 0, or -ENOMEM if the library fails. */
int api_key_hash(struct span key, uint8_t ret[API_KEY_HASH_BYTES]);
/* "sha256:" and 64 hexadecimal digits. */
bool api_key_hash_parse(struct span text, uint8_t ret[API_KEY_HASH_BYTES]);
/* 0, -ENOMEM, or -EEXIST if a key occurs twice: *ret_index is the second one. */
int api_keys_index(struct arena *arena, struct api_keys *keys, uint32_t *ret_index);
/*
 * 0 with the key, -ENOENT for an unknown one, or -ENOMEM. The time depends neither on what is equal nor on
 * the number of keys.
 */
int api_keys_find(const struct api_keys *keys, struct span key, const struct api_key **ret_key);
