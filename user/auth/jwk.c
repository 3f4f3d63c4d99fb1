/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/jwk.h"

#include <errno.h>
#include <stdatomic.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "user/auth/jwt_algorithm.h"
#include "user/base/base64.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

enum {
	NUMBER_BYTES = JWK_RSA_BITS_MAX / 8,
	CURVE_BYTES_MAX = 48,
	EXPONENT_BYTES_MAX = 8,
};

/* The texts of the keys are in `memory`. */
struct set_memory {
	struct jwk_set set;
	char *memory; /* owner */
};

enum member {
	MEMBER_KTY,
	MEMBER_KID,
	MEMBER_ALG,
	MEMBER_USE,
	MEMBER_KEY_OPS,
	MEMBER_CRV,
	MEMBER_N,
	MEMBER_E,
	MEMBER_X,
	MEMBER_Y,
	MEMBER_COUNT
};

static const struct span member_names[MEMBER_COUNT] = {
	[MEMBER_KTY] = SPAN("kty"),
	[MEMBER_KID] = SPAN("kid"),
	[MEMBER_ALG] = SPAN("alg"),
	[MEMBER_USE] = SPAN("use"),
	[MEMBER_KEY_OPS] = SPAN("key_ops"),
	[MEMBER_CRV] = SPAN("crv"),
	[MEMBER_N] = SPAN("n"),
	[MEMBER_E] = SPAN("e"),
	[MEMBER_X] = SPAN("x"),
	[MEMBER_Y] = SPAN("y"),
};

/* Bytes of a number in base64url, or 0. */
static size_t number_of(struct span value, unsigned char *out, size_t max_bytes)
{
	struct span digits = mcp_json_string(value);
	ssize_t len = digits.len <= (max_bytes * 4 + 2) / 3 ? base64url_decode(digits, (char *)out) : -EINVAL;

	return len > 0 ? (size_t)len : 0;
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (parameters && context && EVP_PKEY_fromdata_init(context) == 1 &&
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	return key;
}

static EVP_PKEY *rsa_from(const unsigned char *n, size_t n_bytes, const unsigned char *e, size_t e_bytes)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn(n, (int)n_bytes, NULL), *exponent = BN_bin2bn(e, (int)e_bytes, NULL);
	EVP_PKEY *key = NULL;

	if (builder && modulus && exponent &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
		key = key_from("RSA", builder);
	BN_free(modulus);
	BN_free(exponent);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static const char *rsa_of(const struct span *values, struct jwk *ret)
{
	unsigned char n[NUMBER_BYTES + 3], e[EXPONENT_BYTES_MAX + 3];
	size_t n_bytes = number_of(values[MEMBER_N], n, NUMBER_BYTES);
	size_t e_bytes = number_of(values[MEMBER_E], e, EXPONENT_BYTES_MAX);
	int bits;

	if (n_bytes == 0 || e_bytes == 0)
		return "\"n\" or \"e\" is missing, no base64url, or too long";
	/* With an even exponent or 1 there are no signatures: any text would fit. */
	if (!(e[e_bytes - 1] & 1) || (e_bytes == 1 && e[0] == 1))
		return "\"e\" is no exponent of RSA";
	ret->key = rsa_from(n, n_bytes, e, e_bytes);
	if (!ret->key)
		return "the numbers are no RSA key";
	bits = EVP_PKEY_get_bits(ret->key);
	if (bits < JWK_RSA_BITS_MIN || bits > JWK_RSA_BITS_MAX)
		return "it has less than 2048 or more than 8192 bits";
	ret->types = 1u << JWK_RSA;
	return NULL;
}

static EVP_PKEY *ec_from(const char *group, const unsigned char *point, size_t len)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, len))
		key = key_from("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

/* RFC 7518 6.2.1: both numbers have the length of the curve; the library refuses points beside it. */
static const char *ec_of(const struct span *values, struct jwk *ret)
{
	struct span curve = mcp_json_string(values[MEMBER_CRV]);
	bool is_p256 = span_eq(curve, SPAN("P-256"));
	size_t bytes = is_p256 ? 32 : 48;
	unsigned char x[CURVE_BYTES_MAX + 3], y[CURVE_BYTES_MAX + 3], point[1 + 2 * CURVE_BYTES_MAX];

	if (!is_p256 && !span_eq(curve, SPAN("P-384")))
		return "its curve is not P-256 or P-384";
	if (number_of(values[MEMBER_X], x, CURVE_BYTES_MAX) != bytes ||
	    number_of(values[MEMBER_Y], y, CURVE_BYTES_MAX) != bytes)
		return "\"x\" or \"y\" is missing, no base64url, or not as long as the curve wants";
	point[0] = 4; /* uncompressed */
	memcpy(point + 1, x, bytes);
	memcpy(point + 1 + bytes, y, bytes);
	ret->key = ec_from(is_p256 ? "P-256" : "P-384", point, 1 + 2 * bytes);
	if (!ret->key)
		return "its point is not on the curve";
	ret->types = (uint8_t)(1u << (is_p256 ? JWK_P256 : JWK_P384));
	return NULL;
}

static const char *okp_of(const struct span *values, struct jwk *ret)
{
	unsigned char x[CURVE_BYTES_MAX + 3];

	if (!span_eq(mcp_json_string(values[MEMBER_CRV]), SPAN("Ed25519")))
		return "its curve is not Ed25519";
	if (number_of(values[MEMBER_X], x, CURVE_BYTES_MAX) != 32)
		return "\"x\" is missing, no base64url, or not 32 bytes";
	ret->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, 32);
	if (!ret->key)
		return "\"x\" is no key of Ed25519";
	ret->types = 1u << JWK_ED25519;
	return NULL;
}

