/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/jwt.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "user/auth/credential_cache.h"
#include "user/auth/jwt_algorithm.h"
#include "user/base/base64.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

enum {
	CACHE_SETS = 256, /* 1024 tokens */
	NUMBER_BYTES_MAX = 32, /* of a date: longer ones are malformed */
	TEXT_BYTES = 2048, /* of a string that is compared, without escapes */
};

struct jwt_verifier {
	struct siphash_key key;
	struct mcp_json_checker *checker; /* owner */
	struct credential_cache *cache; /* owner; of struct jwt_claims */
	struct jwt_prepared prepared;
	char header[JWT_HEADER_BYTES + 3];
	char claims[JWT_CLAIMS_BYTES + 3];
	char signature[JWT_SIGNATURE_BYTES + 3];
};

/* The parts of one token, decoded. */
struct parts {
	struct span signed_text; /* header and claims, as sent */
	struct span header;
	struct span claims;
	struct span signature;
};

enum header_member { HEADER_ALG, HEADER_KID, HEADER_CRIT, HEADER_COUNT };
static const struct span header_names[HEADER_COUNT] = { SPAN("alg"), SPAN("kid"), SPAN("crit") };

enum claim { CLAIM_ISS, CLAIM_AUD, CLAIM_EXP, CLAIM_NBF, CLAIM_COUNT };
static const struct span claim_names[CLAIM_COUNT] = { SPAN("iss"), SPAN("aud"), SPAN("exp"), SPAN("nbf") };

uint64_t jwt_providers_id(void)
{
	static atomic_ullong last_id;

	return atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
}

struct jwt_claims *jwt_claims_ref(struct jwt_claims *claims)
{
	atomic_fetch_add_explicit(&claims->refs, 1, memory_order_relaxed);
	return claims;
}

void jwt_claims_unref(struct jwt_claims *claims)
{
	if (!claims || atomic_fetch_sub_explicit(&claims->refs, 1, memory_order_acq_rel) > 1)
		return;
	arena_done(&claims->arena);
	hg_free(claims);
}

void jwt_subject(const struct jwt_claims *claims, struct text *to)
{
	mcp_json_unescape(to, mcp_json_string(mcp_json_member(claims->json, SPAN("sub"))));
}

static void release_claims(void *value)
{
	jwt_claims_unref(value);
}

struct jwt_verifier *jwt_verifier_create(const struct siphash_key *key)
{
	struct jwt_verifier *verifier = hg_calloc(1, sizeof(*verifier));

	if (!verifier)
		return NULL;
	verifier->key = *key;
	verifier->checker = mcp_json_checker_create();
	verifier->cache = credential_cache_create(CACHE_SETS, release_claims);
	if (!verifier->checker || !verifier->cache) {
		jwt_verifier_free(verifier);
		return NULL;
	}
	return verifier;
}

struct mcp_json_checker *jwt_verifier_checker(struct jwt_verifier *verifier)
{
	return verifier->checker;
}

void jwt_verifier_free(struct jwt_verifier *verifier)
{
	if (!verifier)
		return;
	mcp_json_checker_free(verifier->checker);
	credential_cache_free(verifier->cache);
	jwt_prepared_done(&verifier->prepared);
	explicit_bzero(verifier, sizeof(*verifier));
	hg_free(verifier);
}

static enum jwt_fault part_decode(struct span text, char *out, size_t max_bytes, struct span *ret)
{
	ssize_t len;

	if (text.len > (max_bytes * 4 + 2) / 3)
		return JWT_TOO_LONG;
	len = base64url_decode(text, out);
	*ret = span_of(out, len < 0 ? 0 : (size_t)len);
	return len <= 0 ? JWT_MALFORMED : JWT_GOOD;
}

/* Exactly three parts: header.claims.signature. */
static enum jwt_fault token_split(struct jwt_verifier *verifier, struct span token, struct parts *ret)
{
	ptrdiff_t first = span_find(token, '.'), second;
	struct span rest;
	enum jwt_fault fault;

	if (token.len > JWT_BYTES)
		return JWT_TOO_LONG;
	rest = span_from(token, (size_t)first + 1);
	second = span_find(rest, '.');
	if (first < 0 || second < 0)
		return JWT_MALFORMED;
	ret->signed_text = span_first(token, (size_t)first + 1 + (size_t)second);
	fault = part_decode(span_first(token, (size_t)first), verifier->header, JWT_HEADER_BYTES,
			    &ret->header);
	if (fault == JWT_GOOD)
		fault = part_decode(span_first(rest, (size_t)second), verifier->claims, JWT_CLAIMS_BYTES,
				    &ret->claims);
	if (fault == JWT_GOOD)
		fault = part_decode(span_from(rest, (size_t)second + 1), verifier->signature,
				    JWT_SIGNATURE_BYTES, &ret->signature);
	return fault;
}

