/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/mcp_value.h"

enum { NAME_BYTES = 64 };

static bool is_path(struct span path)
{
	for (size_t i = 0; i < path.len; i++) {
		if (path.data[i] <= ' ' || path.data[i] >= 0x7f || path.data[i] == '#')
			return false;
	}
	return path.len && path.data[0] == '/';
}

bool mcp_value_path(struct decoder *d, const struct yaml_node *node, struct span path)
{
	if (is_path(path))
		return true;
	config_error(d->report, node, "%s is not a path; write one that begins with /, as in /mcp",
		     QUOTE(path));
	return false;
}

/* Refuses characters that separate it from a tool's name or a URI. */
static bool is_server_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		bool is_inside = i > 0 && i + 1 < name.len;

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !(is_inside && (c == '-' || c == '.')))
			return false;
	}
	return name.len >= 1 && name.len <= NAME_BYTES;
}

bool mcp_value_name(struct decoder *d, const struct yaml_node *node, const struct mcp_servers *servers,
		    uint32_t index, struct span name)
{
	if (!is_server_name(name)) {
		config_error(d->report, node,
			     "%s cannot be the name of a target; write 1 to %d of a-z, 0-9, - and ., neither "
			     "of the last two at an end",
			     QUOTE(name), NAME_BYTES);
		return false;
	}
	for (uint32_t i = 0; i < index; i++) {
		if (span_eq(servers->server_list[i].name, name)) {
			config_error(d->report, node,
				     "there is another target with the name %s; give each its own",
				     QUOTE(name));
			return false;
		}
	}
	return true;
}

bool mcp_value_backend(struct decoder *d, const struct mcp_servers *servers, struct span key,
		       struct backend *backend)
{
	struct endpoint *endpoint = decode_take(d, 1, sizeof(*endpoint));

	if (!endpoint)
		return false;
	*endpoint = (struct endpoint){ .text = key, .is_inner = true };
	backend->kind = BACKEND_MCP;
	backend->target = key;
	backend->endpoint_list = endpoint;
	backend->endpoint_count = 1;
	backend->mcp = servers;
	return true;
}