static const char *material_of(const struct span *values, struct jwk *ret)
{
	struct span type = mcp_json_string(values[MEMBER_KTY]);

	if (span_eq(type, SPAN("RSA")))
		return rsa_of(values, ret);
	if (span_eq(type, SPAN("EC")))
		return ec_of(values, ret);
	if (span_eq(type, SPAN("OKP")))
		return okp_of(values, ret);
	return "its type is not RSA, EC or OKP";
}

/* RFC 7517 4.3: a key may verify if it does not list what it is for, or if the list has that. */
static bool may_verify(struct span operations)
{
	struct mcp_json_walk walk = mcp_json_walk_of(operations);
	struct span name, value;

	if (operations.len == 0)
		return true;
	while (mcp_json_type(operations) == MCP_JSON_ARRAY && mcp_json_next(&walk, &name, &value))
		if (span_eq(mcp_json_string(value), SPAN("verify")))
			return true;
	return false;
}

/* NULL, or why the key is left out. The kid goes to the end of `texts`, whose room suffices. */
static const char *key_parse(struct span object, struct text *texts, struct jwk *ret)
{
	struct span values[MEMBER_COUNT];
	size_t before = texts->len;
	const char *why;

	if (mcp_json_type(object) != MCP_JSON_OBJECT ||
	    !mcp_json_members(object, member_names, MEMBER_COUNT, values))
		return "it is no object with unique names";
	if (mcp_json_string(values[MEMBER_KID]).len == 0)
		return "it has no \"kid\"";
	if (values[MEMBER_USE].len && !span_eq(mcp_json_string(values[MEMBER_USE]), SPAN("sig")))
		return "its \"use\" is not \"sig\"";
	if (!may_verify(values[MEMBER_KEY_OPS]))
		return "its \"key_ops\" have no \"verify\"";
	if (values[MEMBER_ALG].len) {
		ret->algorithm = jwt_algorithm_find(mcp_json_string(values[MEMBER_ALG]));
		if (!ret->algorithm)
			return "its \"alg\" is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, "
			       "ES384, EdDSA";
	}
	why = material_of(values, ret);
	if (why)
		return why;
	if (ret->algorithm && !(ret->types & 1u << ret->algorithm->type))
		return "its \"alg\" does not fit its type";
	mcp_json_unescape(texts, mcp_json_string(values[MEMBER_KID]));
	ret->kid = span_of(texts->data + before, texts->len - before);
	return ret->kid.len > 0 && ret->kid.len <= JWK_KID_BYTES ? NULL : "its \"kid\" is too long";
}

