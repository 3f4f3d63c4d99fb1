/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/balance_value.h"

#include "config/core/values/condition.h"
#include "config/core/values/values.h"
#include "policy/maglev.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/base/units.h"

enum { AFFINITY_NAMES = 8 }; /* of a key, and attributes of its cookie */

/* -------------------------------------------------------------------------------- consistent hashing */

/* Names are put into expressions, so they have no quotes. */
static bool check_name(struct decoder *d, const struct yaml_node *node, struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] != '"' && name.data[i] != '\\')
			continue;
		config_error(d->report, node,
			     "%s has a quotation mark or a backslash; write type: Expression "
			     "with an expression instead",
			     QUOTE(name));
		return false;
	}
	return true;
}

static bool decode_header_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	return decode_name(d, node, &name) && value_header_name(d, node, name, ret);
}

static bool decode_other_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	if (!decode_name(d, node, &name) || !check_name(d, node, name))
		return false;
	*(struct span *)ret = name;
	return true;
}

static const struct schema_row header_rows[] = {
	{ "name", AS_TEXT(struct affinity_name, name), .decode = decode_header_name,
	  .need = "write the name of the header", .doc = "of the header" },
};
static const struct schema header_schema = SCHEMA(header_rows, struct affinity_name);

/* RFC 6265 4.1.1: no semicolon and no control bytes in a value, which may be empty: Secure. */
static bool decode_attribute(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct header_pair *pair = ret;

	pair->name = decode_keep(d, node->key);
	if (!pair->name.data || !decode_string(d, node, &pair->value))
		return false;
	pair->value = decode_keep(d, pair->value);
	if (!char_class_is_token(pair->name) || !char_class_is_text(pair->value) ||
	    span_find(pair->value, ';') >= 0) {
		config_error_key(d->report, node,
				 "is not an attribute of a cookie; write one such as SameSite: Strict");
		return false;
	}
	if (span_eq_nocase(pair->name, SPAN("max-age")) || span_eq_nocase(pair->name, SPAN("expires"))) {
		config_error_key(d->report, node, "is what ttl is for; remove it");
		return false;
	}
	return pair->value.data;
}

static bool decode_attributes(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct affinity_cookie *cookie = container_of(ret, struct affinity_cookie, attribute_list);

	if (!decode_any_map(d, node))
		return false;
	if (node->count > AFFINITY_NAMES) {
		config_error(d->report, node, "has %u entries; %d are the most", node->count, AFFINITY_NAMES);
		return false;
	}
	return schema_decode_list(d, node, decode_attribute, sizeof(*cookie->attribute_list),
				  &cookie->attribute_list, &cookie->attribute_count);
}

static bool has_attribute(const struct affinity_cookie *cookie, struct span name)
{
	for (uint32_t i = 0; i < cookie->attribute_count; i++)
		if (span_eq_nocase(cookie->attribute_list[i].name, name))
			return true;
	return false;
}

/* Without Path a browser would send it for the directory of the first request only. */
static void write_ending(struct decoder *d, struct affinity_cookie *cookie)
{
	struct text text;

	text_init(&text);
	if (cookie->ttl.ns)
		text_fmt(&text, "; Max-Age=%llu",
			 (unsigned long long)((cookie->ttl.ns + NS_PER_S - 1) / NS_PER_S));
	for (uint32_t i = 0; i < cookie->attribute_count; i++) {
		const struct header_pair *pair = &cookie->attribute_list[i];

		text_fmt(&text, "; %.*s%s%.*s", SPAN_FMT(pair->name), pair->value.len ? "=" : "",
			 SPAN_FMT(pair->value));
	}
	if (!has_attribute(cookie, SPAN("path")))
		text_str(&text, "; Path=/");
	if (!has_attribute(cookie, SPAN("httponly")))
		text_str(&text, "; HttpOnly");
	if (text_error(&text))
		d->failed = true;
	else
		cookie->ending = decode_keep(d, text_span(&text));
	text_done(&text);
}

