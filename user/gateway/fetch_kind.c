/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/fetch_kind.h"

#include <errno.h>

#include "config/core/values/openapi_value.h"
#include "user/auth/jwk.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- keys */

static const char *keys_fault(int result)
{
	switch (result) {
	case -EBADMSG:
		return "the response is not a set of keys";
	case -ENOKEY:
		return "no key in the response can verify tokens";
	case -E2BIG:
		return "the response is too large";
	default:
		return "";
	}
}

static struct fetched_value *keys_read(struct span text, struct span prefix, struct text *why,
				       struct text *note)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;
	int result = jwk_set_parse(text, &set, &report);

	(void)prefix;
	if (result < 0) {
		text_str(why, keys_fault(result));
		return NULL;
	}
	if (report.left_out)
		text_fmt(note, "%u cannot verify tokens; the one at index %u: %s", report.left_out,
			 report.index, report.what);
	return &set->value;
}

/* -------------------------------------------------------------------------------- OpenAPI documents */

/* The first message of that severity. */
static void add_first(struct text *to, const struct config_report *report, enum config_severity severity)
{
	for (uint32_t i = 0; i < report->message_count; i++)
		if (report->message_list[i].severity == severity) {
			text_add(to, report->message_list[i].text);
			return;
		}
}

static struct fetched_value *openapi_text_read(struct span text, struct span prefix, struct text *why,
					       struct text *note)
{
	struct config_report report;
	struct openapi_api *api;
	bool has_failed;

	config_report_init(&report);
	api = openapi_read(&report, NULL, SPAN("response"), text, prefix, &has_failed);
	if (!api && !has_failed)
		add_first(why, &report, CONFIG_ERROR);
	if (api && report.count[CONFIG_WARNING]) {
		text_fmt(note, "warnings: %u; the first: ", report.count[CONFIG_WARNING]);
		add_first(note, &report, CONFIG_WARNING);
	}
	config_report_done(&report);
	return api ? &api->value : NULL;
}

/* -------------------------------------------------------------------------------- all of them */

const struct fetch_kind_ops *fetch_kind_ops(enum fetch_kind kind)
{
	static const struct fetch_kind_ops list[FETCH_KINDS] = {
		[FETCH_KEYS] = { .what = "keys",
				 .without = "requests with tokens of this issuer get 503",
				 .most_bytes = JWK_SET_BYTES,
				 .accept = SPAN("application/json"),
				 .read = keys_read },
		[FETCH_OPENAPI] = { .what = "the OpenAPI document",
				    .without = "MCP targets with it refuse sessions and requests",
				    .most_bytes = LIMIT_TLS_FILE_BYTES,
				    .accept = SPAN("application/json, application/yaml;q=0.9, */*;q=0.5"),
				    .read = openapi_text_read },
	};

	return &list[kind];
}