/* The members of a JSON object that was not checked yet. */
static enum jwt_fault object_read(struct mcp_json_checker *checker, struct span *json,
				  const struct span *names, size_t count, struct span *ret_values)
{
	int result = mcp_json_check(checker, *json);

	if (result < 0)
		return result == -ENOMEM ? JWT_MEMORY : JWT_MALFORMED;
	*json = mcp_json_trim(*json);
	return mcp_json_type(*json) == MCP_JSON_OBJECT && mcp_json_members(*json, names, count, ret_values)
		       ? JWT_GOOD
		       : JWT_MALFORMED;
}

/* The bytes that a string means; empty for anything else, and for long ones. */
static struct span string_of(struct span value, char out[TEXT_BYTES])
{
	struct span inner = mcp_json_string(value);
	struct text text;

	if (inner.len >= TEXT_BYTES)
		return (struct span){ 0 };
	text_borrow(&text, out, TEXT_BYTES);
	mcp_json_unescape(&text, inner);
	return text_span(&text);
}

static bool means(struct span value, struct span want)
{
	char memory[TEXT_BYTES];

	return want.len > 0 && span_eq(string_of(value, memory), want);
}

static bool is_one_of(struct span value, const struct span *list, uint32_t count)
{
	char memory[TEXT_BYTES];
	struct span text = string_of(value, memory);

	for (uint32_t i = 0; i < count; i++)
		if (text.len > 0 && span_eq(text, list[i]))
			return true;
	return false;
}

/* RFC 7519 4.1.3: a string, or an array of strings. */
static bool has_audience(struct span value, const struct jwt_provider *provider)
{
	struct mcp_json_walk walk = mcp_json_walk_of(value);
	struct span name, element;

	if (mcp_json_type(value) != MCP_JSON_ARRAY)
		return is_one_of(value, provider->audience_list, provider->audience_count);
	while (mcp_json_next(&walk, &name, &element))
		if (is_one_of(element, provider->audience_list, provider->audience_count))
			return true;
	return false;
}

/* NumericDate (RFC 7519 2): seconds, perhaps with a fraction. */
static bool date_of(struct span value, double *ret)
{
	char text[NUMBER_BYTES_MAX + 1];

	if (mcp_json_type(value) != MCP_JSON_NUMBER || value.len > NUMBER_BYTES_MAX)
		return false;
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	*ret = strtod(text, NULL);
	return isfinite(*ret);
}

/* What was signed: dates, audience, and what must be there. */
static enum jwt_fault claims_check(const struct jwt_provider *provider, struct span json,
				   const struct span values[CLAIM_COUNT], uint64_t now_s,
				   uint64_t *ret_until_s)
{
	double now = (double)now_s, date;

	*ret_until_s = now_s + JWT_REMEMBER_S;
	for (uint32_t i = 0; i < provider->required_count; i++) {
		struct span value;

		if (!mcp_json_members(json, &provider->required_list[i], 1, &value))
			return JWT_MALFORMED;
		if (value.len == 0 || mcp_json_type(value) == MCP_JSON_NULL)
			return JWT_CLAIM;
	}
	if (values[CLAIM_EXP].len) {
		if (!date_of(values[CLAIM_EXP], &date))
			return JWT_MALFORMED;
		if (date + JWT_LEEWAY_S <= now)
			return JWT_EXPIRED;
		if (date + JWT_LEEWAY_S < now + JWT_REMEMBER_S)
			*ret_until_s = (uint64_t)ceil(date + JWT_LEEWAY_S);
	}
	if (values[CLAIM_NBF].len) {
		if (!date_of(values[CLAIM_NBF], &date))
			return JWT_MALFORMED;
		if (date - JWT_LEEWAY_S > now)
			return JWT_NOT_YET;
	}
	if (provider->audience_count && !has_audience(values[CLAIM_AUD], provider))
		return JWT_AUDIENCE;
	return JWT_GOOD;
}

struct found_key {
	const struct jwt_provider *provider;
	uint32_t index; /* of the provider */
	struct jwk_set *set; /* a reference */
	const struct jwk *key;
};

/*
 * The provider that issued the token, and its key. The issuer is read before the signature is verified; it
 * only selects the provider, whose key must then have signed it.
 */
static enum jwt_fault key_find(const struct jwt_providers *providers, struct span issuer, struct span kid,
			       const struct jwt_algorithm *algorithm, struct found_key *ret)
{
	enum jwt_fault fault = JWT_ISSUER;

	for (uint32_t i = 0; i < providers->provider_count; i++) {
		const struct jwt_provider *provider = &providers->provider_list[i];
		struct jwk_set *set;
		bool has_kid;

		if (!means(issuer, provider->issuer))
			continue;
		set = jwk_set_hold(provider->keys);
		if (!set) {
			fetched_miss(provider->keys);
			fault = JWT_NO_KEYS;
			continue;
		}
		ret->key = jwk_set_find(set, kid, algorithm, &has_kid);
		if (ret->key) {
			ret->provider = provider;
			ret->index = i;
			ret->set = set;
			return JWT_GOOD;
		}
		jwk_set_unref(set);
		if (has_kid) {
			fault = JWT_KEY_TYPE;
			continue;
		}
		fetched_miss(provider->keys);
		if (fault == JWT_ISSUER)
			fault = JWT_UNKNOWN_KEY;
	}
	return fault;
}