static void check_cookie(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct affinity_cookie *cookie = object;

	if (!cookie->ttl.is_set) {
		if (decode_get(node, "attributes"))
			config_error_key(d->report, decode_get(node, "attributes"),
					 "is for a cookie that the gateway sets; add ttl, such as ttl: 1h");
		return;
	}
	if (cookie->key.name.len && !char_class_is_token(cookie->key.name))
		config_error_key(d->report, decode_get(node, "name"),
				 "is not a name that a cookie of the gateway may have; write letters, digits "
				 "and dashes");
	write_ending(d, cookie);
}

static const struct schema_row cookie_rows[] = {
	{ "name", AS_TEXT(struct affinity_cookie, key.name), .decode = decode_other_name,
	  .need = "write the name of the cookie", .doc = "of the cookie" },
	{ "ttl", AS_OPT_DURATION(struct affinity_cookie, ttl), .default_doc = "the backend sets the cookie",
	  .doc = "the gateway gives clients without the cookie one with a random value and this `Max-Age`; "
		 "`0s`: until the browser ends" },
	{ "attributes",
	  AS_LIST(SCHEMA_PAIRS, struct affinity_cookie, attribute_list, attribute_count, struct header_pair),
	  .decode = decode_attributes, .dump = DUMP_NOT_ZERO, .value_doc = "`{name: text}`",
	  .doc = "of that cookie, such as `{SameSite: Strict, Secure: \"\"}`; `Path=/` and `HttpOnly` unless "
		 "they are here" },
};
static const struct schema cookie_schema = SCHEMA(cookie_rows, struct affinity_cookie, .check = check_cookie);

static const struct schema_row parameter_rows[] = {
	{ "name", AS_TEXT(struct affinity_name, name), .decode = decode_other_name,
	  .need = "write the name of the parameter", .doc = "of the parameter" },
};
static const struct schema parameter_schema = SCHEMA(parameter_rows, struct affinity_name);

static bool decode_header(struct decoder *d, const struct yaml_node *node, void *element)
{
	return schema_decode(d, node, &header_schema, element) && ((struct affinity_name *)element)->name.len;
}

static bool decode_parameter(struct decoder *d, const struct yaml_node *node, void *element)
{
	return schema_decode(d, node, &parameter_schema, element) &&
	       ((struct affinity_name *)element)->name.len;
}

/* text: in the snapshot. */
static bool add_key(struct decoder *d, const struct yaml_node *node, struct affinity *affinity,
		    struct span text)
{
	const struct expression *key = value_expression(d, node, text, EXPRESSION_AT_BACKEND);

	if (key)
		affinity->key_list[affinity->key_count++] = key;
	return key;
}

static bool decode_source(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct affinity *affinity = container_of(ret, struct affinity, source);

	affinity->key_list = decode_take(d, 1, sizeof(*affinity->key_list));
	return affinity->key_list && decode_lines(d, node, &affinity->source) &&
	       add_key(d, node, affinity, affinity->source);
}

static bool decode_slots(struct decoder *d, const struct yaml_node *node, void *ret)
{
	if (!decode_u32(d, node, 2, LIMIT_MAGLEV_SLOTS, ret))
		return false;
	if (!maglev_is_prime(*(uint32_t *)ret))
		config_error(d->report, node, "%u is not a prime number; write one such as 65537",
			     *(uint32_t *)ret);
	return true;
}

/* The key of each type; NULL: none. */
static const char *const kind_keys[] = {
	[AFFINITY_HEADER] = "header",	  [AFFINITY_HEADERS] = "headers",	[AFFINITY_COOKIE] = "cookie",
	[AFFINITY_QUERY] = "queryParams", [AFFINITY_EXPRESSION] = "expression",
};

static struct span key_of(struct decoder *d, unsigned kind, struct span name)
{
	if (kind == AFFINITY_COOKIE)
		return decode_text(d, "request.headers.cookie(\"%.*s\")", SPAN_FMT(name));
	if (kind == AFFINITY_QUERY)
		return decode_text(d, "request.pathAndQuery.query(\"%.*s\")", SPAN_FMT(name));
	return decode_text(d, "request.headers[\"%.*s\"]", SPAN_FMT(name));
}

