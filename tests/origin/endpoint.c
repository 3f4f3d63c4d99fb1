/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/endpoint.h"
#include "tests/origin/bad.h"
#include "tests/origin/fault.h"
#include "tests/origin/info.h"
#include "tests/origin/reply.h"
#include "tests/origin/stream.h"
#include "tests/origin/upgrade.h"
#include "tests/origin/upload.h"

#include <string.h>

static const struct endpoint *const tables[] = {
	stream_endpoints, info_endpoints, upload_endpoints, fault_endpoints, bad_endpoints, upgrade_endpoints,
};

static void missing_start(struct conn *conn)
{
	reply_line(conn, 404, "no such endpoint; tests/origin/README.md lists them");
}

static const struct endpoint missing = { .path = "", .start = missing_start };

const struct endpoint *endpoint_find(struct text path)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct endpoint *endpoint = tables[i]; endpoint->path; endpoint++) {
			if (endpoint->is_prefix ? text_starts(path, endpoint->path)
						: text_is(path, endpoint->path))
				return endpoint;
		}
	}
	return &missing;
}

struct text endpoint_argument(const struct conn *conn)
{
	struct text path = conn->exchange.request.path;
	size_t prefix = strlen(conn->exchange.endpoint->path);

	return (struct text){ path.at + prefix, path.size - prefix };
}

bool endpoint_number(struct conn *conn, uint64_t max, uint64_t *ret_number)
{
	uint64_t number;

	if (text_u64(endpoint_argument(conn), &number) && number <= max) {
		*ret_number = number;
		return true;
	}
	reply_line(conn, 404, "the path needs a number here");
	return false;
}
