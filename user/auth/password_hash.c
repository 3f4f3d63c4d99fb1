/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/password_hash.h"

#include <crypt.h>
#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "user/base/check.h"
#include "user/base/mem.h"

enum {
	MD5_BYTES = 16,
	APR1_ROUNDS = 1000,
	APR1_HASH_CHARACTERS = 22,
	APR1_SALT_MAX = 8,
	SHA1_BYTES = 20,
	SHA1_CHARACTERS = 28,
};

struct password_work {
	struct crypt_data crypt;
	char password[PASSWORD_BYTES + 1];
	char hash[PASSWORD_HASH_BYTES];
	EVP_MD_CTX *digest; /* owner */
};

struct password_work *password_work_create(void)
{
	struct password_work *work = hg_calloc(1, sizeof(*work));

	if (!work)
		return NULL;
	work->digest = EVP_MD_CTX_new();
	if (!work->digest) {
		hg_free(work);
		return NULL;
	}
	return work;
}

void password_work_free(struct password_work *work)
{
	if (!work)
		return;
	EVP_MD_CTX_free(work->digest);
	OPENSSL_cleanse(work, sizeof(*work));
	hg_free(work);
}

static bool is_same(struct span a, struct span b)
{
	return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

static int verify_crypt(struct password_work *work, struct span hash)
{
	const char *result;

	memcpy(work->hash, hash.data, hash.len);
	work->hash[hash.len] = '\0';
	errno = 0;
	result = crypt_rn(work->password, work->hash, &work->crypt, sizeof(work->crypt));
	if (!result)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	return is_same(span_str(result), hash);
}

/* SHA-1, in base64 with padding. */
static int verify_sha1(struct span hash, struct span password)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = { 0 }, text[SHA1_CHARACTERS + 1];
	unsigned len = 0;
	int result = -EINVAL;

	if (EVP_Digest(password.data, password.len, digest, &len, EVP_sha1(), NULL) == 1 &&
	    len == SHA1_BYTES) {
		EVP_EncodeBlock(text, digest, SHA1_BYTES);
		result = is_same(span_of(text, SHA1_CHARACTERS), span_from(hash, 5));
	}
	OPENSSL_cleanse(digest, sizeof(digest));
	OPENSSL_cleanse(text, sizeof(text));
	return result;
}

static bool md5_start(EVP_MD_CTX *digest)
{
	return EVP_DigestInit_ex(digest, EVP_md5(), NULL) == 1;
}

static bool md5_add(EVP_MD_CTX *digest, struct span s)
{
	return EVP_DigestUpdate(digest, s.data, s.len) == 1;
}

static bool md5_end(EVP_MD_CTX *digest, unsigned char out[MD5_BYTES])
{
	return EVP_DigestFinal_ex(digest, out, NULL) == 1;
}

/* What the rounds start with. */
static bool apr1_start(EVP_MD_CTX *digest, struct span password, struct span salt,
		       unsigned char out[MD5_BYTES])
{
	struct span block = span_of(out, MD5_BYTES);
	bool is_valid = md5_start(digest) && md5_add(digest, password) && md5_add(digest, salt) &&
			md5_add(digest, password) && md5_end(digest, out);

	is_valid = is_valid && md5_start(digest) && md5_add(digest, password) &&
		   md5_add(digest, SPAN("$apr1$")) && md5_add(digest, salt);
	for (size_t left = password.len; is_valid && left; left -= left < MD5_BYTES ? left : MD5_BYTES)
		is_valid = md5_add(digest, span_first(block, left));
	/* One byte for each bit of the length: a NUL, or the first of the password. */
	for (size_t bits = password.len; is_valid && bits; bits >>= 1)
		is_valid = md5_add(digest, bits & 1 ? SPAN("\0") : span_first(password, 1));
	return is_valid && md5_end(digest, out);
}

static bool apr1_round(EVP_MD_CTX *digest, struct span password, struct span salt, unsigned round,
		       unsigned char out[MD5_BYTES])
{
	struct span block = span_of(out, MD5_BYTES);

	return md5_start(digest) && md5_add(digest, round & 1 ? password : block) &&
	       (round % 3 == 0 || md5_add(digest, salt)) && (round % 7 == 0 || md5_add(digest, password)) &&
	       md5_add(digest, round & 1 ? block : password) && md5_end(digest, out);
}

/* 22 digits of base 64, of bytes in the order of the original crypt for MD5. */
static void apr1_text(const unsigned char block[MD5_BYTES], char out[APR1_HASH_CHARACTERS])
{
	static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const uint8_t order[][3] = {
		{ 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 }
	};

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		uint32_t bits = (uint32_t)block[order[i][0]] << 16 | (uint32_t)block[order[i][1]] << 8 |
				block[order[i][2]];

		for (unsigned k = 0; k < 4; k++, bits >>= 6)
			*out++ = digits[bits & 63];
	}
	out[0] = digits[block[11] & 63];
	out[1] = digits[block[11] >> 6];
}

static int verify_apr1(EVP_MD_CTX *digest, struct span hash, struct span password)
{
	struct span rest = span_from(hash, 6), salt;
	unsigned char block[MD5_BYTES];
	char text[APR1_HASH_CHARACTERS];
	bool is_valid;
	int result = -EINVAL;

	if (!span_split(&rest, '$', &salt))
		return -EINVAL;
	salt = span_first(salt, APR1_SALT_MAX);
	is_valid = apr1_start(digest, password, salt, block);
	for (unsigned round = 0; is_valid && round < APR1_ROUNDS; round++)
		is_valid = apr1_round(digest, password, salt, round, block);
	if (is_valid) {
		apr1_text(block, text);
		result = is_same(span_of(text, sizeof(text)), rest);
	}
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(text, sizeof(text));
	EVP_MD_CTX_reset(digest);
	return result;
}

int password_hash_verify(struct password_work *work, struct span hash, struct span password)
{
	enum password_scheme scheme;
	int result;

	if (password.len > PASSWORD_BYTES || span_find(password, '\0') >= 0)
		return 0;
	if (password_format_check(hash, &scheme) != NULL)
		return -EINVAL;
	if (scheme == PASSWORD_SHA1)
		return verify_sha1(hash, password);
	if (scheme == PASSWORD_APR1)
		return verify_apr1(work->digest, hash, password);
	if (password.len)
		memcpy(work->password, password.data, password.len);
	work->password[password.len] = '\0';
	result = verify_crypt(work, hash);
	OPENSSL_cleanse(work->password, sizeof(work->password));
	OPENSSL_cleanse(&work->crypt, sizeof(work->crypt));
	return result;
}

int password_hash_is_known(struct span hash)
{
	char text[PASSWORD_HASH_BYTES];
	enum password_scheme scheme;
	int result;

	if (hash.len >= sizeof(text) || password_format_check(hash, &scheme) != NULL)
		return -ENOTSUP;
	if (scheme != PASSWORD_CRYPT)
		return 0;
	memcpy(text, hash.data, hash.len);
	text[hash.len] = '\0';
	result = crypt_checksalt(text);
	return result == CRYPT_SALT_INVALID || result == CRYPT_SALT_METHOD_DISABLED ? -ENOTSUP : 0;
}