/* The names that make up the key of a type; *ret_list NULL: none. */
static uint32_t names_of(const struct affinity *affinity, const struct affinity_name **ret_list)
{
	switch ((enum affinity_kind)affinity->kind) {
	case AFFINITY_HEADER:
		*ret_list = &affinity->header;
		return affinity->header.name.len > 0;
	case AFFINITY_COOKIE:
		*ret_list = &affinity->cookie.key;
		return affinity->cookie.key.name.len > 0;
	case AFFINITY_HEADERS:
		*ret_list = affinity->header_list;
		return affinity->header_count;
	case AFFINITY_QUERY:
		*ret_list = affinity->parameter_list;
		return affinity->parameter_count;
	case AFFINITY_SOURCE:
	case AFFINITY_EXPRESSION:
		break;
	}
	*ret_list = NULL;
	return 0;
}

static void make_keys(struct decoder *d, const struct yaml_node *node, struct affinity *affinity)
{
	const struct affinity_name *names;
	uint32_t count = names_of(affinity, &names);

	affinity->key_list = decode_take(d, count + 1, sizeof(*affinity->key_list));
	if (!affinity->key_list)
		return;
	if (affinity->kind == AFFINITY_SOURCE)
		add_key(d, node, affinity, SPAN("string(source.address)"));
	for (uint32_t i = 0; i < count; i++)
		add_key(d, node, affinity, key_of(d, affinity->kind, names[i].name));
}

static void check_hash(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct affinity *affinity = object;
	const char *own = kind_keys[affinity->kind];

	for (size_t i = 0; i < ARRAY_LEN(kind_keys); i++)
		if (kind_keys[i] && i != affinity->kind && decode_get(node, kind_keys[i]))
			config_error_key(d->report, decode_get(node, kind_keys[i]),
					 "does not belong to this type; remove it, or write the type that it "
					 "is for");
	if (own && !decode_need(d, node, own, "the type needs it"))
		return;
	if (affinity->kind != AFFINITY_EXPRESSION)
		make_keys(d, node, affinity);
}

static const struct schema_row hash_rows[] = {
	{ "type", AS_WORD(struct affinity, kind),
	  WORDS("SourceIP", "Header", "Headers", "Cookie", "QueryParams", "Expression"),
	  .need = "write what the key is, as in type: SourceIP",
	  .doc = "what requests have in common that go to one endpoint; `SourceIP` is the client's address, "
		 "behind trusted proxies that in `X-Forwarded-For`. A request without it is balanced like "
		 "any other" },
	{ "header", AS_MAP(struct affinity, header, &header_schema, struct affinity_name),
	  SET_BY(struct affinity, has_header) },
	{ "headers",
	  AS_OBJECTS(struct affinity, header_list, header_count, &header_schema, struct affinity_name),
	  .element = decode_header, RANGE(1, AFFINITY_NAMES), .dump = DUMP_NOT_ZERO,
	  .doc = "all their values together" },
	{ "cookie", AS_MAP(struct affinity, cookie, &cookie_schema, struct affinity_cookie),
	  SET_BY(struct affinity, has_cookie) },
	{ "queryParams",
	  AS_OBJECTS(struct affinity, parameter_list, parameter_count, &parameter_schema,
		     struct affinity_name),
	  .element = decode_parameter, RANGE(1, AFFINITY_NAMES), .dump = DUMP_NOT_ZERO,
	  .doc = "all their values together" },
	{ "expression", AS_TEXT(struct affinity, source), .decode = decode_source, .dump = DUMP_NOT_ZERO,
	  .doc = "extension, with `type: Expression`: an [expression](../docs/expressions.md)" },
	{ "tableSize", AS_U32(struct affinity, table_slots), .decode = decode_slots, .dump = DUMP_NOT_ZERO,
	  .value_doc = "prime number up to 5000011",
	  .default_doc = "65537; 655373 beyond 20 endpoints, 5000011 beyond 64",
	  .doc = "slots of the table, at least ten for each endpoint: the more, the fewer keys of other "
		 "endpoints move when one leaves. With another number all keys move" },
};
static const struct schema hash_schema = SCHEMA(hash_rows, struct affinity, .check = check_hash);

