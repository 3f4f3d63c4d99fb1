/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/ext_authz_value.h"

#include "config/build.h"
#include "config/core/values/condition.h"
#include "config/core/values/values.h"
#include "user/base/limits.h"
#include "user/base/units.h"

static const struct schema_row body_rows[] = {
	{ "maxRequestBytes", AS_U32(struct ext_authz_body, most_bytes), RANGE(1, LIMIT_HELD_MOST_BYTES),
	  .style = STYLE_STANDALONE, .need = "write how many bytes the service gets at most, such as 8192",
	  .doc = "bytes that are held until the service has answered; a longer body is refused with 413" },
	{ "maxSize", AS_U32(struct ext_authz_body, most_bytes), RANGE(1, LIMIT_HELD_MOST_BYTES),
	  .style = STYLE_MANIFEST, .need = "write how many bytes the service gets at most, such as 8192" },
	{ "allowPartialMessage", AS_BOOL(struct ext_authz_body, allows_partial), .style = STYLE_STANDALONE,
	  .dump = DUMP_NOT_ZERO, .doc = "`true`: of a longer body the service gets the beginning" },
	{ "packAsBytes", AS_BOOL(struct ext_authz_body, is_packed), .style = STYLE_STANDALONE,
	  .dump = DUMP_NOT_ZERO,
	  .doc = "gRPC: `true`: as `raw_body`; else as `body`, with `!` for each byte that is not UTF-8" },
};
const struct schema ext_authz_body_schema =
	SCHEMA(body_rows, struct ext_authz_body, .example = "{maxRequestBytes: 8192}");

static bool decode_key(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_lines(d, node, ret);
}

/* A duration, or an expression that gives one. */
static bool decode_ttl(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct answer_cache_policy *cache = container_of(ret, struct answer_cache_policy, ttl_text);

	if (!decode_lines(d, node, &cache->ttl_text))
		return false;
	if (cache->ttl_text.len && cache->ttl_text.data[0] >= '0' && cache->ttl_text.data[0] <= '9')
		return decode_duration(d, node, NS_PER_MS, &cache->ttl_ns);
	cache->ttl = value_expression(d, node, cache->ttl_text, EXPRESSION_AT_RESPONSE);
	if (cache->ttl && cache->ttl->type != EXPRESSION_DURATION && cache->ttl->type != EXPRESSION_DYNAMIC) {
		config_error(d->report, node,
			     "is no duration; write one such as 30s, or duration(\"30s\") in "
			     "an expression");
		return false;
	}
	return cache->ttl != NULL;
}

/* example: what is worth to be written in the key */
static void check_key(struct decoder *d, const struct yaml_node *node, enum expression_point point,
		      const char *example, struct answer_cache_policy *cache)
{
	const struct expression **keys = decode_take(d, cache->key_count, sizeof(*keys));
	const struct yaml_node *list = decode_get(node, "key");
	uint32_t at = 0;

	if (list && list->kind == YAML_LIST && list->count == 0)
		config_error(
			d->report, list,
			"is empty: all clients would share one answer; write what the answer depends on, "
			"such as %s",
			example);
	if (!keys || !list || list->count != cache->key_count)
		return;
	yaml_each(item, list) {
		keys[at] = value_expression(d, item, cache->key_list[at], point);
		at++;
	}
	cache->expression_list = keys;
}

static void check_cache(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_key(d, node, EXPRESSION_AT_REQUEST, "request.headers.authorization", object);
}

static void check_network_cache(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_key(d, node, EXPRESSION_AT_CONNECTION, "source.address", object);
}

/* clang-format off */
#define CACHE_ROWS(what, example)                                                                            \
	{ "key", AS_LIST(SCHEMA_NAMES, struct answer_cache_policy, key_list, key_count, struct span),        \
	  .element = decode_key, RANGE(1, LIMIT_RATE_RULES),                                                 \
	  .need = "write what the answer depends on, as in key: [" example "]",                              \
	  .value_doc = "list of expressions",                                                                \
	  .doc = what " whose values are equal get the same answer; without one the service is asked" },     \
	{ "ttl", AS_TEXT(struct answer_cache_policy, ttl_text), .decode = decode_ttl,                        \
	  .need = "write how long an answer counts, such as 30s", .value_doc = "duration, or expression",    \
	  .doc = "how long an answer that admits counts; `response` is the answer" },                        \
	{ "maxEntries", AS_U32(struct answer_cache_policy, most_entries), RANGE(4, LIMIT_ANSWER_ENTRIES),    \
	  .default_value = LIMIT_ANSWER_ENTRIES,                                                             \
	  .doc = "answers that each worker keeps; rounded down to a power of two" }
/* clang-format on */

static const struct schema_row cache_rows[] = { CACHE_ROWS("requests",
							   "request.headers.authorization, request.path") };
const struct schema answer_cache_schema =
	SCHEMA(cache_rows, struct answer_cache_policy, .check = check_cache,
	       .example = "{key: [request.headers.authorization], ttl: 30s}");

static const struct schema_row network_cache_rows[] = { CACHE_ROWS("connections", "source.address") };
const struct schema network_answer_cache_schema =
	SCHEMA(network_cache_rows, struct answer_cache_policy, .check = check_network_cache,
	       .example = "{key: [source.address], ttl: 30s}");
