/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/callout_value.h"

#include "config/build.h"
#include "config/core/values/condition.h"
#include "config/core/values/ext_authz_value.h"
#include "config/core/values/named_value.h"
#include "config/core/values/transform_value.h"
#include "config/core/values/values.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- names and expressions */

static bool decode_context(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct header_pair *pair = ret;

	pair->name = decode_keep(d, node->key);
	return pair->name.data && decode_name(d, node, &pair->value);
}

static bool decode_set_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	return decode_name(d, node, &name) && value_header_name(d, node, name, ret);
}

/* -------------------------------------------------------------------------------- the service */

bool value_register_callout(struct decoder *d, struct callout_target kind)
{
	struct callout_target *target = kind.ref ? decode_take(d, 1, sizeof(*target)) : NULL;

	if (!target)
		return false;
	*target = kind;
	return build_push(d, &build_of(d)->callouts, target);
}

/* -------------------------------------------------------------------------------- extAuthz */

static bool decode_expression(struct decoder *d, const struct yaml_node *node, enum expression_point point,
			      struct span *text, const struct expression **ret)
{
	if (!decode_lines(d, node, text))
		return false;
	*ret = value_expression(d, node, *text, point);
	return *ret != NULL;
}

/* `member` of struct ext_authz_http, for its member_text. */
#define DECODE_HTTP(name, member, point)                                                                     \
	static bool name(struct decoder *d, const struct yaml_node *node, void *ret)                         \
	{                                                                                                    \
		struct ext_authz_http *http = container_of(ret, struct ext_authz_http, member##_text);       \
		return decode_expression(d, node, point, &http->member##_text, &http->member);               \
	}

DECODE_HTTP(decode_path, path, EXPRESSION_AT_REQUEST)
DECODE_HTTP(decode_redirect, redirect, EXPRESSION_AT_REQUEST)
DECODE_HTTP(decode_body, body, EXPRESSION_AT_REQUEST)
DECODE_HTTP(decode_network_path, path, EXPRESSION_AT_CONNECTION)
DECODE_HTTP(decode_network_body, body, EXPRESSION_AT_CONNECTION)

static bool decode_contexts(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct ext_authz_grpc *grpc = container_of(ret, struct ext_authz_grpc, context_list);

	return value_map_of(d, node, decode_context, &grpc->context_list, &grpc->context_count);
}

static bool decode_request_metadata(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct ext_authz_grpc *grpc = container_of(ret, struct ext_authz_grpc, metadata.list);

	return value_map_of(d, node, value_metadatum, &grpc->metadata.list, &grpc->metadata.count);
}

static bool decode_added(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct ext_authz_http *http = container_of(ret, struct ext_authz_http, added.list);

	return value_map_of(d, node, value_named, &http->added.list, &http->added.count);
}

static bool decode_metadata(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct ext_authz_http *http = container_of(ret, struct ext_authz_http, metadata.list);

	return value_map_of(d, node, value_metadatum, &http->metadata.list, &http->metadata.count);
}

#define REQUEST_METADATA                                                                                     \
	AS_LIST(SCHEMA_PAIRS, struct ext_authz_grpc, metadata.list, metadata.count, struct header_pair),     \
		.decode = decode_request_metadata, .dump = DUMP_NOT_ZERO

static void check_grpc(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct ext_authz_grpc *grpc = object;
	const struct yaml_node *map = decode_get(node, d->is_manifest ? "requestMetadata" : "metadata");
	uint32_t at = 0;

	value_named_compile(d, map, &grpc->metadata, EXPRESSION_AT_REQUEST, value_itself);
	if (!map || !grpc->metadata.expression_list)
		return;
	yaml_each(item, map) {
		const struct expression *expression = grpc->metadata.expression_list[at++];

		if (expression && expression->type != EXPRESSION_MAP &&
		    expression->type != EXPRESSION_DYNAMIC)
			config_error(d->report, item, "is %s; write a map, such as jwt or apiKey",
				     expression_type_name(expression->type));
	}
}

static const struct schema_row grpc_rows[] = {
	{ "context",
	  AS_LIST(SCHEMA_PAIRS, struct ext_authz_grpc, context_list, context_count, struct header_pair),
	  .decode = decode_contexts, .style = STYLE_STANDALONE, .dump = DUMP_NOT_ZERO,
	  .value_doc = "`{name: text}`", .doc = "`context_extensions` of the question" },
	{ "contextExtensions",
	  AS_LIST(SCHEMA_PAIRS, struct ext_authz_grpc, context_list, context_count, struct header_pair),
	  .decode = decode_contexts, .style = STYLE_MANIFEST },
	{ "metadata", REQUEST_METADATA, .style = STYLE_STANDALONE, .value_doc = "`{name: expression}`",
	  .default_doc = "`envoy.filters.http.jwt_authn`: `jwt_payload`, the claims of a valid token",
	  .doc = "`filter_metadata` of the question: maps, such as `jwt`; an expression without a map is "
		 "left out" },
	{ "requestMetadata", REQUEST_METADATA, .style = STYLE_MANIFEST },
};
static const struct schema grpc_schema = SCHEMA(grpc_rows, struct ext_authz_grpc, .check = check_grpc);

#define RESPONSE_NAMES                                                                                       \
	AS_LIST(SCHEMA_NAMES, struct ext_authz_http, response_header_list, response_header_count,            \
		struct span),                                                                                \
		.element = decode_set_name, RANGE(0, LIMIT_CALLOUT_NAMES)
#define ADDED_NAMES                                                                                          \
	AS_LIST(SCHEMA_PAIRS, struct ext_authz_http, added.list, added.count, struct header_pair),           \
		.decode = decode_added, .dump = DUMP_NOT_ZERO

#define METADATA                                                                                             \
	AS_LIST(SCHEMA_PAIRS, struct ext_authz_http, metadata.list, metadata.count, struct header_pair),     \
		.decode = decode_metadata, .dump = DUMP_NOT_ZERO

static void check_http(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct ext_authz_http *http = object;

	value_named_compile(d, decode_get(node, "addRequestHeaders"), &http->added, EXPRESSION_AT_REQUEST,
			    value_itself);
	value_named_compile(d, decode_get(node, d->is_manifest ? "responseMetadata" : "metadata"),
			    &http->metadata, EXPRESSION_AT_ANSWER, value_itself);
}

static const struct schema_row http_rows[] = {
	{ "path", AS_TEXT(struct ext_authz_http, path_text), .decode = decode_path, .dump = DUMP_NOT_ZERO,
	  .value_doc = "expression", .default_doc = "that of the request, with its query",
	  .doc = "the path that the service is asked for" },
	{ "redirect", AS_TEXT(struct ext_authz_http, redirect_text), .decode = decode_redirect,
	  .dump = DUMP_NOT_ZERO, .value_doc = "expression", .default_doc = "the response of the service",
	  .doc = "where a client is sent, by 302, instead of a 401 or 403 of the service" },
	{ "body", AS_TEXT(struct ext_authz_http, body_text), .decode = decode_body, .dump = DUMP_NOT_ZERO,
	  .value_doc = "expression", .default_doc = "none",
	  .doc = "the body that the service gets; without a value: none" },
	{ "includeResponseHeaders", RESPONSE_NAMES, .style = STYLE_STANDALONE, .dump = DUMP_NOT_ZERO,
	  .value_doc = "list of names", .default_doc = "none",
	  .doc = "of an answer that admits: the request gets them, and never those of its client" },
	{ "allowedResponseHeaders", RESPONSE_NAMES, .style = STYLE_MANIFEST },
	{ "allowedRequestHeaders",
	  AS_LIST(SCHEMA_NAMES, struct ext_authz_http, request_header_list, request_header_count,
		  struct span),
	  .element = value_field_name, RANGE(0, LIMIT_CALLOUT_NAMES), .style = STYLE_MANIFEST },
	{ "addRequestHeaders", ADDED_NAMES, .value_doc = "`{name: expression}`",
	  .doc = "added to what the service gets; one without a value is left out. Also `:path`, "
		 "`:method` and `:authority`, which refuse the request if their value is not a proper one" },
	{ "metadata", METADATA, .style = STYLE_STANDALONE, .value_doc = "`{name: expression}`",
	  .doc = "members of the variable `extauthz`; `response` is the answer of the service, also its "
		 "`response.body`" },
	{ "responseMetadata", METADATA, .style = STYLE_MANIFEST },
};
static const struct schema http_schema = SCHEMA(http_rows, struct ext_authz_http, .check = check_http);

static const struct schema_row protocol_rows[] = {
	{ "grpc", AS_MAP(struct ext_authz_policy, grpc, &grpc_schema, struct ext_authz_grpc),
	  ONE_OF(struct ext_authz_policy, protocol, EXT_AUTHZ_GRPC) },
	{ "http", AS_MAP(struct ext_authz_policy, http, &http_schema, struct ext_authz_http),
	  ONE_OF(struct ext_authz_policy, protocol, EXT_AUTHZ_HTTP) },
};
static const struct schema protocol_schema =
	SCHEMA(protocol_rows, struct ext_authz_policy, .is_one_of = true);

static const struct schema_row failure_rows[] = {
	{ "denyWithStatus", AS_U16(struct ext_authz_policy, failure_status), RANGE(400, 599),
	  ONE_OF(struct ext_authz_policy, failure_mode, CALLOUT_FAILURE_STATUS),
	  .doc = "the status of the response instead of 403" },
};
static const struct schema failure_schema = SCHEMA(failure_rows, struct ext_authz_policy, .is_one_of = true);

#define BODY_ROW                                                                                             \
	AS_MAP(struct ext_authz_policy, body, &ext_authz_body_schema, struct ext_authz_body),                \
		SET_BY(struct ext_authz_policy, body.is_set)

#define REQUEST_NAMES                                                                                        \
	AS_LIST(SCHEMA_NAMES, struct ext_authz_policy, request_header_list, request_header_count,            \
		struct span),                                                                                \
		.element = value_field_name, RANGE(0, LIMIT_CALLOUT_NAMES)

/* In manifests the protocols are keys of the policy itself, and one has to be written. */
static void check_ext_authz(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct ext_authz_policy *policy = object;
	const struct yaml_node *http = decode_get(node, "http");

	if (policy->body.is_set && policy->http.body)
		config_error(d->report, node,
			     "sends the body of the request, and another one; write one of %s and http.body",
			     d->is_manifest ? "forwardBody" : "includeRequestBody");
	if (!d->is_manifest)
		return;
	if ((http != NULL) == (decode_get(node, "grpc") != NULL))
		config_error(d->report, node, "needs one of grpc and http; write grpc: {} or http: {}");
	policy->protocol = http ? EXT_AUTHZ_HTTP : EXT_AUTHZ_GRPC;
	policy->request_header_list = policy->http.request_header_list;
	policy->request_header_count = policy->http.request_header_count;
}

/* clang-format off */
#define EXT_AUTHZ_ROWS                                                                                       \
	REQUEST_CALLOUT_TARGET_ROWS(struct ext_authz_policy),                                                \
	{ "protocol", AS_SECTION(struct ext_authz_policy, &protocol_schema), .style = STYLE_STANDALONE },    \
	{ "grpc", AS_MAP(struct ext_authz_policy, grpc, &grpc_schema, struct ext_authz_grpc),                \
	  .style = STYLE_MANIFEST },                                                                         \
	{ "http", AS_MAP(struct ext_authz_policy, http, &http_schema, struct ext_authz_http),                \
	  .style = STYLE_MANIFEST },                                                                         \
	{ "failureMode", AS_WORD(struct ext_authz_policy, failure_mode), .word_base = CALLOUT_FAILURE_DENY,  \
	  WORDS("deny", "allow"), MANIFEST_WORDS("FailClosed", "FailOpen"),                                  \
	  .default_value = CALLOUT_FAILURE_DENY, .form = FORM_WORD, .default_doc = "`deny`",                 \
	  .doc = "without a valid answer: 403, or the request passes without the headers of an answer" },    \
	{ "failureMode", AS_SECTION(struct ext_authz_policy, &failure_schema), .form = FORM_MAP,             \
	  .style = STYLE_STANDALONE },                                                                       \
	{ "includeRequestHeaders", REQUEST_NAMES, .style = STYLE_STANDALONE, .dump = DUMP_NOT_ZERO,          \
	  .value_doc = "list of names", .default_doc = "HTTP: `authorization`; gRPC: all",                   \
	  .doc = "of the request, that the service gets" },                                                  \
	{ "includeRequestBody", BODY_ROW, .style = STYLE_STANDALONE },                                       \
	{ "forwardBody", BODY_ROW, .style = STYLE_MANIFEST },                                                \
	{ "cache", AS_MAP(struct ext_authz_policy, cache, &answer_cache_schema,                            \
			 struct answer_cache_policy),                                                     \
	  SET_BY(struct ext_authz_policy, cache.is_set) }
/* clang-format on */

static const struct schema_row authz_form_rows[] = { CONDITION_ROW(struct ext_authz_policy), EXT_AUTHZ_ROWS };
static const struct schema authz_form_schema =
	SCHEMA(authz_form_rows, struct ext_authz_policy, .check = check_ext_authz);

/* In manifests the keys of a form are one level deeper. */
static const struct schema_row authz_inner_rows[] = { EXT_AUTHZ_ROWS };
static const struct schema authz_inner_schema =
	SCHEMA(authz_inner_rows, struct ext_authz_policy, .check = check_ext_authz);
static const struct schema_row manifest_authz_rows[] = {
	CONDITION_ROW(struct ext_authz_policy),
	{ "policy", AS_SECTION(struct ext_authz_policy, &authz_inner_schema),
	  .need = "write policy: {backendRef: {...}, grpc: {}}" },
};
static const struct schema manifest_authz_schema = SCHEMA(manifest_authz_rows, struct ext_authz_policy);

static const struct schema_row ext_authz_rows[] = {
	EXT_AUTHZ_ROWS,
	/* value_ext_authz() decodes it. */
	CASES_ROW(struct ext_authz_policy, case_list, case_count, &authz_form_schema, struct ext_authz_policy,
		  "no service is asked"),
};
const struct schema ext_authz_schema =
	SCHEMA(ext_authz_rows, struct ext_authz_policy, .check = check_ext_authz);

struct ext_authz_policy *value_ext_authz(struct decoder *d, const struct yaml_node *node)
{
	struct ext_authz_policy *policy;

	if (!value_has_cases(node))
		return schema_decode_new(d, node, &ext_authz_schema);
	policy = decode_take(d, 1, sizeof(*policy));
	return policy && value_cases(d, node, d->is_manifest ? &manifest_authz_schema : &authz_form_schema,
				     &policy->case_list, &policy->case_count)
		       ? policy
		       : NULL;
}

/* -------------------------------------------------------------------------------- networkExtAuthz */

static void check_network_http(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct ext_authz_http *http = object;

	value_named_compile(d, decode_get(node, "addRequestHeaders"), &http->added, EXPRESSION_AT_CONNECTION,
			    value_itself);
}

#define NO_REQUEST "is about requests, and a connection has none yet; leave it out, or write extAuthz"
#define NO_RESPONSE "is about responses, and a connection gets none; leave it out"

static const struct schema_row network_http_rows[] = {
	{ "path", AS_TEXT(struct ext_authz_http, path_text), .decode = decode_network_path,
	  .dump = DUMP_NOT_ZERO, .value_doc = "expression", .default_doc = "`/`",
	  .doc = "the path that the service is asked for, with `GET`" },
	{ "body", AS_TEXT(struct ext_authz_http, body_text), .decode = decode_network_body,
	  .dump = DUMP_NOT_ZERO, .value_doc = "expression", .default_doc = "none",
	  .doc = "the body that the service gets; without a value: none" },
	{ "addRequestHeaders", ADDED_NAMES, .value_doc = "`{name: expression}`",
	  .doc = "what the service is told besides `x-forwarded-for`, the address of the client; one "
		 "without a value is left out" },
	{ "redirect", .refusal = NO_RESPONSE },
	{ "includeResponseHeaders", .refusal = NO_REQUEST },
	{ "metadata", .refusal = NO_REQUEST },
};
static const struct schema network_http_schema =
	SCHEMA(network_http_rows, struct ext_authz_http, .check = check_network_http);

static const struct schema_row network_protocol_rows[] = {
	{ "http", AS_MAP(struct ext_authz_policy, http, &network_http_schema, struct ext_authz_http),
	  .need = "write http: {}" },
	{ "grpc", .refusal = NO_REQUEST ". Over HTTP it is asked about: write http: {}" },
};
static const struct schema network_protocol_schema = SCHEMA(network_protocol_rows, struct ext_authz_policy);

static void check_network_ext_authz(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct ext_authz_policy *policy = object;

	(void)d;
	(void)node;
	policy->protocol = EXT_AUTHZ_HTTP;
	policy->is_of_connections = true;
}

static const struct schema_row network_ext_authz_rows[] = {
	CALLOUT_TARGET_ROWS(struct ext_authz_policy),
	{ "protocol", AS_SECTION(struct ext_authz_policy, &network_protocol_schema),
	  .need = "write protocol: {http: {}}" },
	{ "failureMode", AS_WORD(struct ext_authz_policy, failure_mode), .word_base = CALLOUT_FAILURE_DENY,
	  WORDS("deny", "allow"), .default_value = CALLOUT_FAILURE_DENY, .default_doc = "`deny`",
	  .doc = "without a valid answer: the connection is closed, or it stays" },
	{ "includeRequestHeaders", .refusal = NO_REQUEST },
	{ "includeRequestBody", .refusal = NO_REQUEST },
	{ "cache",
	  AS_MAP(struct ext_authz_policy, cache, &network_answer_cache_schema, struct answer_cache_policy),
	  SET_BY(struct ext_authz_policy, cache.is_set) },
};
const struct schema network_ext_authz_schema =
	SCHEMA(network_ext_authz_rows, struct ext_authz_policy, .check = check_network_ext_authz);

/* -------------------------------------------------------------------------------- remoteRateLimit */

/* An entry of a descriptor: {key, value}, or {name, expression} in manifests. */
static const struct yaml_node *value_of_entry(const struct decoder *d, const struct yaml_node *node)
{
	return decode_get(node, d->is_manifest ? "expression" : "value");
}

static bool decode_entry(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key file_keys[] = { KEY("key"), KEY("value") };
	static const struct decode_key manifest_keys[] = { KEY("name"), KEY("expression") };
	const char *name = d->is_manifest ? "name" : "key", *value = d->is_manifest ? "expression" : "value";
	struct header_pair *pair = ret;

	if (!decode_map(d, node, d->is_manifest ? manifest_keys : file_keys, ARRAY_LEN(file_keys)))
		return false;
	return decode_name(d, decode_need(d, node, name, "write the key that the service knows"),
			   &pair->name) &&
	       decode_lines(d, decode_need(d, node, value, "write an expression, such as source.address"),
			    &pair->value);
}

static bool decode_cost(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct rate_descriptor *descriptor = container_of(ret, struct rate_descriptor, cost_text);

	if (!decode_lines(d, node, &descriptor->cost_text))
		return false;
	descriptor->cost = value_expression(d, node, descriptor->cost_text, EXPRESSION_AT_REQUEST);
	return descriptor->cost != NULL;
}

static bool decode_override(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct rate_descriptor *descriptor = container_of(ret, struct rate_descriptor, override_text);
	const struct expression *expression;

	if (!decode_lines(d, node, &descriptor->override_text))
		return false;
	expression = value_expression(d, node, descriptor->override_text, EXPRESSION_AT_REQUEST);
	if (expression && expression->type != EXPRESSION_MAP && expression->type != EXPRESSION_DYNAMIC) {
		config_error(d->report, node,
			     "has no members unit and requestsPerUnit; write an expression that has them, "
			     "such as jwt.limit");
		return false;
	}
	descriptor->override = expression;
	return expression != NULL;
}

static void check_descriptor(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct rate_descriptor *descriptor = object;
	const struct yaml_node *entries = decode_get(node, "entries");

	if (entries && entries->kind == YAML_LIST && entries->count == 0)
		config_error(d->report, entries, "is empty: nothing would be counted; write one at least");
	value_named_compile(d, entries, &descriptor->entries, EXPRESSION_AT_REQUEST, value_of_entry);
}

static bool decode_requests(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const file_words[] = { "requests", "tokens" };
	static const char *const manifest_words[] = { "Requests", "Tokens" };
	unsigned index;

	(void)ret;
	if (!decode_word(d, node, d->is_manifest ? manifest_words : file_words, 2, &index))
		return false;
	if (index == 1)
		config_error(d->report, node, "tokens " NOT_YET_TOKENS);
	return index == 0;
}

static const struct schema_row descriptor_rows[] = {
	{ "entries",
	  AS_LIST(SCHEMA_OBJECTS, struct rate_descriptor, entries.list, entries.count, struct header_pair),
	  .element = decode_entry, RANGE(1, LIMIT_RATE_RULES),
	  .need = "write entries: [{key: ..., value: ...}]", .value_doc = "list of `{key, value}`",
	  .doc = "keys that the service knows, with [expressions](../docs/expressions.md): without a value "
		 "for one of them the descriptor is left out" },
	{ "type", AS_REST(struct rate_descriptor), .decode = decode_requests, .style = STYLE_STANDALONE,
	  .value_doc = "`requests`", .default_doc = "`requests`",
	  .doc = "`tokens` of models are not supported yet" },
	{ "unit", AS_REST(struct rate_descriptor), .decode = decode_requests, .style = STYLE_MANIFEST },
	{ "cost", AS_TEXT(struct rate_descriptor, cost_text), .decode = decode_cost, .dump = DUMP_NOT_ZERO,
	  .value_doc = "expression", .default_doc = "1",
	  .doc = "how many requests this one counts for; 0 only looks" },
	{ "limitOverride", AS_TEXT(struct rate_descriptor, override_text), .decode = decode_override,
	  .dump = DUMP_NOT_ZERO, .value_doc = "expression", .default_doc = "that of the service",
	  .doc = "a map `{unit, requestsPerUnit}`, such as a claim or the metadata of an API key: the limit "
		 "for this request; `unit` is `second`, `minute`, `hour`, `day`, `week`, `month` or `year`. "
		 "Without such a value the service's own limit counts" },
};
static const struct schema descriptor_schema =
	SCHEMA(descriptor_rows, struct rate_descriptor, .check = check_descriptor);

static bool decode_descriptor(struct decoder *d, const struct yaml_node *node, void *ret)
{
	uint32_t errors = d->report->count[CONFIG_ERROR];

	return schema_decode(d, node, &descriptor_schema, ret) && d->report->count[CONFIG_ERROR] == errors;
}

/* clang-format off */
#define REMOTE_LIMIT_ROWS                                                                                    \
	REQUEST_CALLOUT_TARGET_ROWS(struct remote_rate_limit),                                               \
	{ "domain", AS_TEXT(struct remote_rate_limit, domain),                                               \
	  .need = "write the domain that the service knows", .doc = "of the descriptors, in the service's "  \
	  "own configuration" },                                                                             \
	{ "descriptors",                                                                                     \
	  AS_OBJECTS(struct remote_rate_limit, descriptor_list, descriptor_count, &descriptor_schema,        \
		     struct rate_descriptor),                                                                \
	  .element = decode_descriptor, RANGE(1, LIMIT_RATE_RULES),                                          \
	  .need = "write descriptors: [{entries: [...]}]", .doc = "what the service counts a request by" },  \
	{ "failureMode", AS_WORD(struct remote_rate_limit, failure_mode), .word_base = CALLOUT_FAILURE_DENY, \
	  WORDS("failClosed", "failOpen"), MANIFEST_WORDS("FailClosed", "FailOpen"),                         \
	  .default_value = CALLOUT_FAILURE_DENY, .default_doc = "`failClosed`",                              \
	  .doc = "without a valid answer: 500, or the request passes" }
/* clang-format on */

static void check_remote_limit(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct yaml_node *list = decode_get(node, "descriptors");

	(void)object;
	if (list && list->kind == YAML_LIST && list->count == 0)
		config_error(d->report, list, "is empty: nothing would be counted; write at least one");
}

static const struct schema_row limit_form_rows[] = { CONDITION_ROW(struct remote_rate_limit),
						     REMOTE_LIMIT_ROWS };
static const struct schema limit_form_schema =
	SCHEMA(limit_form_rows, struct remote_rate_limit, .check = check_remote_limit);

static const struct schema_row limit_inner_rows[] = { REMOTE_LIMIT_ROWS };
static const struct schema limit_inner_schema =
	SCHEMA(limit_inner_rows, struct remote_rate_limit, .check = check_remote_limit);

/* In manifests limits of a service stand beside those of the gateway, which have no conditions yet. */
static const struct schema_row limit_global_rows[] = {
	{ "global", AS_SECTION(struct remote_rate_limit, &limit_inner_schema),
	  .need = "write global: {backendRef: {...}, domain: ..., descriptors: [...]}" },
	{ "local", .refusal = NOT_YET_RATE_CONDITIONAL },
};
static const struct schema limit_global_schema = SCHEMA(limit_global_rows, struct remote_rate_limit);
static const struct schema_row manifest_limit_rows[] = {
	CONDITION_ROW(struct remote_rate_limit),
	{ "policy", AS_SECTION(struct remote_rate_limit, &limit_global_schema),
	  .need = "write policy: {global: {...}}" },
};
static const struct schema manifest_limit_schema = SCHEMA(manifest_limit_rows, struct remote_rate_limit);

static const struct schema_row remote_limit_rows[] = {
	REMOTE_LIMIT_ROWS,
	/* value_remote_limit() decodes it. */
	CASES_ROW(struct remote_rate_limit, case_list, case_count, &limit_form_schema,
		  struct remote_rate_limit, "nothing is counted"),
};
const struct schema remote_limit_schema =
	SCHEMA(remote_limit_rows, struct remote_rate_limit, .check = check_remote_limit);

struct remote_rate_limit *value_remote_limit(struct decoder *d, const struct yaml_node *node)
{
	struct remote_rate_limit *policy;

	if (!value_has_cases(node))
		return d->is_manifest ? schema_decode_new(d, decode_get(node, "global"), &limit_inner_schema)
				      : schema_decode_new(d, node, &remote_limit_schema);
	policy = decode_take(d, 1, sizeof(*policy));
	return policy && value_cases(d, node, d->is_manifest ? &manifest_limit_schema : &limit_form_schema,
				     &policy->case_list, &policy->case_count)
		       ? policy
		       : NULL;
}

/* -------------------------------------------------------------------------------- the services of forms */

/* The node with the keys of form `index`. */
static const struct yaml_node *form_node(const struct decoder *d, const struct yaml_node *node,
					 uint32_t index)
{
	yaml_each(child, decode_get(node, "conditional"))
		if (child->index == index)
			return d->is_manifest ? decode_get(child, "policy") : child;
	return NULL;
}

static bool decode_target(struct decoder *d, const struct yaml_node *node, struct callout_target kind,
			  struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			  void *context, struct backend_ref **ret)
{
	kind.ref = *ret = node ? fn(context, node) : NULL;
	transformation_check_call(d, node, &kind);
	return value_register_callout(d, kind);
}

bool value_callout_target(struct decoder *d, const struct yaml_node *node, bool is_grpc,
			  struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			  void *context, struct backend_ref **ret)
{
	return decode_target(d, node, (struct callout_target){ .is_grpc = is_grpc }, fn, context, ret);
}

static struct callout_target request_kind(unsigned protocol)
{
	return (struct callout_target){ .is_grpc = protocol == EXT_AUTHZ_GRPC, .is_of_request = true };
}

bool value_ext_authz_targets(struct decoder *d, const struct yaml_node *node, struct ext_authz_policy *policy,
			     struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			     void *context)
{
	bool is_valid = true;

	if (!policy->case_count)
		return decode_target(d, node, request_kind(policy->protocol), fn, context, &policy->ref);
	for (uint32_t i = 0; i < policy->case_count; i++) {
		struct ext_authz_policy *form = &policy->case_list[i];

		is_valid &= decode_target(d, form_node(d, node, i), request_kind(form->protocol), fn, context,
					  &form->ref);
	}
	return is_valid;
}

/* Where the service of a limit is. */
static const struct yaml_node *limit_node(const struct decoder *d, const struct yaml_node *node)
{
	return d->is_manifest ? decode_get(node, "global") : node;
}

bool value_remote_limit_targets(struct decoder *d, const struct yaml_node *node,
				struct remote_rate_limit *policy,
				struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				void *context)
{
	bool is_valid = true;

	if (!policy->case_count)
		return decode_target(d, limit_node(d, node), request_kind(EXT_AUTHZ_GRPC), fn, context,
				     &policy->ref);
	for (uint32_t i = 0; i < policy->case_count; i++)
		is_valid &=
			decode_target(d, limit_node(d, form_node(d, node, i)), request_kind(EXT_AUTHZ_GRPC),
				      fn, context, &policy->case_list[i].ref);
	return is_valid;
}
