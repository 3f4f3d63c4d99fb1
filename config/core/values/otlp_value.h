/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of policies that send records to a collector: struct otlp_target, as the member `target`. */

enum { OTLP_TIMEOUT_MS = 10 * 1000 }; /* of OpenTelemetry's exporters */

bool value_otlp_path(struct decoder *d, const struct yaml_node *node, void *ret);
/* A pair of a list or map: the name of an attribute, with an expression. */
bool value_otlp_attribute(struct decoder *d, const struct yaml_node *node, void *ret);
/* After the rows: keys that do not fit each other, attributes of the gateway, and the default deadline. */
void value_otlp_check(struct decoder *d, const struct yaml_node *node, struct otlp_target *target);

/* clang-format off */
#define OTLP_RESOURCE_LIST(object)                                                                           \
	AS_LIST(SCHEMA_PAIRS, object, target.resource_text_list, target.resource_text_count,                 \
		struct header_pair),                                                                         \
	.element = value_otlp_attribute, RANGE(0, LIMIT_OTLP_ATTRIBUTES), .dump = DUMP_NOT_ZERO,             \
	.value_doc = "`{name: expression}`"
#define OTLP_TARGET_ROWS(object, default_path)                                                               \
	{ "path", AS_TEXT(object, target.path), .decode = value_otlp_path, .default_text = default_path,     \
	  .doc = "over HTTP" },                                                                              \
	{ "protocol", AS_WORD(object, target.protocol), WORDS("grpc", "http", "http/json"),                  \
	  .style = STYLE_STANDALONE, .default_doc = "`grpc`",                                                \
	  .doc = "OTLP over gRPC, or over HTTP/1.1 with protobuf or (extension) JSON" },                     \
	{ "protocol", AS_WORD(object, target.protocol), WORDS("GRPC", "HTTP"), .style = STYLE_MANIFEST }
/* clang-format on */
