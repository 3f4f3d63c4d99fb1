/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/api_key.h"

#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

int api_key_hash(struct span key, uint8_t ret[API_KEY_HASH_BYTES])
{
	unsigned len = 0;

	return EVP_Digest(key.data, key.len, ret, &len, EVP_sha256(), NULL) == 1 && len == API_KEY_HASH_BYTES
		       ? 0
		       : -ENOMEM;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool api_key_hash_parse(struct span text, uint8_t ret[API_KEY_HASH_BYTES])
{
	struct span digits = span_from(text, 7);
	uint8_t hash[API_KEY_HASH_BYTES];

	if (!span_starts(text, SPAN("sha256:")) || digits.len != 2 * sizeof(hash))
		return false;
	for (size_t i = 0; i < sizeof(hash); i++) {
		int high = hex_digit(digits.data[2 * i]), low = hex_digit(digits.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		hash[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, hash, sizeof(hash));
	return true;
}

/* Nobody can choose the first bytes of a hash to his advantage. */
static uint32_t first_slot(const struct api_keys *keys, const uint8_t hash[API_KEY_HASH_BYTES])
{
	uint32_t number;

	memcpy(&number, hash, sizeof(number));
	return number & (keys->slot_count - 1);
}

static const struct api_key *find(const struct api_keys *keys, const uint8_t hash[API_KEY_HASH_BYTES],
				  uint32_t *ret_slot)
{
	uint32_t slot = first_slot(keys, hash);

	for (; keys->slot_list[slot]; slot = (slot + 1) & (keys->slot_count - 1)) {
		const struct api_key *key = &keys->key_list[keys->slot_list[slot] - 1];

		if (CRYPTO_memcmp(key->hash, hash, API_KEY_HASH_BYTES) == 0)
			return key;
	}
	*ret_slot = slot;
	return NULL;
}

int api_keys_index(struct arena *arena, struct api_keys *keys, uint32_t *ret_index)
{
	keys->slot_count = 4;
	while (keys->slot_count < 2 * keys->key_count)
		keys->slot_count *= 2;
	keys->slot_list = arena_take(arena, keys->slot_count * sizeof(*keys->slot_list));
	if (!keys->slot_list)
		return -ENOMEM;
	for (uint32_t i = 0; i < keys->key_count; i++) {
		uint32_t slot = 0;

		if (find(keys, keys->key_list[i].hash, &slot)) {
			*ret_index = i;
			return -EEXIST;
		}
		keys->slot_list[slot] = i + 1;
	}
	return 0;
}

int api_keys_find(const struct api_keys *keys, struct span key, const struct api_key **ret_key)
{
	uint8_t hash[API_KEY_HASH_BYTES];
	const struct api_key *found;
	uint32_t slot;

	if (key.len == 0 || key.len > API_KEY_BYTES)
		return -ENOENT;
	if (api_key_hash(key, hash) < 0)
		return -ENOMEM;
	found = find(keys, hash, &slot);
	OPENSSL_cleanse(hash, sizeof(hash));
	if (!found)
		return -ENOENT;
	*ret_key = found;
	return 0;
}