static const struct schema_row session_affinity_rows[] = {
	{ "source", AS_TEXT(struct affinity, source), .decode = decode_source,
	  .need = "write an expression, such as source: request.headers[\"x-user\"]",
	  .doc = "an [expression](../docs/expressions.md): requests with the same value go to one endpoint, "
		 "by consistent hashing; without a value they are balanced like any other" },
};
const struct schema session_affinity_schema = SCHEMA(session_affinity_rows, struct affinity);

/* -------------------------------------------------------------------------------- load balancer */

static const struct schema_row slow_start_rows[] = {
	{ "window", AS_DURATION(struct slow_start, window_ns), AT_LEAST(NS_PER_MS),
	  MANIFEST_AT_LEAST(NS_PER_S), .need = "write how long, as in window: 60s",
	  .doc = "an endpoint that was added or has recovered gets a tenth of its weight, which grows to the "
		 "whole in this time" },
};
static const struct schema slow_start_schema = SCHEMA(slow_start_rows, struct slow_start);

static const struct schema_row prefer_local_rows[] = {
	{ "minEndpointsThreshold", .refusal = NOT_YET("one endpoint in the zone is enough") },
	{ "percentageEnabled", .refusal = NOT_YET("all requests prefer the zone") },
	{ "force", .refusal = NOT_YET("requests stay in the zone while one endpoint in it is available") },
};
static const struct schema prefer_local_schema = SCHEMA(prefer_local_rows, struct load_balancer);

static const struct schema_row zone_rows[] = {
	{ "preferLocal", AS_SECTION(struct load_balancer, &prefer_local_schema),
	  SET_BY(struct load_balancer, prefers_zone), .need = "write preferLocal: {}", .value_doc = "`{}`",
	  .doc = "endpoints in the zone of the gateway, `config.zone`, get all requests while one of them is "
		 "available: [zones](#zones)" },
	{ "weightedZones", .refusal = NOT_YET("other zones get requests only if the own one has no available "
					      "endpoint") },
};
static const struct schema zone_schema = SCHEMA(zone_rows, struct load_balancer);

static void check_balancer(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct yaml_node *type = decode_get(node, "type"), *hash = decode_get(node, "consistentHash");
	const struct load_balancer *balancer = object;

	if (node->kind == YAML_MAP && node->count == 0)
		config_error(d->report, node, "sets nothing; write consistentHash, slowStart or zoneAware");
	if (type && (hash != NULL) != (balancer->type == BALANCER_HASH))
		config_error(d->report, type, "%s; write type: ConsistentHash and consistentHash, or neither",
			     hash ? "excludes consistentHash" : "needs consistentHash");
}

static bool decode_type(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "LeastRequest", "ConsistentHash", "RoundRobin", "Random" };
	unsigned index;

	if (!DECODE_WORD(d, node, words, &index))
		return false;
	if (index + BALANCER_LEAST_REQUEST > BALANCER_HASH)
		config_error(d->report, node, "%s is not supported; write LeastRequest", words[index]);
	*(unsigned *)ret = index + BALANCER_LEAST_REQUEST;
	return true;
}

static const struct schema_row load_balancer_rows[] = {
	{ "type", AS_WORD(struct load_balancer, type), .decode = decode_type,
	  .word_base = BALANCER_LEAST_REQUEST, WORDS("LeastRequest", "ConsistentHash"),
	  .default_doc = "`ConsistentHash` with `consistentHash`, otherwise `LeastRequest`",
	  .doc = "`LeastRequest`: of two random endpoints the one with fewer requests in flight" },
	{ "consistentHash", AS_MAP(struct load_balancer, hash, &hash_schema, struct affinity),
	  SET_BY(struct load_balancer, has_hash) },
	{ "slowStart", AS_MAP(struct load_balancer, slow_start, &slow_start_schema, struct slow_start),
	  SET_BY(struct load_balancer, has_slow_start) },
	{ "zoneAware", AS_SECTION(struct load_balancer, &zone_schema),
	  SET_BY(struct load_balancer, prefers_zone) },
};
const struct schema load_balancer_schema =
	SCHEMA(load_balancer_rows, struct load_balancer, .check = check_balancer);