static enum jwt_fault header_read(struct mcp_json_checker *checker, struct span header,
				  char kid_memory[TEXT_BYTES], struct span *ret_kid,
				  const struct jwt_algorithm **ret_algorithm)
{
	struct span values[HEADER_COUNT];
	enum jwt_fault fault = object_read(checker, &header, header_names, HEADER_COUNT, values);

	if (fault != JWT_GOOD)
		return fault;
	/* RFC 7515 4.1.11: who does not understand an extension must refuse; here none is understood. */
	if (values[HEADER_CRIT].len)
		return JWT_CRITICAL;
	*ret_algorithm = jwt_algorithm_find(mcp_json_string(values[HEADER_ALG]));
	if (!*ret_algorithm)
		return JWT_ALGORITHM;
	*ret_kid = string_of(values[HEADER_KID], kid_memory);
	return ret_kid->len ? JWT_GOOD : JWT_NO_KID;
}

static struct jwt_claims *claims_create(struct span json)
{
	struct jwt_claims *claims = hg_malloc(sizeof(*claims) + json.len);

	if (!claims)
		return NULL;
	*claims = (struct jwt_claims){ 0 };
	atomic_init(&claims->refs, 1);
	memcpy(claims + 1, json.data, json.len);
	claims->json = span_of(claims + 1, json.len);
	arena_init(&claims->arena, 1024);
	return claims;
}

static enum jwt_fault signature_check(struct jwt_verifier *verifier, const struct found_key *found,
				      const struct jwt_algorithm *algorithm, const struct parts *parts)
{
	int result = jwt_algorithm_verify(&verifier->prepared, algorithm, found->key->key, parts->signed_text,
					  parts->signature);

	return result == 1 ? JWT_GOOD : result == 0 ? JWT_SIGNATURE : JWT_MEMORY;
}

static enum jwt_fault token_verify(struct jwt_verifier *verifier, const struct jwt_providers *providers,
				   struct span token, uint64_t now_s, struct jwt_claims **ret)
{
	char kid_memory[TEXT_BYTES];
	const struct jwt_algorithm *algorithm = NULL;
	struct span kid = { 0 }, values[CLAIM_COUNT];
	struct found_key found = { 0 };
	struct jwt_claims *claims;
	struct parts parts;
	uint64_t until_s = 0;
	enum jwt_fault fault = token_split(verifier, token, &parts);

	if (fault == JWT_GOOD)
		fault = header_read(verifier->checker, parts.header, kid_memory, &kid, &algorithm);
	if (fault == JWT_GOOD)
		fault = object_read(verifier->checker, &parts.claims, claim_names, CLAIM_COUNT, values);
	if (fault == JWT_GOOD)
		fault = key_find(providers, values[CLAIM_ISS], kid, algorithm, &found);
	if (fault != JWT_GOOD)
		return fault;
	fault = signature_check(verifier, &found, algorithm, &parts);
	if (fault == JWT_GOOD)
		fault = claims_check(found.provider, parts.claims, values, now_s, &until_s);
	claims = fault == JWT_GOOD ? claims_create(parts.claims) : NULL;
	if (claims) {
		claims->keys_id = found.set->value.id;
		claims->provider = found.index;
		claims->until_s = until_s;
	} else if (fault == JWT_GOOD) {
		fault = JWT_MEMORY;
	}
	jwk_set_unref(found.set);
	*ret = claims;
	return fault;
}

enum jwt_fault jwt_verify(struct jwt_verifier *verifier, const struct jwt_providers *providers,
			  struct span token, uint64_t now_s, struct jwt_claims **ret)
{
	struct siphash hash;
	struct hash128 key;
	enum jwt_fault fault;
	void *value;

	*ret = NULL;
	if (token.len > JWT_BYTES)
		return JWT_TOO_LONG;
	siphash_start(&hash, &verifier->key);
	siphash_add(&hash, span_of(&providers->id, sizeof(providers->id)));
	siphash_add(&hash, token);
	key = siphash_end(&hash);
	if (credential_cache_find(verifier->cache, key, now_s, &value)) {
		struct jwt_claims *claims = value;

		if (fetched_id(providers->provider_list[claims->provider].keys) == claims->keys_id) {
			*ret = jwt_claims_ref(claims);
			return JWT_GOOD;
		}
	}
	fault = token_verify(verifier, providers, token, now_s, ret);
	if (fault == JWT_GOOD) {
		credential_cache_put(verifier->cache, key, now_s, (*ret)->until_s, jwt_claims_ref(*ret));
	}
	return fault;
}
