/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/otlp_value.h"

#include "config/core/values/access_log_value.h"
#include "config/core/values/resource_value.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"

enum { NAME_BYTES_MAX = 256 };

bool value_otlp_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span path;

	if (!decode_name(d, node, &path))
		return false;
	if (path.data[0] != '/' || !char_class_is_target(path)) {
		config_error(d->report, node, "%s is not a path; write one that begins with /", QUOTE(path));
		return false;
	}
	*(struct span *)ret = path;
	return true;
}

static bool is_attribute(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~')
			return false;
	return name.len && name.len <= NAME_BYTES_MAX;
}

bool value_otlp_attribute(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_named_expression(d, node, is_attribute,
				      "attribute; write up to 256 bytes of ASCII without blanks", ret);
}

void value_otlp_check(struct decoder *d, const struct yaml_node *node, struct otlp_target *target)
{
	const struct yaml_node *path = decode_get(node, "path");

	if (path && target->protocol == OTLP_GRPC)
		config_error(d->report, path, "is for OTLP over HTTP; write protocol: %s, or leave it out",
			     d->is_manifest ? "HTTP" : "http");
	target->timeout_ms = OTLP_TIMEOUT_MS;
	resource_value_complete(d, decode_get(node, "resources"), target);
}
