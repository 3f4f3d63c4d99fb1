/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token, or the text of a set of keys if the input starts with '{'. No input is signed by the key of the
 * test, so none is good; reading it must end without a fault.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "user/auth/jwt.h"
#include "user/base/check.h"

static const char keys[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"new\","
			   "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static struct jwk_set *set_of(struct span text)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;

	if (jwk_set_parse(text, &set, &report) < 0)
		return NULL;
	CHECK(set->key_count > 0);
	return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct siphash_key key = { 1, 2 };
	static struct jwt_verifier *verifier;
	static struct jwt_provider provider = { .issuer = SPAN("i") };
	static struct jwt_providers providers = { 1, &provider, 1 };
	struct jwt_claims *claims;

	if (!verifier) {
		verifier = jwt_verifier_create(&key);
		provider.keys = fetched_create(&set_of(SPAN(keys))->value);
		CHECK(verifier && provider.keys);
	}
	if (size && data[0] == '{') {
		jwk_set_unref(set_of(span_of(data, size)));
		return 0;
	}
	CHECK(jwt_verify(verifier, &providers, span_of(data, size), 1800000000, &claims) != JWT_GOOD);
	CHECK(!claims);
	return 0;
}
