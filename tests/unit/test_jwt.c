/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/jwt.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/unit/jwt_vectors.h"
#include "user/base/check.h"
#include "user/mcp/json/json_text.h"

TEST_GUARD(guard, 64 * 1024);

static const struct siphash_key key = { 11, 12 };

static const char other_set[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"new\","
				"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

struct stage {
	struct fetched *source;
	struct span audience;
	struct span required;
	struct jwt_provider provider;
	struct jwt_providers providers;
	struct jwt_verifier *verifier;
};

static struct jwk_set *set_of(const char *text)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;

	assert_int_equal(jwk_set_parse(span_str(text), &set, &report), 0);
	return set;
}

static void stage_open(struct stage *stage)
{
	*stage = (struct stage){ .audience = SPAN("gateway"), .required = SPAN("exp") };
	stage->source = fetched_create(&set_of(vector_set)->value);
	stage->provider = (struct jwt_provider){ .issuer = SPAN("https://issuer.example"),
						 .audience_list = &stage->audience,
						 .audience_count = 1,
						 .required_list = &stage->required,
						 .required_count = 1,
						 .keys = stage->source };
	stage->providers = (struct jwt_providers){ jwt_providers_id(), &stage->provider, 1 };
	stage->verifier = jwt_verifier_create(&key);
	assert_non_null(stage->verifier);
}

static void stage_close(struct stage *stage)
{
	jwt_verifier_free(stage->verifier);
	fetched_unref(stage->source);
}

static enum jwt_fault verify_at(struct stage *stage, const char *token, uint64_t now_s)
{
	struct jwt_claims *claims;
	size_t len = strlen(token);
	enum jwt_fault fault = jwt_verify(stage->verifier, &stage->providers,
					  span_of(guard_end(&guard, token, len), len), now_s, &claims);

	assert_int_equal(claims != NULL, fault == JWT_GOOD);
	jwt_claims_unref(claims);
	return fault;
}

static enum jwt_fault verify(struct stage *stage, const char *token)
{
	return verify_at(stage, token, VECTOR_NOW);
}

TEST(keys_that_cannot_verify_are_left_out)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;

	assert_int_equal(jwk_set_parse(span_str(vector_set), &set, &report), 0);
	assert_int_equal(set->key_count, VECTOR_GOOD_KEYS);
	assert_int_equal(report.left_out, VECTOR_KEYS - VECTOR_GOOD_KEYS);
	assert_int_equal(report.index, VECTOR_GOOD_KEYS);
	assert_non_null(strstr(report.what, "2048"));
	jwk_set_unref(set);
}

TEST(a_text_without_a_usable_key_is_refused)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{\"keys\":{}}", -EBADMSG },
		{ "{\"keys\":[]}", -ENOKEY },
		{ "{\"keys\":[1,\"a\",null,[]]}", -ENOKEY },
		{ "{\"keys\":[],\"keys\":[]}", -EBADMSG },
		{ "{\"keys\":[]} x", -EBADMSG },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", -ENOKEY },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"\",\"e\":\"AQAB\"}]}", -ENOKEY },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"a\",\"x\":\"AQAB\"}]}", -ENOKEY },
		/* A point beside the curve. */
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
		  "\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
		  "\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}]}",
		  -ENOKEY },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct jwk_report report;
		struct jwk_set *set;

		if (jwk_set_parse(span_str(rows[i].text), &set, &report) != rows[i].error)
			fail_msg("%s", rows[i].text);
	}
}

static const char *const fault_names[JWT_FAULT_COUNT] = {
#define JWT_FAULT(id, text) [JWT_##id] = text,
#include "user/auth/jwt_faults.def"
#undef JWT_FAULT
};

TEST(tokens_of_another_library_are_judged_one_by_one)
{
	struct stage stage;

	stage_open(&stage);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		/* The second time a good one comes out of the cache. */
		for (int round = 0; round < 2; round++) {
			enum jwt_fault fault = verify(&stage, vectors[i].token);

			if (fault != vectors[i].fault)
				fail_msg("%s: %s", vectors[i].name,
					 fault == JWT_GOOD ? "accepted" : fault_names[fault]);
		}
	}
	stage_close(&stage);
}

static const char *token_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		if (strcmp(vectors[i].name, name) == 0)
			return vectors[i].token;
	fail_msg("%s", name);
	return NULL;
}

TEST(no_byte_of_a_token_can_be_changed_or_cut)
{
	struct stage stage;
	static const char *const names[] = { "ES256", "EdDSA" };

	stage_open(&stage);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *copy = strdup(token_named(names[i]));
		size_t len = strlen(copy);

		/* With the good one in the cache. */
		assert_int_equal(verify(&stage, copy), JWT_GOOD);
		for (size_t at = 0; at < len; at++) {
			char c = copy[at];

			copy[at] = c == 'A' ? 'B' : 'A';
			if (verify(&stage, copy) == JWT_GOOD)
				fail_msg("%s: byte %zu", names[i], at);
			copy[at] = '\0';
			if (verify(&stage, copy) == JWT_GOOD)
				fail_msg("%s: cut at %zu", names[i], at);
			copy[at] = c;
		}
		free(copy);
	}
	stage_close(&stage);
}

