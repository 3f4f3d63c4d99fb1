/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/forward_value.h"

#include "user/base/hash.h"

bool forward_value_backend(struct decoder *d, struct backend *backend)
{
	struct endpoint *endpoint = decode_take(d, 1, sizeof(*endpoint));
	const struct span rules =
		span_of(backend->allowed_list, backend->allowed_count * sizeof(*backend->allowed_list));

	if (!endpoint)
		return false;
	/* Never connected to: each request has an endpoint of its own. */
	*endpoint = (struct endpoint){ .text = SPAN("dynamic"), .is_inner = true };
	backend->kind = BACKEND_DYNAMIC;
	backend->target = SPAN("dynamic");
	backend->endpoint_list = endpoint;
	backend->endpoint_count = 1;
	backend->forward_key = hash_bytes(rules) | 1;
	return true;
}
