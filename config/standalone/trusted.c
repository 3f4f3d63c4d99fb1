/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/trusted.h"

#include "config/core/values/values.h"

static bool decode_trusted(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_cidr(d, node, ret);
}

static const struct schema_row forwarded_rows[] = {
	/* In the order of enum forwarded_mode. */
	{ "mode", AS_WORD(struct static_config, forwarded), WORDS("append", "off"),
	  .doc = "`off`: the gateway adds no X-Forwarded-*, and passes on the clients' fields, except "
		 "those that identify the client" },
	{ "trusted", AS_LIST(SCHEMA_CIDRS, struct static_config, trusted_list, trusted_count, struct cidr),
	  .element = decode_trusted, .reload = RELOAD_ACCEPT, .default_doc = "none",
	  .doc = "networks of clients whose X-Forwarded-* the gateway extends, and whose identity fields "
		 "it passes on: [below](#fields-that-only-a-trusted-peer-may-send)" },
};
const struct schema forwarded_schema = SCHEMA(forwarded_rows, struct static_config);

static const struct schema_row proxy_protocol_rows[] = {
	{ "trusted",
	  AS_LIST(SCHEMA_CIDRS, struct static_config, proxy_trusted_list, proxy_trusted_count, struct cidr),
	  .element = decode_trusted, .reload = RELOAD_ACCEPT, .default_doc = "none",
	  .doc = "extension: networks of the proxies that may announce clients with a PROXY header, at ports "
		 "that [expect one](#proxy-protocol); required for such ports" },
};
const struct schema proxy_protocol_schema = SCHEMA(proxy_protocol_rows, struct static_config);