TEST(a_token_from_the_cache_ends_when_it_expires)
{
	struct stage stage;
	const char *token = token_named("RS256");

	stage_open(&stage);
	assert_int_equal(verify(&stage, token), JWT_GOOD);
	assert_int_equal(verify_at(&stage, token, VECTOR_NOW + 659), JWT_GOOD);
	assert_int_equal(verify_at(&stage, token, VECTOR_NOW + 660), JWT_EXPIRED);
	stage_close(&stage);
}

TEST(a_token_from_the_cache_ends_with_the_key_that_signed_it)
{
	struct stage stage;
	const char *token = token_named("ES256");

	stage_open(&stage);
	assert_int_equal(verify(&stage, token), JWT_GOOD);
	/* The same keys again: it is verified again, and still good. */
	fetched_replace(stage.source, &set_of(vector_set)->value, 1);
	assert_int_equal(verify(&stage, token), JWT_GOOD);
	fetched_replace(stage.source, &set_of(other_set)->value, 2);
	assert_int_equal(verify(&stage, token), JWT_UNKNOWN_KEY);
	stage_close(&stage);
}

TEST(a_token_from_the_cache_counts_for_its_policy_only)
{
	struct stage stage;
	const char *token = token_named("ES256");

	stage_open(&stage);
	assert_int_equal(verify(&stage, token), JWT_GOOD);
	stage.providers.id = jwt_providers_id();
	stage.audience = SPAN("somebody else");
	assert_int_equal(verify(&stage, token), JWT_AUDIENCE);
	stage_close(&stage);
}

TEST(an_unknown_key_asks_for_new_ones_and_nobody_enters_without_keys)
{
	struct stage stage;

	stage_open(&stage);
	assert_int_equal(verify(&stage, token_named("RS256")), JWT_GOOD);
	assert_int_equal(verify(&stage, token_named("another iss")), JWT_ISSUER);
	assert_false(fetched_take_miss(stage.source));
	assert_int_equal(verify(&stage, token_named("unknown kid")), JWT_UNKNOWN_KEY);
	assert_true(fetched_take_miss(stage.source));
	assert_false(fetched_take_miss(stage.source));
	stage_close(&stage);

	stage_open(&stage);
	fetched_unref(stage.source);
	stage.source = stage.provider.keys = fetched_create(NULL);
	assert_int_equal(verify(&stage, token_named("RS256")), JWT_NO_KEYS);
	assert_true(fetched_take_miss(stage.source));
	stage_close(&stage);
}

TEST(the_claims_outlive_the_cache)
{
	struct stage stage;
	struct jwt_claims *claims;

	stage_open(&stage);
	assert_int_equal(jwt_verify(stage.verifier, &stage.providers, span_str(token_named("ES256")),
				    VECTOR_NOW, &claims),
			 JWT_GOOD);
	stage_close(&stage);
	assert_true(span_eq(mcp_json_string(mcp_json_member(claims->json, SPAN("sub"))), SPAN("alice")));
	jwt_claims_unref(claims);
}

/* Two issuers may name their keys alike: the token's issuer chooses. */
TEST(a_key_of_one_issuer_does_not_sign_for_another)
{
	struct stage stage;
	struct jwt_provider two[2];

	stage_open(&stage);
	two[0] = stage.provider;
	two[0].issuer = SPAN("https://other.example");
	two[1] = stage.provider;
	stage.providers.provider_list = two;
	stage.providers.provider_count = 2;
	assert_int_equal(verify(&stage, token_named("RS256")), JWT_GOOD);
	two[1].keys = fetched_create(&set_of(other_set)->value);
	stage.providers.id = jwt_providers_id();
	assert_int_equal(verify(&stage, token_named("RS256")), JWT_UNKNOWN_KEY);
	fetched_unref(two[1].keys);
	stage_close(&stage);
}

static int verify_once(void *context)
{
	struct stage *stage = context;
	struct jwt_verifier *verifier = jwt_verifier_create(&key);
	struct jwt_claims *claims = NULL;
	enum jwt_fault fault = verifier ? jwt_verify(verifier, &stage->providers,
						     span_str(token_named("ES256")), VECTOR_NOW, &claims)
					: JWT_MEMORY;

	jwt_claims_unref(claims);
	jwt_verifier_free(verifier);
	assert_true(fault == JWT_GOOD || fault == JWT_MEMORY);
	return fault == JWT_GOOD ? 0 : -ENOMEM;
}

TEST(without_memory_nobody_enters)
{
	struct stage stage;

	stage_open(&stage);
	assert_true(alloc_fail_each(verify_once, &stage) > 2);
	stage_close(&stage);
}
