/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/request_rules.h"

bool request_rules_are_set(const struct frontend_http *http)
{
	return http->normalize_path || http->escaped_slashes || http->semicolons || http->trace ||
	       http->underscores || http->half_close;
}

void request_rules_take(struct request_rules *rules, const struct frontend_http *http)
{
	if (http->normalize_path)
		rules->normalize_path = http->normalize_path;
	if (http->escaped_slashes)
		rules->escaped_slashes = http->escaped_slashes;
	if (http->semicolons)
		rules->semicolons = http->semicolons;
	if (http->trace)
		rules->trace = http->trace;
	if (http->underscores)
		rules->underscores = http->underscores;
	if (http->half_close)
		rules->half_close = http->half_close;
}
