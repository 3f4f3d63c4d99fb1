/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/ticket_keys.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { TICKET_PERIODS_MAX = 1 << 16 }; /* in one call: 45 years */

/*
 * HKDF-Expand (RFC 5869 2.3) to one block. The secret is uniformly random, so the extract step is not needed.
 */
static bool expand(const uint8_t secret[TICKET_SECRET_BYTES], const char *info, uint8_t ret[EVP_MAX_MD_SIZE])
{
	unsigned char text[64];
	size_t len = strlen(info);

	memcpy(text, info, len);
	text[len] = 1;
	return HMAC(EVP_sha256(), secret, TICKET_SECRET_BYTES, text, len + 1, ret, NULL) != NULL;
}

static bool key_of(const uint8_t secret[TICKET_SECRET_BYTES], struct ticket_key *ret)
{
	uint8_t block[EVP_MAX_MD_SIZE] = { 0 };
	bool is_valid = expand(secret, "headgate ticket name", block);

	memcpy(ret->name, block, TICKET_NAME_BYTES);
	is_valid = is_valid && expand(secret, "headgate ticket cipher", block);
	memcpy(ret->cipher_key, block, TICKET_KEY_BYTES);
	is_valid = is_valid && expand(secret, "headgate ticket mac", block);
	memcpy(ret->mac_key, block, TICKET_KEY_BYTES);
	ret->is_there = is_valid;
	OPENSSL_cleanse(block, sizeof(block));
	return is_valid;
}

/* Replaces keys->secret by that of the next period. */
static bool go_on(struct ticket_keys *keys)
{
	uint8_t block[EVP_MAX_MD_SIZE] = { 0 };
	bool is_valid = expand(keys->secret, "headgate ticket next", block);

	if (is_valid)
		memcpy(keys->secret, block, TICKET_SECRET_BYTES);
	OPENSSL_cleanse(block, sizeof(block));
	return is_valid;
}

/* Advances by one period. */
static bool step(struct ticket_keys *keys)
{
	keys->previous = keys->current;
	if (!key_of(keys->secret, &keys->current) || !go_on(keys))
		return false;
	keys->period++;
	return true;
}

int ticket_keys_init(struct ticket_keys *keys, const uint8_t secret[TICKET_SECRET_BYTES], uint64_t now_s)
{
	*keys = (struct ticket_keys){ 0 };
	memcpy(keys->secret, secret, TICKET_SECRET_BYTES);
	if (!key_of(keys->secret, &keys->current) || !go_on(keys)) {
		ticket_keys_wipe(keys);
		return -ENOMEM;
	}
	return ticket_keys_advance(keys, now_s);
}

int ticket_keys_advance(struct ticket_keys *keys, uint64_t now_s)
{
	uint64_t period = now_s / TICKET_PERIOD_S;
	struct ticket_keys next;
	bool is_valid = true;

	if (period <= keys->period)
		return 0;
	if (period - keys->period > TICKET_PERIODS_MAX)
		return -ERANGE;
	next = *keys;
	while (is_valid && next.period < period)
		is_valid = step(&next);
	if (is_valid)
		*keys = next;
	OPENSSL_cleanse(&next, sizeof(next));
	return is_valid ? 0 : -ENOMEM;
}

const struct ticket_key *ticket_keys_find(const struct ticket_keys *keys,
					  const uint8_t name[TICKET_NAME_BYTES], bool *ret_is_old)
{
	*ret_is_old = false;
	if (keys->current.is_there && CRYPTO_memcmp(keys->current.name, name, TICKET_NAME_BYTES) == 0)
		return &keys->current;
	if (!keys->previous.is_there || CRYPTO_memcmp(keys->previous.name, name, TICKET_NAME_BYTES) != 0)
		return NULL;
	*ret_is_old = true;
	return &keys->previous;
}

void ticket_keys_wipe(struct ticket_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}
