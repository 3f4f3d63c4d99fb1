/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/endpoint.h"

#include "config/build.h"
#include "config/core/values/values.h"
#include "policy/balance.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* Sets everything of the endpoint; the rows behind it then set their members. */
static bool decode_host(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct endpoint *endpoint = container_of(ret, struct endpoint, text);
	struct backend target = { 0 };

	if (!value_target(d, node, &target))
		return false;
	*endpoint = *target.endpoint_list;
	return true;
}

static const struct schema_row endpoint_rows[] = {
	{ "host", AS_TEXT(struct endpoint, text), .decode = decode_host,
	  .need = "write the address, as in host: 10.0.0.1:8000", .value_doc = "as `host`",
	  .doc = "the address" },
	{ "weight", AS_U32(struct endpoint, weight), RANGE(0, ENDPOINT_WEIGHT_MAX), .default_value = 1,
	  .doc = "share of the requests among the endpoints of its priority; 0: no new ones" },
	{ "priority", AS_U32(struct endpoint, priority), RANGE(0, LIMIT_ENDPOINT_PRIORITY),
	  .doc = "a higher number gets requests only while no endpoint of a lower one is available" },
	{ "zone", AS_TEXT(struct endpoint, zone), .dump = DUMP_NOT_ZERO, .default_doc = "unknown",
	  .doc = "where it runs: [zones](#zones)" },
};
const struct schema endpoint_schema =
	SCHEMA(endpoint_rows, struct endpoint, .example = "host: 10.0.0.1:8000");

static bool decode_endpoint(struct decoder *d, const struct yaml_node *node, void *element)
{
	struct endpoint *endpoint = element;

	schema_default(&endpoint_schema, endpoint);
	return schema_decode(d, node, &endpoint_schema, endpoint) && endpoint->text.len;
}

/* An address twice would be one endpoint with two weights. */
static bool check_addresses(struct decoder *d, const struct yaml_node *list, const struct backend *backend)
{
	struct name_map found = { 0 };
	bool is_valid = true;

	for (uint32_t i = 0; i < backend->endpoint_count && is_valid; i++) {
		struct endpoint *endpoint = &backend->endpoint_list[i];

		is_valid = !name_map_get(&found, endpoint->text);
		if (!is_valid)
			config_error(d->report, list,
				     "the endpoint %s occurs twice; write it once, with the sum of the "
				     "weights",
				     QUOTE(endpoint->text));
		else
			name_map_put(d, &found, endpoint->text, endpoint);
	}
	name_map_done(&found);
	return is_valid;
}

static bool has_weight(const struct backend *backend)
{
	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		if (backend->endpoint_list[i].weight)
			return true;
	return false;
}

bool standalone_endpoints(struct decoder *d, const struct yaml_node *list, struct backend *backend)
{
	if (!decode_list(d, list))
		return false;
	if (list->count == 0 || list->count > LIMIT_ENDPOINTS) {
		config_error(d->report, list,
			     "has %u entries; write 1 to %d, as in endpoints: [{host: "
			     "\"10.0.0.1:8000\"}]",
			     list->count, LIMIT_ENDPOINTS);
		return false;
	}
	if (!schema_decode_list(d, list, decode_endpoint, sizeof(*backend->endpoint_list),
				&backend->endpoint_list, &backend->endpoint_count) ||
	    !backend->endpoint_count || !check_addresses(d, list, backend))
		return false;
	if (!has_weight(backend)) {
		config_error(d->report, list,
			     "no endpoint has a weight, so none would get a request; write a "
			     "weight of 1 or more");
		return false;
	}
	backend->kind = BACKEND_HOST;
	backend->target = backend->endpoint_list->text;
	backend->has_endpoint_keys = true;
	return true;
}
