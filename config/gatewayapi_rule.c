/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi_rule.h"

#include "config/gatewayapi_filter.h"
#include "config/gatewayapi_service.h"
#include "config/values.h"
#include "user/base/check.h"

#define WEIGHT_MAX 1000000u

/* -------------------------------------------------------------------------------- matches */

static void decode_path(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	static const struct decode_key keys[] = { KEY("type"), KEY("value") };
	static const char *const types[] = { "PathPrefix", "Exact", "RegularExpression" };
	static const enum path_match_kind kind_of[] = { PATH_PREFIX_SEGMENTS, PATH_EXACT, PATH_REGEX };
	const struct yaml_node *value;
	unsigned index = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	DECODE_WORD(d, decode_get(node, "type"), types, &index);
	match->path_kind = kind_of[index];
	value = decode_get(node, "value");
	match->where = config_where(d->arena, value ? value : node);
	if (index == 2)
		value_regex(d, value, &match->path);
	else
		value_path(d, value, &match->path);
}

static bool decode_text_match(struct decoder *d, const struct yaml_node *node, bool is_header,
			      struct text_match *ret)
{
	static const struct decode_key keys[] = { KEY("type"), KEY("name"), KEY("value") };
	static const char *const types[] = KEY_REFUSED("Exact", "RegularExpression");
	const struct yaml_node *value;
	struct span name;
	unsigned index = 0;

	if (!DECODE_MAP(d, node, keys))
		return false;
	DECODE_WORD(d, decode_get(node, "type"), types, &index);
	if (!decode_name(d,
			 decode_need(d, node, "name",
				     is_header ? "write the name of the header"
					       : "write the name of the query parameter"),
			 &name))
		return false;
	ret->name = is_header ? decode_lower(d, name) : name;
	value = decode_need(d, node, "value", "write the value to compare with");
	ret->where = config_where(d->arena, value ? value : node);
	ret->kind = index == 0 ? TEXT_EXACT : TEXT_REGEX;
	if (index == 1)
		return value_regex(d, value, &ret->value);
	if (!decode_string(d, value, &ret->value))
		return false;
	ret->value = decode_keep(d, ret->value);
	return ret->value.data != NULL;
}

static void decode_text_matches(struct decoder *d, const struct yaml_node *list, bool is_header,
				struct text_match **ret_list, uint32_t *ret_count)
{
	struct text_match *matches;
	uint32_t count = 0;

	if (!decode_list(d, list))
		return;
	matches = decode_take(d, list->count, sizeof(*matches));
	if (!matches)
		return;
	yaml_each(node, list)
		if (decode_text_match(d, node, is_header, &matches[count]))
			count++;
	*ret_list = matches;
	*ret_count = count;
}

static void decode_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	static const struct decode_key keys[] = { KEY("path"), KEY("headers"), KEY("queryParams"),
						  KEY("method") };
	static const char *const methods[] = { "GET",	  "HEAD",    "POST",  "PUT",  "DELETE",
					       "CONNECT", "OPTIONS", "TRACE", "PATCH" };
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_path(d, decode_get(node, "path"), match);
	decode_text_matches(d, decode_get(node, "headers"), true, &match->header_list, &match->header_count);
	decode_text_matches(d, decode_get(node, "queryParams"), false, &match->query_list,
			    &match->query_count);
	if (DECODE_WORD(d, decode_get(node, "method"), methods, &index))
		match->method = span_str(methods[index]);
}

static void decode_matches(struct decoder *d, const struct yaml_node *list, struct route *route)
{
	uint32_t count = list && decode_list(d, list) && list->count ? list->count : 1;

	route->match_list = decode_take(d, count, sizeof(*route->match_list));
	if (!route->match_list)
		return;
	route->match_count = count;
	for (uint32_t i = 0; i < count; i++) {
		route->match_list[i].path_kind = PATH_PREFIX_SEGMENTS;
		route->match_list[i].path = SPAN("/");
	}
	if (!list || list->kind != YAML_LIST)
		return;
	yaml_each(node, list)
		decode_match(d, node, &route->match_list[node->index]);
}

/* -------------------------------------------------------------------------------- backendRefs */

static void decode_ref(struct manifests *m, const struct yaml_node *node,
		       const struct manifest_object *object, bool is_http, struct backend_ref *ref)
{
	static const struct decode_key http_keys[] = { KEY("name"),   KEY("namespace"), KEY("group"),
						       KEY("kind"),   KEY("port"),	KEY("weight"),
						       KEY("filters") };
	static const struct decode_key other_keys[] = { KEY("name"), KEY("namespace"), KEY("group"),
							KEY("kind"), KEY("port"),      KEY("weight") };
	struct decoder *d = m->decoder;

	ref->weight = 1;
	if (!(is_http ? DECODE_MAP(d, node, http_keys) : DECODE_MAP(d, node, other_keys)))
		return;
	decode_u64(d, decode_get(node, "weight"), 0, WEIGHT_MAX, &ref->weight);
	service_ref(m, node, object, ref);
	if (is_http)
		filters_decode_ref(m, decode_get(node, "filters"), &ref->filters);
}

void rule_decode_refs(struct manifests *m, const struct yaml_node *list, const struct manifest_object *object,
		      bool is_http, struct backend_ref **ret_list, uint32_t *ret_count)
{
	struct backend_ref *refs;

	if (!decode_list(m->decoder, list))
		return;
	refs = decode_take(m->decoder, list->count, sizeof(*refs));
	if (!refs)
		return;
	yaml_each(node, list)
		decode_ref(m, node, object, is_http, &refs[node->index]);
	*ret_list = refs;
	*ret_count = list->count;
}

/* -------------------------------------------------------------------------------- rules */

static const struct timeout_policy *decode_timeouts(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("request"), KEY("backendRequest") };
	struct timeout_policy *timeout;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	timeout = decode_take(d, 1, sizeof(*timeout));
	if (!timeout)
		return NULL;
	decode_opt_duration(d, decode_get(node, "request"), 0, &timeout->request);
	decode_opt_duration(d, decode_get(node, "backendRequest"), 0, &timeout->backend_request);
	if (timeout->request.is_set && timeout->request.ns &&
	    timeout->backend_request.ns > timeout->request.ns)
		config_error(d->report, decode_get(node, "backendRequest"),
			     "is longer than the request timeout, which covers all "
			     "tries; write a shorter one");
	return timeout->request.is_set || timeout->backend_request.is_set ? timeout : NULL;
}

void rule_decode_http(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		      struct route *route)
{
	static const struct decode_key keys[] = {
		KEY("name"),
		KEY("matches"),
		KEY("filters"),
		KEY("backendRefs"),
		KEY("timeouts"),
		KEY("retry"),
		KEY_LATER("sessionPersistence"),
	};
	struct policy_values *values = &route->inline_policies;
	struct decoder *d = m->decoder;
	const struct timeout_policy *timeout;
	const struct retry_policy *retry;

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_name(d, decode_get(node, "name"), &route->rule_name);
	decode_matches(d, decode_get(node, "matches"), route);
	if (!build_values(d, values, FILTER_KINDS))
		return;
	timeout = decode_timeouts(d, decode_get(node, "timeouts"));
	if (timeout)
		build_value(values, POLICY_TIMEOUT, timeout);
	retry = filter_retry(d, decode_get(node, "retry"), false);
	if (retry)
		build_value(values, POLICY_RETRY, retry);
	filters_decode(m, decode_get(node, "filters"), object, values);
	rule_decode_refs(m, decode_get(node, "backendRefs"), object, true, &route->backend_list,
			 &route->backend_count);
}