static void set_free(struct fetched_value *value)
{
	struct set_memory *memory = container_of(value, struct set_memory, set.value);

	for (uint32_t i = 0; i < memory->set.key_count; i++)
		EVP_PKEY_free(memory->set.key_list[i].key);
	hg_free(memory->set.key_list);
	hg_free(memory->memory);
	hg_free(memory);
}

static struct set_memory *set_create(struct span text)
{
	static atomic_ullong last_id;
	struct set_memory *memory = hg_calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	atomic_init(&memory->set.value.refs, 1);
	memory->set.value.id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	memory->set.value.free = set_free;
	memory->memory = hg_malloc(text.len + 1);
	memory->set.key_list = hg_calloc(JWK_SET_KEYS, sizeof(struct jwk));
	if (!memory->memory || !memory->set.key_list) {
		jwk_set_unref(&memory->set);
		return NULL;
	}
	return memory;
}

static void keys_parse(struct span list, struct text *texts, struct jwk_set *set, struct jwk_report *report)
{
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span name, value;

	for (uint32_t index = 0; mcp_json_next(&walk, &name, &value); index++) {
		struct jwk key = { 0 };
		const char *why = set->key_count < JWK_SET_KEYS ? key_parse(value, texts, &key)
								: "the set has more than 256 keys";

		if (!why) {
			set->key_list[set->key_count++] = key;
			continue;
		}
		EVP_PKEY_free(key.key);
		if (report->left_out++ == 0) {
			report->index = index;
			report->what = why;
		}
	}
	ERR_clear_error();
}

static int json_check(struct span text)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	int result = checker ? mcp_json_check(checker, text) : -ENOMEM;

	mcp_json_checker_free(checker);
	return result == 0 || result == -ENOMEM ? result : -EBADMSG;
}

int jwk_set_parse(struct span text, struct jwk_set **ret, struct jwk_report *ret_report)
{
	static const struct span keys_name = SPAN("keys");
	struct set_memory *memory;
	struct span keys;
	struct text texts;
	int result;

	*ret_report = (struct jwk_report){ 0 };
	if (text.len > JWK_SET_BYTES)
		return -E2BIG;
	result = json_check(text);
	if (result < 0)
		return result;
	text = mcp_json_trim(text);
	if (mcp_json_type(text) != MCP_JSON_OBJECT || !mcp_json_members(text, &keys_name, 1, &keys) ||
	    mcp_json_type(keys) != MCP_JSON_ARRAY)
		return -EBADMSG;
	memory = set_create(text);
	if (!memory)
		return -ENOMEM;
	text_borrow(&texts, memory->memory, text.len + 1);
	keys_parse(keys, &texts, &memory->set, ret_report);
	if (memory->set.key_count == 0) {
		jwk_set_unref(&memory->set);
		return -ENOKEY;
	}
	*ret = &memory->set;
	return 0;
}

struct jwk_set *jwk_set_hold(struct fetched *keys)
{
	struct fetched_value *value = fetched_hold(keys);

	return value ? container_of(value, struct jwk_set, value) : NULL;
}

void jwk_set_unref(struct jwk_set *set)
{
	if (set)
		fetched_value_unref(&set->value);
}

const struct jwk *jwk_set_find(const struct jwk_set *set, struct span kid,
			       const struct jwt_algorithm *algorithm, bool *ret_has_kid)
{
	*ret_has_kid = false;
	for (uint32_t i = 0; i < set->key_count; i++) {
		const struct jwk *key = &set->key_list[i];

		if (!span_eq(key->kid, kid))
			continue;
		*ret_has_kid = true;
		if (key->types & 1u << algorithm->type &&
		    (!key->algorithm || key->algorithm == algorithm || algorithm->type == JWK_ED25519))
			return key;
	}
	return NULL;
}
