/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/session_token.h"

#include <errno.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "user/base/base64.h"
#include "user/base/mem.h"

/* The bytes of a token, before base64url: numbers are big-endian. */
enum {
	TOKEN_VERSION = 1,
	TOKEN_ISSUED_AT = 1,
	TOKEN_USED_AT = 5,
	TOKEN_ENDPOINT_AT = 9,
	TOKEN_MAC_AT = 17,
	TOKEN_MAC_BYTES = 16, /* half of the hash, the least that RFC 2104 5 recommends */
	TOKEN_BYTES = TOKEN_MAC_AT + TOKEN_MAC_BYTES,
};

bool session_key_parse(struct span text, struct session_key *ret)
{
	struct session_key key = { .is_configured = true };

	if (text.len != 2 * sizeof(key.bytes))
		return false;
	for (size_t i = 0; i < sizeof(key.bytes); i++) {
		int high = OPENSSL_hexchar2int((unsigned char)text.data[2 * i]);
		int low = OPENSSL_hexchar2int((unsigned char)text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = key;
	OPENSSL_cleanse(&key, sizeof(key));
	return true;
}

struct session_key *session_key_create(const struct session_key *like)
{
	struct session_key *key = hg_calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	if (like) {
		*key = *like;
	} else if (getrandom(key->bytes, sizeof(key->bytes), 0) != (ssize_t)sizeof(key->bytes)) {
		hg_free(key);
		return NULL;
	}
	return key;
}

void session_key_free(void *key)
{
	if (key)
		OPENSSL_cleanse(key, sizeof(struct session_key));
	hg_free(key);
}

static void put_number(uint8_t *at, uint64_t number, unsigned bytes)
{
	for (unsigned i = bytes; i--; number >>= 8)
		at[i] = (uint8_t)number;
}

static uint64_t get_number(const uint8_t *at, unsigned bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < bytes; i++)
		number = number << 8 | at[i];
	return number;
}

/*
 * HMAC-SHA-256 of the purpose and both parts, each behind its length, so that no two inputs are alike. 0 or
 * -ENOMEM.
 */
static int keyed_hash(const struct session_key *key, const char *purpose, struct span a, struct span b,
		      uint8_t ret[EVP_MAX_MD_SIZE])
{
	const struct span parts[] = { span_str(purpose), a, b };
	struct text text;
	int error;

	text_init(&text);
	for (size_t i = 0; i < 3; i++) {
		uint8_t len[8];

		put_number(len, parts[i].len, sizeof(len));
		text_add(&text, span_of(len, sizeof(len)));
		text_add(&text, parts[i]);
	}
	error = text_error(&text);
	if (!error && !HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), (const unsigned char *)text.data,
			    text.len, ret, NULL))
		error = -ENOMEM;
	text_done(&text);
	return error;
}

int session_endpoint_tag(const struct session_key *key, struct span backend, struct span endpoint,
			 uint64_t *ret_tag)
{
	uint8_t hash[EVP_MAX_MD_SIZE] = { 0 };
	int error = keyed_hash(key, "headgate session endpoint", backend, endpoint, hash);

	*ret_tag = get_number(hash, sizeof(*ret_tag));
	return error;
}

static int token_mac(const struct session_key *key, struct span scope, const uint8_t bytes[TOKEN_BYTES],
		     uint8_t ret[EVP_MAX_MD_SIZE])
{
	return keyed_hash(key, "headgate session token", scope, span_of(bytes, TOKEN_MAC_AT), ret);
}

int session_token_write(const struct session_key *key, struct span scope, const struct session_token *token,
			char ret_text[SESSION_TOKEN_TEXT_BYTES])
{
	uint8_t bytes[TOKEN_BYTES] = { TOKEN_VERSION }, mac[EVP_MAX_MD_SIZE] = { 0 };
	int error;

	put_number(bytes + TOKEN_ISSUED_AT, token->issued_s, 4);
	put_number(bytes + TOKEN_USED_AT, token->used_s, 4);
	put_number(bytes + TOKEN_ENDPOINT_AT, token->endpoint, 8);
	error = token_mac(key, scope, bytes, mac);
	memcpy(bytes + TOKEN_MAC_AT, mac, TOKEN_MAC_BYTES);
	base64url_encode(span_of(bytes, sizeof(bytes)), ret_text);
	return error;
}

int session_token_read(const struct session_key *key, struct span scope, struct span text,
		       struct session_token *ret_token)
{
	uint8_t bytes[TOKEN_BYTES], mac[EVP_MAX_MD_SIZE] = { 0 };
	int error;

	if (text.len != SESSION_TOKEN_TEXT_BYTES ||
	    base64url_decode(text, (char *)bytes) != (ssize_t)sizeof(bytes) || bytes[0] != TOKEN_VERSION)
		return -EBADMSG;
	error = token_mac(key, scope, bytes, mac);
	if (error)
		return error;
	if (CRYPTO_memcmp(bytes + TOKEN_MAC_AT, mac, TOKEN_MAC_BYTES) != 0)
		return -EBADMSG;
	*ret_token = (struct session_token){ .endpoint = get_number(bytes + TOKEN_ENDPOINT_AT, 8),
					     .issued_s = (uint32_t)get_number(bytes + TOKEN_ISSUED_AT, 4),
					     .used_s = (uint32_t)get_number(bytes + TOKEN_USED_AT, 4) };
	return 0;
}
