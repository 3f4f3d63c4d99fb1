/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/params.h>

#include "tests/lib/test.h"
#include "user/base/siphash.h"

enum { LONGEST = 100 };

/* OpenSSL has an implementation of its own. */
static void their_hash(const unsigned char key[16], const unsigned char *data, size_t len,
		       unsigned char out[16])
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
	size_t size = 16;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_end() };
	size_t written = 0;

	assert_int_equal(EVP_MAC_init(context, key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(context, data, len), 1);
	assert_int_equal(EVP_MAC_final(context, out, &written, 16), 1);
	assert_int_equal(written, 16);
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(mac);
}

TEST(every_length_and_every_split_gives_the_hash_of_another_implementation)
{
	unsigned char key[16], data[LONGEST];
	struct siphash_key ours;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (unsigned char)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 31 + 5);
	memcpy(&ours, key, sizeof(ours));
	for (size_t len = 0; len <= LONGEST; len++) {
		unsigned char want[16];

		their_hash(key, data, len, want);
		for (size_t split = 0; split <= len; split++) {
			struct siphash h;
			struct hash128 got;

			siphash_start(&h, &ours);
			siphash_add(&h, span_of(data, split));
			siphash_add(&h, span_of(data + split, len - split));
			got = siphash_end(&h);
			if (memcmp(&got, want, sizeof(want)) != 0)
				fail_msg("%zu bytes, split at %zu", len, split);
		}
	}
}

TEST(parts_that_join_to_the_same_bytes_have_different_hashes)
{
	struct siphash_key key = { 1, 2 };
	struct siphash a, b;

	siphash_start(&a, &key);
	siphash_add_part(&a, SPAN("ab"));
	siphash_add_part(&a, SPAN("c"));
	siphash_start(&b, &key);
	siphash_add_part(&b, SPAN("a"));
	siphash_add_part(&b, SPAN("bc"));
	assert_false(hash128_eq(siphash_end(&a), siphash_end(&b)));
}
