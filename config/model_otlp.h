/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "config/model_direct.h"

/* Part of config/model.h: the access log, and what is sent to a collector of OpenTelemetry. */

struct backend_ref;
struct expression_value; /* policy/expression/expression_value.h */

enum otlp_protocol {
	OTLP_GRPC,
	OTLP_HTTP, /* messages of protobuf */
	OTLP_HTTP_JSON,
};

/* An attribute of the gateway itself; its value is a text, a number, or true or false. */
struct otlp_resource {
	struct span name;
	const struct expression_value *value;
};

/* Where records go. */
struct otlp_target {
	struct backend_ref *ref;
	unsigned protocol; /* enum otlp_protocol */
	struct span path; /* over HTTP */
	uint64_t timeout_ms; /* of a call, unless the policies of the service say otherwise */
	struct header_pair *resource_text_list; /* as written */
	uint32_t resource_text_count;
	struct otlp_resource *resource_list; /* with those of the environment */
	uint32_t resource_count;
};

struct access_log_policy {
	struct span filter_text; /* as written; empty: every line is written */
	const struct expression *filter; /* NULL: the same */
	struct header_pair *add_list; /* fields whose values are expressions, as written */
	const struct expression **add_expressions;
	uint32_t add_count;
	struct span *remove_list;
	uint32_t remove_count;
	uint32_t needs; /* enum expression_needs, of all its expressions, with those of otlp */
	struct access_log_otlp *otlp; /* NULL: no collector gets the log */
};

/* The access log, for a collector. */
struct access_log_otlp {
	struct otlp_target target;
	bool has_filter, has_fields; /* written; otherwise `log` has those of the lines */
	struct access_log_policy log; /* which entries, and their fields; without an otlp of its own */
};

/* How many requests have spans. */
struct sampling {
	struct span text; /* as written; empty: not configured */
	const struct expression *expression; /* NULL: per_million counts */
	uint32_t per_million;
};

struct tracing_policy {
	struct otlp_target target;
	struct sampling random; /* of requests that belong to no trace; not configured: none */
	struct sampling client; /* of those that do; not configured: all */
	struct span filter_text; /* as written; empty: every span is sent */
	const struct expression *filter; /* NULL: the same */
	struct header_pair *attribute_list; /* their values are expressions, as written */
	const struct expression **attribute_expressions;
	uint32_t attribute_count;
	struct span *remove_list;
	uint32_t remove_count;
	struct span *hidden_list; /* those, and the names of the attributes, which replace the usual ones */
	uint32_t hidden_count;
	uint32_t needs; /* enum expression_needs, of the expressions at the end of a stream */
	/* Of the older form, config.tracing. */
	struct span endpoint; /* its URL */
	struct header_pair *header_list; /* of calls; secrets */
	uint32_t header_count;
};
